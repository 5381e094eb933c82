// Why a runtime is as it is: its choices, its sizes, and what the machine allows.
// Thread rule: any thread.
#include "cgroup_quota.hpp"
#include "limits.hpp"
#include "runtime_core.hpp"

#if BLITZIO_WITH_IO_URING
#include "driver/uring/describe_ring.hpp"
#endif

#include <blitzio/io/processors.hpp>

#include <fstream>

#include <sys/resource.h>
#include <sys/utsname.h>

namespace blitzio::detail
{

namespace
{

std::string limit_text(rlim_t limit, rlim_t unit, const char* name)
{
    return limit == RLIM_INFINITY ? "unlimited" : std::to_string(limit / unit) + ' ' + name;
}

std::string describe_limit(const char* title, int resource, rlim_t unit, const char* name)
{
    rlimit limits{};
    if (::getrlimit(static_cast<__rlimit_resource_t>(resource), &limits) != 0)
    {
        return {};
    }
    return std::string(title) + ": " + limit_text(limits.rlim_cur, unit, name) + " soft, " +
           limit_text(limits.rlim_max, unit, name) + " hard\n";
}

std::string describe_machine()
{
    std::string text;
    utsname system{};
    if (::uname(&system) == 0)
    {
        text += std::string("kernel: ") + system.sysname + ' ' + system.release + ", " +
                system.machine + '\n';
    }
    const auto budget = usable_processors();
    text +=
        "processors: " + std::to_string(budget.count) + " (" + std::string(budget.reason) + ")\n";
    const unsigned quota = processors_of_cgroup();
    text += "quota of the cgroups: " +
            (quota == 0 ? std::string("none") : std::to_string(quota) + " processors") + '\n';
    text += describe_limit("locked memory", RLIMIT_MEMLOCK, 1024, "KiB");
    text += describe_limit("open files", RLIMIT_NOFILE, 1, "descriptors");
    return text;
}

std::string describe_sysctl()
{
    std::ifstream file("/proc/sys/kernel/io_uring_disabled");
    int value = 0;
    if (!(file >> value))
    {
        return "kernel.io_uring_disabled: this kernel has no such setting\n";
    }
    return "kernel.io_uring_disabled: " + std::to_string(value) +
           (value == 0   ? " (allowed)\n"
            : value == 1 ? " (only for members of kernel.io_uring_group)\n"
                         : " (forbidden)\n");
}

} // namespace

std::string runtime_core::describe_sizes() const
{
    const auto count = [](std::uint64_t limit) {
        return limit == 0 ? std::string("unlimited") : std::to_string(limit);
    };
    return "ring entries: " +
           (config_.ring_entries != 0
                ? std::to_string(config_.ring_entries) + " (configured)"
                : std::to_string(limits::ring_entries_default) + " (default)") +
           '\n' + "blocking pool: up to " + std::to_string(config_.blocking_threads_max) +
           " threads\n" + "file pool: up to " + std::to_string(config_.file_threads_max) +
           " threads\n" +
           "calls that may wait for either: " + std::to_string(config_.blocking_queue_max) + '\n' +
           "idle threads of both stay for: " + std::to_string(config_.blocking_keep_alive.count()) +
           " ms\n" + "timers per worker: " + count(config_.timers_max) + '\n' +
           "registered files per ring: " +
           (config_.registered_files_max == 0 ? std::string("off (not asked for)")
            : backend_->name() == "io_uring"
                ? "up to " + std::to_string(config_.registered_files_max)
                : "off (this backend has none)") +
           '\n' + "stalls: " +
           (stalls_ != nullptr
                ? "reported after " + std::to_string(config_.stall_threshold.count()) + " ms"
            : config_.stall_threshold.count() == 0 ? std::string("not watched (configured)")
                                                   : std::string("not watched (no threads)")) +
           '\n' + "stacks of the workers: " +
           (config_.thread_stack_bytes == 0
                ? std::string("the system's default")
                : std::to_string(config_.thread_stack_bytes) + " bytes") +
           '\n';
}

std::string runtime_core::describe_surroundings() const
{
    std::string text = describe_machine() + describe_sysctl();
#if BLITZIO_WITH_IO_URING
    text += describe_ring();
#else
    text += "io_uring: this build has no driver for it\n";
#endif
    return text;
}

} // namespace blitzio::detail
