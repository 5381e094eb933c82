// Micro benchmarks in Go: one JSON line each, nanoseconds of wall and CPU time per operation. The
// compute hand-off is Go's own way of it, a goroutine and a channel: no thread has to be crossed.
package main

import (
	"fmt"
	"syscall"
	"time"

	"blitzio.invalid/compare/go/internal/twin"
)

func cpuNanoseconds() int64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

// measure runs body with growing counts until it lasts long enough, then prints the cost of the
// last run.
func measure(options twin.Options, name string, body func(count int64)) {
	if options.Only != "" && options.Only != name {
		return
	}
	iterations := int64(1024)
	for {
		cpuBegin, begin := cpuNanoseconds(), time.Now()
		body(iterations)
		elapsed, cpu := time.Since(begin), cpuNanoseconds()-cpuBegin
		if elapsed.Seconds() >= options.Seconds {
			fmt.Printf("{\"name\": %q, \"ns_per_op\": %.1f, \"cpu_ns_per_op\": %.1f}\n", name,
				float64(elapsed.Nanoseconds())/float64(iterations), float64(cpu)/float64(iterations))
			return
		}
		growth := min(max(options.Seconds*1.2/max(elapsed.Seconds(), 1e-6), 1.2), 20.0)
		iterations = int64(float64(iterations)*growth) / 64 * 64
	}
}

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

func roundTripsInFlight(count, inFlight int64) {
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

func pingPong(count int64) {
	toEcho, toMain := make(chan uint64, 1), make(chan uint64, 1)
	ended := make(chan struct{})
	go func() {
		for value := range toEcho {
			toMain <- value + 1
		}
		close(ended)
	}()
	for index := uint64(0); index < uint64(count); index++ {
		toEcho <- index
		check(<-toMain, index+1)
	}
	close(toEcho)
	<-ended
}

func main() {
	options := twin.Parse()
	measure(options, "compute_round_trip", roundTrips)
	measure(options, "compute_round_trip_64", func(count int64) { roundTripsInFlight(count, 64) })
	measure(options, "spawn_join", roundTrips)
	measure(options, "channel_ping_pong", pingPong)
}
