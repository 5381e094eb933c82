// The CPU quota of the process's cgroups. Thread rule: any thread.
#pragma once

#include <string>
#include <string_view>

namespace blitzio::detail
{

/// Processors that "<quota> <period>" in microseconds, the text of a version 2 cpu.max, stands for,
/// rounded up; 0: no limit, or not understood.
[[nodiscard]] unsigned processors_of_quota(std::string_view cpu_max) noexcept;

/// The tightest quota of the process's cgroups and their ancestors, versions 1 and 2; 0: none. `root`
/// is the folder that holds proc and sys, the file system's own when empty.
[[nodiscard]] unsigned processors_of_cgroup(const std::string& root = {});

/// The same, not rounded: CPU seconds per second.
[[nodiscard]] double quota_of_cgroup(const std::string& root = {});

} // namespace blitzio::detail
