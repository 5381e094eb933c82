// How many processors this process may really use: what runtimes and pools size themselves by.
// Thread rule: any thread.
#pragma once

#include <string_view>

namespace blitzio
{

struct processor_budget
{
    /// At least 1.
    unsigned count = 1;
    /// Which limit decided; text that lives forever, for explain().
    std::string_view reason;
};

/// The smallest of the calling thread's affinity mask and the CPU quotas of the process's cgroup
/// and all of its ancestors (version 1 and 2), rounded up. Reads files; never fails: a limit that
/// cannot be read does not count.
[[nodiscard]] processor_budget usable_processors() noexcept;

/// CPU seconds per second that the process's cgroup and all of its ancestors grant at most; 0: no
/// limit. Reads files; never fails: a limit that cannot be read does not count.
[[nodiscard]] double processor_quota() noexcept;

} // namespace blitzio
