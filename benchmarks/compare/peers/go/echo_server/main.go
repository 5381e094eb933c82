// TCP echo server in Go: one goroutine per connection, Read then Write.
package main

import (
	"net"

	"blitzio.invalid/compare/go/internal/twin"
)

func serve(connection net.Conn) {
	defer connection.Close()
	buffer := make([]byte, 16*1024)
	for {
		length, err := connection.Read(buffer)
		if err != nil {
			return
		}
		if _, err = connection.Write(buffer[:length]); err != nil {
			return
		}
	}
}

func main() {
	options := twin.Parse()
	listener := twin.Listen(options.Port)
	for {
		// Go sets TCP_NODELAY by itself.
		if connection, err := listener.Accept(); err == nil {
			go serve(connection)
		}
	}
}
