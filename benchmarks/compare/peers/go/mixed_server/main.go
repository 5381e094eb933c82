// Mixed-workload server in Go: one goroutine per connection, which also computes the heavy answers;
// with --pool they are computed by at most --compute goroutines at a time, on threads beside those
// of the connections.
package main

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"

	"blitzio.invalid/compare/go/internal/twin"
)

type server struct {
	slots chan struct{}
}

func (s *server) answer(payload []byte, work uint32) uint64 {
	if work == 0 || s.slots == nil {
		return twin.MixedAnswer(payload, work)
	}
	s.slots <- struct{}{}
	done := make(chan uint64, 1)
	go func() {
		done <- twin.MixedAnswer(payload, work)
		<-s.slots
	}()
	return <-done
}

func (s *server) serve(connection net.Conn) {
	defer connection.Close()
	input := bufio.NewReaderSize(connection, 16*1024)
	output := bufio.NewWriterSize(connection, 1024)
	var head [4]byte
	body := make([]byte, 0, 4096)
	for {
		// Ready answers leave before the goroutine may sleep for more input.
		if input.Buffered() < 4 && output.Flush() != nil {
			return
		}
		if _, err := io.ReadFull(input, head[:]); err != nil {
			return
		}
		length := binary.LittleEndian.Uint32(head[:])
		if length < 4 || length > twin.RequestLengthMax {
			output.Flush()
			return
		}
		if input.Buffered() < int(length) && output.Flush() != nil {
			return
		}
		if cap(body) < int(length) {
			body = make([]byte, length)
		}
		body = body[:length]
		if _, err := io.ReadFull(input, body); err != nil {
			return
		}
		work := binary.LittleEndian.Uint32(body)
		if work > 0 && output.Flush() != nil {
			return
		}
		var answer [8]byte
		binary.LittleEndian.PutUint64(answer[:], s.answer(body[4:], work))
		if _, err := output.Write(answer[:]); err != nil {
			return
		}
	}
}

func main() {
	options := twin.Parse()
	s := &server{}
	if options.Pool {
		s.slots = make(chan struct{}, options.Compute)
	}
	listener := twin.Listen(options.Port)
	for {
		if connection, err := listener.Accept(); err == nil {
			go s.serve(connection)
		}
	}
}
