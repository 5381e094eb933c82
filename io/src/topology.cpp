// Reading affinity and cgroup limits. Thread rule: any thread.
#include "topology.hpp"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <optional>
#include <sstream>
#include <string_view>
#include <thread>

namespace blitzio::detail
{

namespace
{

std::optional<std::string> first_line(const std::string& path)
{
    std::ifstream file(path);
    std::string line;
    if (!std::getline(file, line))
    {
        return std::nullopt;
    }
    return line;
}

/// "max 100000" or "150000 100000": quota and period in microseconds.
std::optional<double> quota_v2(const std::string& folder)
{
    const auto line = first_line(folder + "/cpu.max");
    if (!line)
    {
        return std::nullopt;
    }
    std::istringstream words(*line);
    std::string quota;
    double period = 0;
    words >> quota >> period;
    if (quota == "max" || period <= 0)
    {
        return std::nullopt;
    }
    return std::strtod(quota.c_str(), nullptr) / period;
}

std::optional<double> quota_v1(const std::string& folder)
{
    const auto quota = first_line(folder + "/cpu.cfs_quota_us");
    const auto period = first_line(folder + "/cpu.cfs_period_us");
    if (!quota || !period)
    {
        return std::nullopt;
    }
    const double allowed = std::strtod(quota->c_str(), nullptr);
    const double length = std::strtod(period->c_str(), nullptr);
    if (allowed <= 0 || length <= 0)
    {
        return std::nullopt;
    }
    return allowed / length;
}

/// The tightest quota of `group` and its ancestors below `root`.
std::optional<double> tightest(const std::string& root, std::string group,
                               std::optional<double> (*read)(const std::string&))
{
    std::optional<double> least;
    for (;;)
    {
        if (const auto quota = read(root + group))
        {
            least = std::min(least.value_or(*quota), *quota);
        }
        const auto slash = group.rfind('/');
        if (group.empty() || slash == std::string::npos)
        {
            return least;
        }
        group.resize(slash);
    }
}

std::optional<double> cgroup_quota()
{
    std::ifstream groups("/proc/self/cgroup");
    std::optional<double> least;
    std::string line;
    while (std::getline(groups, line))
    {
        // hierarchy:controllers:path
        const auto first = line.find(':');
        const auto second = line.find(':', first + 1);
        if (first == std::string::npos || second == std::string::npos)
        {
            continue;
        }
        const auto controllers = line.substr(first + 1, second - first - 1);
        auto path = line.substr(second + 1);
        if (path == "/")
        {
            path.clear();
        }
        std::optional<double> quota;
        if (controllers.empty())
        {
            quota = tightest("/sys/fs/cgroup", path, &quota_v2);
        }
        else if (controllers == "cpu" || controllers == "cpu,cpuacct" ||
                 controllers == "cpuacct,cpu")
        {
            quota = tightest("/sys/fs/cgroup/" + controllers, path, &quota_v1);
        }
        if (quota)
        {
            least = std::min(least.value_or(*quota), *quota);
        }
    }
    return least;
}

} // namespace

processor_budget usable_processors()
{
    unsigned count = std::max(1u, std::thread::hardware_concurrency());
    std::string reason = "processors of the machine";
    cpu_set_t mask;
    CPU_ZERO(&mask);
    if (sched_getaffinity(0, sizeof mask, &mask) == 0)
    {
        const auto allowed = static_cast<unsigned>(std::max(1, CPU_COUNT(&mask)));
        if (allowed < count)
        {
            count = allowed;
            reason = "affinity mask";
        }
    }
    if (const auto quota = cgroup_quota())
    {
        const auto allowed = static_cast<unsigned>(std::max(1.0, std::ceil(*quota)));
        if (allowed < count)
        {
            count = allowed;
            reason = "cgroup CPU quota";
        }
    }
    return {count, reason};
}

} // namespace blitzio::detail
