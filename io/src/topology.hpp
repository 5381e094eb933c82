// How many processors this process may really use. Thread rule: any thread.
#pragma once

#include <string>

namespace blitzio::detail
{

struct processor_budget
{
    /// At least 1.
    unsigned count = 1;
    /// For explain(): which limit decided.
    std::string reason;
};

/// The smallest of the affinity mask and the CPU quotas of the process's cgroup and all of its
/// ancestors (version 1 and 2), rounded up.
[[nodiscard]] processor_budget usable_processors();

} // namespace blitzio::detail
