// Where a computation asks whether it may keep its processor.
// Thread rule: any thread; only threads of pools that give way to I/O ever wait.
#pragma once

#include <atomic>
#include <chrono>

namespace blitzio::compute::detail
{

/// True as soon as a pool that gives way exists in a process whose cgroup has a CPU quota.
extern std::atomic<bool> leases_are_limited;

/// Waits while the rest of the quota is to be left to the I/O workers.
void renew_lease() noexcept;

/// Whether renew_lease() would look at the quota.
[[nodiscard]] bool is_lease_over(std::chrono::steady_clock::time_point now) noexcept;

/// Called between the chunks of every parallel loop and between jobs. Costs a load where processor
/// time is not rationed.
inline void lease_point() noexcept
{
    // Relaxed: whoever sees it late runs a little longer.
    if (leases_are_limited.load(std::memory_order_relaxed)) [[unlikely]]
    {
        renew_lease();
    }
}

/// For jobs that others wait for and that can come back later: true when this one should end, so that
/// its thread reaches the lease_point() between jobs. Costs a load where nothing is rationed.
[[nodiscard]] inline bool lease_ended(std::chrono::steady_clock::time_point now) noexcept
{
    return leases_are_limited.load(std::memory_order_relaxed) && is_lease_over(now);
}

} // namespace blitzio::compute::detail
