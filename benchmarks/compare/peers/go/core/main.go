// The shapes of the core cells in Go, each measured in a process of its own: --only NAME. What each
// does is told in the comparison's README; blitzio's and Tokio's have the same names.
package main

import (
	"fmt"
	"os"

	"blitzio.invalid/compare/go/internal/twin"
)

type rate struct {
	name string
	unit int64
	body func(count int64)
}

var rates = []rate{
	{"spawn_join", 1, spawnJoin},
	{"fan_out", fanOutWidth, fanOut},
	{"yield", 1, giveWay},
	{"ping_pong", 1, pingPong},
	{"mpmc_1p1c", 1, func(count int64) { throughChannel(count, 1) }},
	{"mpmc_4p4c", 4, func(count int64) { throughChannel(count, 4) }},
	{"oneshot", 1, oneshot},
	{"mutex", 1, mutex},
	{"select_two", 2, selectTwo},
	{"timer_cancel", 1, timerCancel},
	{"timeout_yield", 1, timeoutYield},
}

type special struct {
	name string
	run  func(options twin.Options, name string)
}

var specials = []special{
	{"sleeps", sleeps},
	{"parked", parked},
	{"idle", idle},
}

func require(condition bool, what string) {
	if !condition {
		panic(what)
	}
}

// Not inlined, so that the compiler does not see through the work of a task.
//
//go:noinline
func increment(value uint64) uint64 {
	return value + 1
}

func sumBelow(count int64) uint64 {
	return uint64(count) * uint64(max(count-1, 0)) / 2
}

func main() {
	options := twin.Parse()
	known := options.Only == ""
	for _, each := range rates {
		if options.Wants(each.name) {
			known = true
			twin.Measure(options, each.name, each.unit, each.body)
		}
	}
	for _, each := range specials {
		if options.Wants(each.name) {
			known = true
			each.run(options, each.name)
		}
	}
	if !known {
		fmt.Fprintln(os.Stderr, "there is no shape of that name:", options.Only)
		os.Exit(2)
	}
}
