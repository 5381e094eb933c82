// Giving way to I/O by the one means that needs no privilege: a raised nice value.
// Thread rule: apply_nice() speaks of the calling thread; the rest from any thread.
#pragma once

#include <blitzio/compute/pool.hpp>

#include <string>

namespace blitzio::compute::detail
{

/// By how much the nice value of a pool's threads is raised above that of whoever made the pool.
[[nodiscard]] int nice_steps(pool_priority priority, courtesy give_way) noexcept;

struct nice_outcome
{
    int before = 0;
    int after = 0;
    /// errno of the refusal; 0: none.
    int error = 0;
    /// The thread is scheduled by a policy that knows no nice values.
    bool without_effect = false;
};

/// Raises the calling thread's nice value by `steps`, to 19 at most. It cannot be lowered again
/// without a privilege, so this is for threads that end with their pool.
[[nodiscard]] nice_outcome apply_nice(int steps) noexcept;

/// A line for explain().
[[nodiscard]] std::string describe(const nice_outcome& outcome, int steps);

} // namespace blitzio::compute::detail
