// Parallel algorithms for use inside a job of a pool: the calling thread takes part and waits.
// Tasks use those of blitzio/bridge, which wait without a thread.
//
// What holds for all of them:
// - Callables are called on several threads at once, with or without a stop_token as they like.
// - Complete or error: a result means that everything was done.
// - Stops: asked between any two pieces of work, at the latest after some microseconds of cheap
//   elements; requested by the token given, by the task that awaits the job (this_compute::stop()),
//   by its deadline, and when something was thrown. Then operation_canceled, or timed_out when the
//   loop noticed the deadline first. A stop that comes after the last element has no effect.
// - Exceptions: the first one, of any type, is thrown again when no callable runs any more.
// - Callables find this_compute as the job does. Loops may be nested; each is isolated from all
//   other work: a thread that waits for its loop takes up nothing else.
// - Outside of a pool they run on oneTBB's own threads.
// Thread rule: call on a thread of a pool.
#pragma once

#include <blitzio/compute/parallel_for.hpp>
#include <blitzio/compute/parallel_invoke.hpp>
#include <blitzio/compute/parallel_map.hpp>
#include <blitzio/compute/parallel_options.hpp>
#include <blitzio/compute/parallel_reduce.hpp>
#include <blitzio/compute/parallel_scan.hpp>
#include <blitzio/compute/parallel_sort.hpp>
