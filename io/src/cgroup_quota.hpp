// The CPU quota of the process's cgroups. Thread rule: any thread.
#pragma once

#include <string_view>

namespace blitzio::detail
{

/// Processors that "<quota> <period>" in microseconds, the text of a version 2 cpu.max, stands for,
/// rounded up; 0: no limit, or not understood.
[[nodiscard]] unsigned processors_of_quota(std::string_view cpu_max) noexcept;

/// The tightest quota of the process's cgroup and its ancestors; 0: none.
[[nodiscard]] unsigned processors_of_cgroup();

} // namespace blitzio::detail
