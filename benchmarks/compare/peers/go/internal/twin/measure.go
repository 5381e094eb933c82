package twin

import (
	"fmt"
	"strings"
	"syscall"
	"time"
)

// Figure is one value of a result line.
type Figure struct {
	Name  string
	Value float64
}

// PrintLine prints one result as JSON.
func PrintLine(name string, figures ...Figure) {
	var line strings.Builder
	fmt.Fprintf(&line, "{\"name\": %q", name)
	for _, figure := range figures {
		fmt.Fprintf(&line, ", %q: %.6f", figure.Name, figure.Value)
	}
	fmt.Println(line.String() + "}")
}

// Usage is what the process has used so far.
func Usage() syscall.Rusage {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		panic(err)
	}
	return usage
}

// CPUNanoseconds is the CPU time of the whole process.
func CPUNanoseconds() int64 {
	usage := Usage()
	return usage.Utime.Nano() + usage.Stime.Nano()
}

// CostOf gives the wall and CPU nanoseconds of body.
func CostOf(body func()) (wall, cpu float64) {
	cpuBegin, begin := CPUNanoseconds(), time.Now()
	body()
	return float64(time.Since(begin).Nanoseconds()), float64(CPUNanoseconds() - cpuBegin)
}

// Wants tells whether the command line asks for this benchmark.
func (o Options) Wants(name string) bool {
	return o.Only == "" || o.Only == name
}

// Measure runs body with growing counts, multiples of unit, until it lasts long enough, then prints
// the cost of the last run.
func Measure(options Options, name string, unit int64, body func(count int64)) {
	iterations := max(1024/unit, 1) * unit
	for {
		wall, cpu := CostOf(func() { body(iterations) })
		count := float64(iterations)
		if wall >= options.Seconds*1e9 {
			PrintLine(name, Figure{"ns_per_op", wall / count}, Figure{"cpu_ns_per_op", cpu / count})
			return
		}
		growth := min(max(options.Seconds*1.2e9/max(wall, 1e3), 1.2), 20.0)
		iterations = max(int64(count*growth)/unit, iterations/unit+1) * unit
	}
}
