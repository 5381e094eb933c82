// Package twin holds what the Go twins share: command line, first output line and the mixed
// protocol's answer. Plain functions; any goroutine may call them.
package twin

import (
	"encoding/binary"
	"flag"
	"fmt"
	"net"
	"os"
	"runtime"
)

// Options are common to all twins; Pool exists only here.
type Options struct {
	Port    int
	Threads int
	Compute int
	Seconds float64
	Only    string
	Pool    bool
}

// Parse reads the command line and sets GOMAXPROCS: Threads, and with --pool as many again as
// compute threads, so that the kernel may preempt heavy goroutines as it does with the thread pools
// of the other peers.
func Parse() Options {
	var o Options
	flag.IntVar(&o.Port, "port", 0, "TCP port, 0 for any")
	flag.IntVar(&o.Threads, "threads", 1, "threads that run goroutines")
	flag.IntVar(&o.Compute, "compute", 1, "threads for heavy work, with --pool")
	flag.Float64Var(&o.Seconds, "seconds", 0.3, "least time per micro benchmark")
	flag.StringVar(&o.Only, "only", "", "run one micro benchmark")
	flag.BoolVar(&o.Pool, "pool", false, "heavy work on a bounded pool of goroutines")
	flag.Parse()
	if o.Threads < 1 || o.Compute < 1 || flag.NArg() != 0 {
		fmt.Fprintln(os.Stderr, "bad command line:", os.Args[1:])
		os.Exit(2)
	}
	procs := o.Threads
	if o.Pool {
		procs += o.Compute
	}
	runtime.GOMAXPROCS(procs)
	return o
}

// Listen binds 127.0.0.1 and prints the line by which callers learn the port.
func Listen(port int) net.Listener {
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("listening on", listener.Addr())
	return listener
}

// RequestLengthMax bounds N of the mixed protocol.
const RequestLengthMax = 1 << 20

const golden = 0x9E3779B97F4A7C15

func mix(h, word, round uint64) uint64 {
	h = (h ^ (word + round)) + golden
	h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9
	h = (h ^ (h >> 27)) * 0x94D049BB133111EB
	return h ^ (h >> 31)
}

// MixedAnswer is the answer of the mixed-workload protocol for a payload and a work factor.
func MixedAnswer(payload []byte, work uint32) uint64 {
	whole := len(payload) / 8 * 8
	var padded [8]byte
	copy(padded[:], payload[whole:])
	last := binary.LittleEndian.Uint64(padded[:])
	h := uint64(golden) ^ uint64(len(payload))
	for round := uint64(0); round <= uint64(work); round++ {
		for at := 0; at < whole; at += 8 {
			h = mix(h, binary.LittleEndian.Uint64(payload[at:at+8]), round)
		}
		if whole != len(payload) {
			h = mix(h, last, round)
		}
	}
	return h
}
