package main

import (
	"runtime"
	"sync"
)

// Values that a bounded queue holds, in every twin.
const capacity = 64

const fanOutWidth = 100_000

func spawnJoin(count int64) {
	for index := uint64(0); index < uint64(count); index++ {
		done := make(chan uint64, 1)
		go func() { done <- increment(index) }()
		require(<-done == index+1, "wrong answer from a goroutine")
	}
}

func fanOut(count int64) {
	answers := make([]uint64, fanOutWidth)
	for range count / fanOutWidth {
		var ended sync.WaitGroup
		ended.Add(fanOutWidth)
		for index := uint64(0); index < fanOutWidth; index++ {
			go func() {
				answers[index] = increment(index)
				ended.Done()
			}()
		}
		ended.Wait()
		sum := uint64(0)
		for index, answer := range answers {
			sum += answer
			answers[index] = 0
		}
		require(sum == sumBelow(fanOutWidth+1), "wrong sum of the fan-out")
	}
}

func giveWay(count int64) {
	for range count {
		runtime.Gosched()
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
		require(<-toMain == index+1, "wrong value from the channel")
	}
	close(toEcho)
	<-ended
}

func produce(values chan<- uint64, count int64, ended *sync.WaitGroup) {
	for index := uint64(0); index < uint64(count); index++ {
		values <- index
	}
	ended.Done()
}

func throughChannel(count, pairs int64) {
	values := make(chan uint64, capacity)
	sums := make(chan uint64, pairs)
	var producers sync.WaitGroup
	producers.Add(int(pairs))
	for range pairs {
		go produce(values, count/pairs, &producers)
		go func() {
			sum := uint64(0)
			for value := range values {
				sum += value
			}
			sums <- sum
		}()
	}
	producers.Wait()
	close(values)
	sum := uint64(0)
	for range pairs {
		sum += <-sums
	}
	require(sum == uint64(pairs)*sumBelow(count/pairs), "wrong sum of the values received")
}

func oneshot(count int64) {
	for index := uint64(0); index < uint64(count); index++ {
		value := make(chan uint64, 1)
		value <- increment(index)
		require(<-value == index+1, "wrong value from the channel")
	}
}

func mutex(count int64) {
	var lock sync.Mutex
	value := uint64(0)
	for range count {
		lock.Lock()
		value = increment(value)
		lock.Unlock()
	}
	require(value == uint64(count), "wrong count under the mutex")
}

func selectTwo(count int64) {
	left, right := make(chan uint64, capacity), make(chan uint64, capacity)
	var producers sync.WaitGroup
	producers.Add(2)
	go produce(left, count/2, &producers)
	go produce(right, count/2, &producers)
	sum := uint64(0)
	for range count {
		select {
		case value := <-left:
			sum += value
		case value := <-right:
			sum += value
		}
	}
	producers.Wait()
	require(sum == 2*sumBelow(count/2), "wrong sum of the values selected")
}
