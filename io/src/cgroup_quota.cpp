// Reads /proc/self/cgroup and the quota files below /sys/fs/cgroup. Thread rule: any thread.
#include "cgroup_quota.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <string>

namespace blitzio::detail
{

namespace
{

std::string first_line(const std::string& path)
{
    std::ifstream file(path);
    std::string line;
    std::getline(file, line);
    return line;
}

/// 0 stands for "no limit".
double tighter(double left, double right) noexcept
{
    return left == 0 ? right : right == 0 ? left : std::min(left, right);
}

/// The tightest quota from `group` up to `root`, for one of the two cgroup versions.
template <class ReadQuota>
double tightest(const std::string& root, std::string group, ReadQuota read_quota)
{
    double least = 0;
    for (;;)
    {
        least = tighter(least, read_quota(root + group));
        const auto slash = group.rfind('/');
        if (slash == std::string::npos)
        {
            return least;
        }
        group.resize(slash);
    }
}

/// Processors that a quota file grants; 0: no limit, or not understood.
double quota_of(std::string_view cpu_max) noexcept
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
    constexpr double processors_max = 1 << 20;
    return std::min(static_cast<double>(quota) / static_cast<double>(period), processors_max);
}

double quota_version_2(const std::string& group)
{
    return quota_of(first_line(group + "/cpu.max"));
}

double quota_version_1(const std::string& group)
{
    return quota_of(first_line(group + "/cpu.cfs_quota_us") + ' ' +
                    first_line(group + "/cpu.cfs_period_us"));
}

} // namespace

unsigned processors_of_quota(std::string_view cpu_max) noexcept
{
    return static_cast<unsigned>(std::ceil(quota_of(cpu_max)));
}

unsigned processors_of_cgroup(const std::string& root)
{
    return static_cast<unsigned>(std::ceil(quota_of_cgroup(root)));
}

double quota_of_cgroup(const std::string& root)
{
    std::ifstream memberships(root + "/proc/self/cgroup");
    double least = 0;
    // Each line is "hierarchy:controllers:group"; version 2 has no controllers.
    for (std::string line; std::getline(memberships, line);)
    {
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos)
        {
            continue;
        }
        const std::string controllers = line.substr(first + 1, second - first - 1);
        std::string group = line.substr(second + 1);
        group = group == "/" ? std::string() : group;
        if (controllers.empty())
        {
            least = tighter(least, tightest(root + "/sys/fs/cgroup", group, quota_version_2));
        }
        else if ((',' + controllers + ',').find(",cpu,") != std::string::npos)
        {
            // The folder is named after all controllers of the hierarchy; "cpu" is a link to it.
            least = tighter(least, tightest(root + "/sys/fs/cgroup/cpu", group, quota_version_1));
        }
    }
    return least;
}

} // namespace blitzio::detail
