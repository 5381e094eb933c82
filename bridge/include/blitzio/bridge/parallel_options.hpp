// How an awaited parallel algorithm splits its input, and what is not worth the way to the pool.
// Thread rule: plain values.
//
// What holds for all of the awaited algorithms (parallel_for, parallel_map, parallel_reduce,
// parallel_scan, parallel_sort, parallel_invoke):
// - Each is one job of the pool that hands out parts of its input while threads are idle. The task
//   waits without a thread. Without a pool as first argument: compute::default_pool().
// - Callables and what they capture live in the awaiting frame; ranges given as lvalues are borrowed,
//   rvalues live in the frame. Nothing of blitzio's is allocated, except for results and for the
//   positions of ranges without random access. `pool` outlives the await.
// - Callables are called on several threads at once, with a stop_token if they take one; inside,
//   this_compute tells about the awaiting task.
// - Complete or error: never some results. Cancellation: asked between any two pieces of work, at the
//   latest after some microseconds of cheap elements; then operation_canceled (timed_out, if the
//   deadline of a timeout() around it was noticed here first), as soon as the running callables have
//   returned. A stop that comes after the last element has no effect.
// - Each place in the program that they are called from is a call site, as those of compute_on: how
//   long its loops take is measured, and explain_call_sites() tells about it.
// - Errors: as compute_on. The first exception, of any type, is thrown again where it is awaited,
//   after every running call has ended.
// - In a simulated runtime they run in input order on its one thread, unless it has real pools.
#pragma once

#include <blitzio/bridge/compute_options.hpp>

#include <chrono>
#include <cstddef>

namespace blitzio
{

struct parallel_options
{
    /// The fewest elements worth handing to another thread; inputs that are not larger are computed
    /// on one thread of the pool, without splitting. 0: one element, or what the algorithm holds to
    /// be right.
    std::size_t grain = 0;
    /// Inputs of at most this many elements are computed at once on the worker that awaits, which
    /// saves the way to the pool and back; everything else on that worker waits meanwhile.
    std::size_t inline_max = 0;
    /// The callables wait (await_in_compute()): every `grain` elements are a piece of their own, so
    /// that as many may wait at the same time. Otherwise only as many pieces are made as are good
    /// for the threads. parallel_for and the maps.
    bool waits = false;
    /// parallel_reduce: group the elements the same way every time and on every machine.
    bool deterministic = false;
    /// Whether a loop that would end after its deadline is started; by what whole loops of the same
    /// call site have taken, whatever their size was. What is computed at once by `inline_max` is
    /// neither measured nor refused.
    blitzio::admission admission = blitzio::admission::open;
    /// For admission::by_deadline, besides the task's own: as in compute_options.
    std::chrono::nanoseconds deadline = no_deadline;
};

} // namespace blitzio
