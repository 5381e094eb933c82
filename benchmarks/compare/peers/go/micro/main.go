// Micro benchmarks in Go: one JSON line each, nanoseconds of wall and CPU time per operation. The
// compute hand-off is Go's own way of it, a goroutine and a channel: no thread has to be crossed.
package main

import (
	"fmt"

	"blitzio.invalid/compare/go/internal/twin"
)

const inFlight = 64

func check(got, want uint64) {
	if got != want {
		panic(fmt.Sprintf("got %d, want %d", got, want))
	}
}

//go:noinline
func work(value uint64) uint64 {
	return value + 1
}

func roundTrips(count int64) {
	for index := uint64(0); index < uint64(count); index++ {
		done := make(chan uint64, 1)
		go func() { done <- work(index) }()
		check(<-done, index+1)
	}
}

func roundTripsInFlight(count int64) {
	ended := make(chan struct{}, inFlight)
	for range inFlight {
		go func() {
			roundTrips(count / inFlight)
			ended <- struct{}{}
		}()
	}
	for range inFlight {
		<-ended
	}
}

func main() {
	options := twin.Parse()
	for name, body := range map[string]func(count int64){
		"compute_round_trip":    roundTrips,
		"compute_round_trip_64": roundTripsInFlight,
	} {
		if options.Wants(name) {
			twin.Measure(options, name, inFlight, body)
		}
	}
}
