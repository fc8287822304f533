package main

import (
	"bufio"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"io"
	"net/http"
	"net/http/fcgi"
	"strconv"
	"strings"
	"time"
)

type handler struct{ name, port, kind string }

type answer struct {
	Name    string            `json:"name"`
	Port    string            `json:"port"`
	Kind    string            `json:"kind"`
	Proto   string            `json:"proto"`
	Method  string            `json:"method"`
	URI     string            `json:"uri"`
	Host    string            `json:"host"`
	Remote  string            `json:"remote"`
	Headers map[string]string `json:"headers"`
	// What FastCGI or uwsgi gave beside the headers.
	Parameters map[string]string `json:"parameters,omitempty"`
	Bytes      int64             `json:"bytes"`
}

func (h handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		webSocket(w, r)
		return
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
		grpc(w, r)
		return
	}
	kind := h.kind
	if kind == "" {
		kind = "http"
	}
	said := answer{Name: h.name, Port: h.port, Kind: kind, Proto: r.Proto, Method: r.Method, URI: r.RequestURI, Host: r.Host,
		Remote: r.RemoteAddr, Headers: map[string]string{}, Parameters: fcgi.ProcessEnv(r)}
	if said.URI == "" {
		said.URI = r.URL.RequestURI()
	}
	for name, values := range r.Header {
		said.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	said.Bytes, _ = io.Copy(io.Discard, r.Body)
	h.answer(w, r, said)
}

func (h handler) answer(w http.ResponseWriter, r *http.Request, said answer) {
	asked := r.URL.Query()
	number := func(name string) int { n, _ := strconv.Atoi(asked.Get(name)); return n }
	time.Sleep(time.Duration(number("wait")) * time.Millisecond)
	for _, each := range asked["set"] {
		name, value, _ := strings.Cut(each, ":")
		w.Header().Set(name, value)
	}
	if asked.Has("close") {
		w.Header().Set("Connection", "close")
	}
	status := number("status")
	if status == 0 {
		status = 200
	}
	body, _ := json.Marshal(said)
	w.Header().Set("Content-Type", "application/json")
	if bytes := number("bytes"); bytes > 0 {
		w.WriteHeader(status)
		io.CopyN(w, zeros{}, int64(bytes))
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)+1))
	w.WriteHeader(status)
	w.Write(append(body, '\n'))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// One unary call: the message that came goes back (gRPC over HTTP/2, PROTOCOL-HTTP2.md).
func grpc(w http.ResponseWriter, r *http.Request) {
	message, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/grpc")
	w.Header().Set("Trailer", "Grpc-Status")
	w.Header().Set("Echo-Proto", r.Proto)
	w.WriteHeader(200)
	w.Write(message)
	w.Header().Set("Grpc-Status", "0")
}

// Sends every frame back (RFC 6455) until the client closes.
func webSocket(w http.ResponseWriter, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	connection, buffer, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer connection.Close()
	buffer.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " +
		base64.StdEncoding.EncodeToString(sum[:]) + "\r\n\r\n")
	for buffer.Flush() == nil && echoFrame(buffer) == nil {
	}
}

func echoFrame(buffer *bufio.ReadWriter) error {
	head := make([]byte, 2)
	if _, err := io.ReadFull(buffer, head); err != nil {
		return err
	}
	size := uint64(head[1] & 127)
	long := []byte{}
	if size > 125 {
		long = make([]byte, 2<<(2*(size-126)))
		if _, err := io.ReadFull(buffer, long); err != nil {
			return err
		}
		size = binary.BigEndian.Uint64(append(make([]byte, 8-len(long)), long...))
	}
	mask, data := make([]byte, 4), make([]byte, min(size, 1<<24))
	if _, err := io.ReadFull(buffer, mask); err != nil {
		return err
	}
	if _, err := io.ReadFull(buffer, data); err != nil {
		return err
	}
	for i := range data {
		data[i] ^= mask[i%4]
	}
	head[1] &= 127
	buffer.Write(append(head, long...))
	_, err := buffer.Write(data)
	if err == nil && head[0]&15 == 8 {
		buffer.Flush()
		return io.EOF
	}
	return err
}
