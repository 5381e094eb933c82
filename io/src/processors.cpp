// Combines the affinity mask with the cgroup's quota. Thread rule: any thread.
#include <blitzio/io/processors.hpp>

#include "cgroup_quota.hpp"

#include <algorithm>
#include <thread>

#include <sched.h>

namespace blitzio
{

namespace
{

/// 0 when the kernel does not tell.
unsigned processors_of_affinity() noexcept
{
    // The kernel refuses a mask smaller than its own, so it grows until it fits.
    for (int processors = 1024; processors <= 1024 * 1024; processors *= 4)
    {
        cpu_set_t* const mask = CPU_ALLOC(processors);
        if (mask == nullptr)
        {
            return 0;
        }
        const std::size_t bytes = CPU_ALLOC_SIZE(processors);
        const bool known = sched_getaffinity(0, bytes, mask) == 0;
        const int count = known ? CPU_COUNT_S(bytes, mask) : 0;
        CPU_FREE(mask);
        if (count > 0)
        {
            return static_cast<unsigned>(count);
        }
    }
    return 0;
}

unsigned quota_or_none() noexcept
{
    try
    {
        return detail::processors_of_cgroup();
    }
    catch (...)
    {
        return 0; // no memory for the text; the mask alone is a good answer
    }
}

} // namespace

double processor_quota() noexcept
{
    try
    {
        return detail::quota_of_cgroup();
    }
    catch (...)
    {
        return 0; // as above
    }
}

processor_budget usable_processors() noexcept
{
    processor_budget budget{std::max(1u, std::thread::hardware_concurrency()),
                            "processors of the machine"};
    const auto limit = [&budget](unsigned count, std::string_view reason) {
        if (count != 0 && count < budget.count)
        {
            budget = {count, reason};
        }
    };
    limit(processors_of_affinity(), "affinity mask");
    limit(quota_or_none(), "cgroup CPU quota");
    return budget;
}

} // namespace blitzio
