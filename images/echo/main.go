// A server for tests that says what reached it: its own name, the port, the request line and every header, as JSON.
// It speaks HTTP/1.1 and HTTP/2 without TLS (also gRPC and WebSocket), https, FastCGI and uwsgi.
//
//	LISTEN  "80" unless set: PORT[/https|/fastcgi|/uwsgi], separated by commas; all addresses, IPv6 too
//	NAME    the host name unless set
//
// A request may ask for its answer: ?status=404, ?wait=500 (milliseconds), ?bytes=1000000, ?close=1, ?set=Name:value.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"strings"
	"time"
)

func main() {
	name := os.Getenv("NAME")
	if name == "" {
		name, _ = os.Hostname()
	}
	listen := os.Getenv("LISTEN")
	if listen == "" {
		listen = "80"
	}
	failed := make(chan error)
	for _, each := range strings.Split(listen, ",") {
		port, kind, _ := strings.Cut(strings.TrimSpace(each), "/")
		listener, err := net.Listen("tcp", ":"+port)
		if err != nil {
			log.Fatal(err)
		}
		go func() { failed <- fmt.Errorf("port %s: %w", port, serve(listener, kind, handler{name, port, kind})) }()
	}
	log.Fatal(<-failed)
}

func serve(listener net.Listener, kind string, what handler) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: what, Protocols: protocols, MaxHeaderBytes: 1 << 20}
	switch kind {
	case "":
		return server.Serve(listener)
	case "https":
		certificate, err := certificate()
		if err != nil {
			return err
		}
		server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
		return server.ServeTLS(listener, "", "")
	case "fastcgi":
		return fcgi.Serve(listener, what)
	case "uwsgi":
		return serveUwsgi(listener, what)
	}
	return fmt.Errorf("what is %q", kind)
}

// Of nobody: a proxy in front of it does not look.
func certificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), DNSNames: []string{"echo"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
