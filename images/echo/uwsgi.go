package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
)

// The uwsgi protocol: a head of four bytes (modifier, size of the variables, modifier), then pairs of strings, each with
// its size in two bytes, all little-endian; the answer is as CGI's.
func serveUwsgi(listener net.Listener, what handler) error {
	for {
		connection, err := listener.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer connection.Close()
			if err := what.uwsgi(connection); err != nil {
				fmt.Println("uwsgi:", err)
			}
		}()
	}
}

func (h handler) uwsgi(connection net.Conn) error {
	reader := bufio.NewReader(connection)
	head := make([]byte, 4)
	if _, err := io.ReadFull(reader, head); err != nil {
		return err
	}
	block := make([]byte, binary.LittleEndian.Uint16(head[1:3]))
	if _, err := io.ReadFull(reader, block); err != nil {
		return err
	}
	word := func() string {
		if len(block) < 2 {
			return ""
		}
		size := min(int(binary.LittleEndian.Uint16(block)), len(block)-2)
		word := string(block[2 : 2+size])
		block = block[2+size:]
		return word
	}
	said := answer{Name: h.name, Port: h.port, Kind: "uwsgi", Remote: connection.RemoteAddr().String(),
		Headers: map[string]string{}, Parameters: map[string]string{}}
	for len(block) > 0 {
		name, value := word(), word()
		if header, is := strings.CutPrefix(name, "HTTP_"); is {
			said.Headers[strings.ToLower(strings.ReplaceAll(header, "_", "-"))] = value
		} else {
			said.Parameters[name] = value
		}
	}
	said.Method, said.URI, said.Proto = said.Parameters["REQUEST_METHOD"], said.Parameters["REQUEST_URI"], said.Parameters["SERVER_PROTOCOL"]
	said.Host = said.Headers["host"]
	size, _ := strconv.ParseInt(said.Parameters["CONTENT_LENGTH"], 10, 64)
	said.Bytes, _ = io.CopyN(io.Discard, reader, size)
	body, err := json.Marshal(said)
	if err == nil {
		_, err = fmt.Fprintf(connection, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n%s\n", body)
	}
	return err
}
