// How many threads can run at once here. Thread rule: any thread.
#pragma once

#include <string_view>

namespace blitzio::compute::detail
{

/// At least 1; the affinity mask of the calling thread and the cgroup's processor quota count.
[[nodiscard]] unsigned available_processors() noexcept;

/// Processors that "<quota> <period>", the text of a cgroup v2 cpu.max, stands for, rounded up;
/// 0: no limit, or not understood.
[[nodiscard]] unsigned processors_of_quota(std::string_view cpu_max) noexcept;

} // namespace blitzio::compute::detail
