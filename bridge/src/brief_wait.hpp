// Waiting a moment for a computation that may be over in a moment.
// Thread rule: on the awaiting worker; nothing is shared between workers.
#pragma once

#include <blitzio/compute/pool.hpp>
#include <blitzio/io/detail/oneshot_state.hpp>

namespace blitzio::detail
{

/// Spins for a few microseconds until the hand-off is finished, where that is likely to pay:
/// sleeping and being woken on another processor costs 5 to 25 us, a computation of a microsecond
/// on a pool thread that is awake costs one. Ends early when the worker has anything else to run.
/// Does nothing when the pool's idle_spin is 0 (as with a single processor), or when such waits have been in vain lately: each
/// one in vain doubles how many are skipped, so that long computations cost no more than a try in a
/// thousand.
void wait_briefly(const compute::pool& pool, const oneshot_state<>& hand_off) noexcept;

} // namespace blitzio::detail
