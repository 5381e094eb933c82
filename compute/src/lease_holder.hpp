// The rationing of processor time below a cgroup's CPU quota.
// Thread rule: any thread; hold_lease() speaks of the calling one.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace blitzio::compute::detail
{

/// Reads the quota of the process, once; from here on threads that hold leases keep within it.
void limit_leases_by_quota();

/// Whether lease_point() may make the calling thread wait.
void hold_lease(bool gives_way) noexcept;

struct lease_totals
{
    std::uint64_t returned = 0;
    std::chrono::nanoseconds waited{0};
};
[[nodiscard]] lease_totals leases_so_far() noexcept;

/// A line for explain().
[[nodiscard]] std::string describe_leases(bool gives_way);

} // namespace blitzio::compute::detail
