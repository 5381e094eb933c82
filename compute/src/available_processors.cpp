// Reads the affinity mask and the cgroup quota. Thread rule: any thread.
#include "available_processors.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <string>
#include <thread>

#include <sched.h>

namespace blitzio::compute::detail
{

namespace
{

unsigned processors_of_affinity() noexcept
{
    // The kernel refuses a mask smaller than its own, so it grows until it fits.
    for (int processors = 1024; processors <= 1024 * 1024; processors *= 4)
    {
        cpu_set_t* const mask = CPU_ALLOC(processors);
        if (mask == nullptr)
        {
            break;
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
    return std::max(std::thread::hardware_concurrency(), 1u);
}

std::string first_line(const std::string& path)
{
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

/// The smallest quota from `folder` up to `root`, for one of the two cgroup versions.
template <class ReadQuota>
unsigned smallest_quota(const std::string& root, std::string folder, ReadQuota read_quota)
{
    unsigned smallest = 0;
    for (;;)
    {
        const unsigned here = read_quota(root + folder);
        smallest = here == 0 ? smallest : smallest == 0 ? here : std::min(smallest, here);
        const auto slash = folder.rfind('/');
        if (slash == std::string::npos)
        {
            return smallest;
        }
        folder.resize(slash);
    }
}

unsigned quota_version_2(const std::string& folder)
{
    return processors_of_quota(first_line(folder + "/cpu.max"));
}

unsigned quota_version_1(const std::string& folder)
{
    return processors_of_quota(first_line(folder + "/cpu.cfs_quota_us") + ' ' +
                               first_line(folder + "/cpu.cfs_period_us"));
}

/// Each line of the file is "hierarchy:controllers:folder"; version 2 has no controllers.
unsigned processors_of_cgroup()
{
    std::ifstream memberships("/proc/self/cgroup");
    unsigned smallest = 0;
    for (std::string line; std::getline(memberships, line);)
    {
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos)
        {
            continue;
        }
        const std::string controllers = ',' + line.substr(first + 1, second - first - 1) + ',';
        std::string folder = line.substr(second + 1);
        folder = folder == "/" ? std::string() : folder;
        unsigned quota = 0;
        if (controllers == ",,")
        {
            quota = smallest_quota("/sys/fs/cgroup", folder, quota_version_2);
        }
        else if (controllers.find(",cpu,") != std::string::npos)
        {
            quota = smallest_quota("/sys/fs/cgroup/cpu", folder, quota_version_1);
        }
        smallest = quota == 0 ? smallest : smallest == 0 ? quota : std::min(smallest, quota);
    }
    return smallest;
}

} // namespace

unsigned processors_of_quota(std::string_view cpu_max) noexcept
{
    std::int64_t quota = 0;
    std::int64_t period = 0;
    const char* const end = cpu_max.data() + cpu_max.size();
    const auto first = std::from_chars(cpu_max.data(), end, quota);
    if (first.ec != std::errc() || first.ptr == end || *first.ptr != ' ')
    {
        return 0; // "max", or no such file
    }
    const auto second = std::from_chars(first.ptr + 1, end, period);
    if (second.ec != std::errc() || quota <= 0 || period <= 0)
    {
        return 0;
    }
    constexpr std::int64_t processors_max = 1 << 20;
    const std::int64_t rounded_up = quota / period + (quota % period != 0 ? 1 : 0);
    return static_cast<unsigned>(std::min(rounded_up, processors_max));
}

unsigned available_processors() noexcept
{
    const unsigned allowed = processors_of_affinity();
    try
    {
        const unsigned quota = processors_of_cgroup();
        return quota == 0 ? allowed : std::min(allowed, quota);
    }
    catch (...)
    {
        return allowed; // no memory for the text; the mask alone is a good answer
    }
}

} // namespace blitzio::compute::detail
