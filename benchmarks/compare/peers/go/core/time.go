package main

import (
	"bytes"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"blitzio.invalid/compare/go/internal/twin"
)

const (
	sleepers    = 100_000
	parkedTasks = 1_000_000
	idleTasks   = 1_000
	long        = 30 * time.Second
)

// AfterFunc, because the timer of NewTimer is not armed before somebody waits for its channel.
func timerCancel(count int64) {
	for range count {
		require(time.AfterFunc(long, func() {}).Stop(), "the timer was not withdrawn")
	}
}

func timeoutYield(count int64) {
	for range count {
		timer := time.AfterFunc(long, func() {})
		runtime.Gosched()
		require(timer.Stop(), "the yield timed out")
	}
}

func allSleepers(late []time.Duration) {
	var ended sync.WaitGroup
	ended.Add(len(late))
	state := uint64(0x2545F4914F6CDD1D)
	for index := range late {
		state = state*6364136223846793005 + 1442695040888963407
		duration := time.Duration(1+(state>>33)%100) * time.Millisecond
		go func() {
			begin := time.Now()
			time.Sleep(duration)
			late[index] = time.Since(begin) - duration
			ended.Done()
		}()
	}
	ended.Wait()
}

func sleeps(_ twin.Options, name string) {
	late := make([]time.Duration, sleepers)
	_, cpu := twin.CostOf(func() { allSleepers(late) })
	slices.Sort(late)
	require(late[0] >= 0, "a sleep ended early")
	part := func(index int) float64 { return late[index].Seconds() * 1e3 }
	twin.PrintLine(name,
		twin.Figure{Name: "late_p50_ms", Value: part(sleepers / 2)},
		twin.Figure{Name: "late_p99_ms", Value: part(sleepers * 99 / 100)},
		twin.Figure{Name: "late_max_ms", Value: part(sleepers - 1)},
		twin.Figure{Name: "cpu_s", Value: cpu * 1e-9})
}

func residentBytes() float64 {
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	pages, err := strconv.ParseFloat(string(bytes.Fields(status)[1]), 64)
	if err != nil {
		panic(err)
	}
	return pages * float64(os.Getpagesize())
}

// place is what goroutines wait for, and how many of them have begun and ended.
type place struct {
	awaited      chan struct{}
	begun, ended atomic.Int64
}

func (p *place) parkAll(count int64) {
	p.awaited = make(chan struct{})
	for index := range count {
		go func() {
			p.begun.Add(1)
			<-p.awaited
			p.ended.Add(1)
		}()
		if index%64 == 0 {
			runtime.Gosched() // the queue of those that have not begun stays short
		}
	}
	for p.begun.Load() != count {
		runtime.Gosched()
	}
}

func (p *place) releaseAll() {
	close(p.awaited)
	for p.ended.Load() != p.begun.Load() {
		runtime.Gosched()
	}
}

func parked(_ twin.Options, name string) {
	var warmUp, parked place
	warmUp.parkAll(1000)
	warmUp.releaseAll()
	debug.FreeOSMemory()
	before := residentBytes()
	wall, _ := twin.CostOf(func() { parked.parkAll(parkedTasks) })
	resident := (residentBytes() - before) / parkedTasks
	parked.releaseAll()
	twin.PrintLine(name,
		twin.Figure{Name: "bytes", Value: resident},
		twin.Figure{Name: "ns_per_task", Value: wall / parkedTasks})
}

func idle(options twin.Options, name string) {
	var waiting place
	waiting.parkAll(idleTasks)
	go time.Sleep(time.Hour)
	time.Sleep(500 * time.Millisecond)
	first := twin.Usage()
	wall, cpu := twin.CostOf(func() { time.Sleep(time.Duration(options.Seconds * 1e9)) })
	last := twin.Usage()
	twin.PrintLine(name,
		twin.Figure{Name: "cpu_percent", Value: 100 * cpu / wall},
		twin.Figure{Name: "voluntary", Value: float64(last.Nvcsw - first.Nvcsw)},
		twin.Figure{Name: "involuntary", Value: float64(last.Nivcsw - first.Nivcsw)},
		twin.Figure{Name: "seconds", Value: wall * 1e-9})
}
