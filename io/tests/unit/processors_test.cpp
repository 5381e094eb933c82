// How many processors a process may use. Thread rule: one thread, which changes its own affinity.
#include "cgroup_quota.hpp"

#include <blitzio/io/processors.hpp>

#include "test_directory.hpp"

#include <catch2/catch_test_macros.hpp>

#include <filesystem>
#include <string>
#include <string_view>
#include <thread>

#include <sched.h>

TEST_CASE("cgroup quotas are rounded up to processors", "[io][processors]")
{
    using blitzio::detail::processors_of_quota;
    CHECK(processors_of_quota("max 100000") == 0);
    CHECK(processors_of_quota("") == 0);
    CHECK(processors_of_quota("-1 100000") == 0);
    CHECK(processors_of_quota("100000") == 0);
    CHECK(processors_of_quota("100000 0") == 0);
    CHECK(processors_of_quota("200000 100000") == 2);
    CHECK(processors_of_quota("250000 100000\n") == 3);
    CHECK(processors_of_quota("1 100000") == 1);
    CHECK(processors_of_quota("9223372036854775807 1") == 1u << 20);
}

namespace
{

/// A root with proc and sys of its own.
class fake_root
{
public:
    explicit fake_root(std::string_view memberships)
    {
        put("proc/self/cgroup", memberships);
    }

    void put(const std::string& name, std::string_view contents)
    {
        const auto folder = std::filesystem::path(directory_.path(name)).parent_path();
        std::filesystem::create_directories(folder);
        directory_.file(name, contents);
    }

    [[nodiscard]] unsigned processors() const
    {
        return blitzio::detail::processors_of_cgroup(directory_.path());
    }

private:
    blitzio::detail::testing::test_directory directory_;
};

} // namespace

TEST_CASE("a quota of cgroup version 2 is the tightest of the group and its ancestors",
          "[io][processors]")
{
    fake_root root("0::/pods/one/inner\n");
    CHECK(root.processors() == 0); // no such files
    root.put("sys/fs/cgroup/pods/one/inner/cpu.max", "max 100000\n");
    CHECK(root.processors() == 0);
    root.put("sys/fs/cgroup/pods/cpu.max", "350000 100000\n");
    CHECK(root.processors() == 4);
    root.put("sys/fs/cgroup/pods/one/cpu.max", "150000 100000\n");
    CHECK(root.processors() == 2);
    root.put("sys/fs/cgroup/pods/one/inner/cpu.max", "800000 100000\n");
    CHECK(root.processors() == 2);
    // A neighbour's does not count.
    root.put("sys/fs/cgroup/pods/two/cpu.max", "100000 100000\n");
    CHECK(root.processors() == 2);
    root.put("sys/fs/cgroup/cpu.max", "50000 100000\n");
    CHECK(root.processors() == 1);
}

TEST_CASE("the root group of version 2 has a quota inside a container", "[io][processors]")
{
    fake_root root("0::/\n");
    root.put("sys/fs/cgroup/cpu.max", "250000 100000\n");
    CHECK(root.processors() == 3);
}

TEST_CASE("a quota of cgroup version 1 is read from the cpu controller only", "[io][processors]")
{
    fake_root root("5:memory:/pods/one\n"
                   "4:cpu,cpuacct:/pods/one\n"
                   "3:cpuset:/pods/one\n");
    const std::string cpu = "sys/fs/cgroup/cpu/pods/one/";
    root.put(cpu + "cpu.cfs_quota_us", "-1\n");
    root.put(cpu + "cpu.cfs_period_us", "100000\n");
    CHECK(root.processors() == 0);
    root.put(cpu + "cpu.cfs_quota_us", "610000\n");
    CHECK(root.processors() == 7);
    root.put("sys/fs/cgroup/cpu/pods/cpu.cfs_quota_us", "200000\n");
    CHECK(root.processors() == 7); // a quota without a period says nothing
    root.put("sys/fs/cgroup/cpu/pods/cpu.cfs_period_us", "50000\n");
    CHECK(root.processors() == 4);
    // "cpuset" is not "cpu", and memory has no processors.
    root.put("sys/fs/cgroup/cpuset/pods/one/cpu.cfs_quota_us", "100000\n");
    root.put("sys/fs/cgroup/cpuset/pods/one/cpu.cfs_period_us", "100000\n");
    CHECK(root.processors() == 4);
}

TEST_CASE("both cgroup versions together, and lines that are none", "[io][processors]")
{
    fake_root root("nonsense\n"
                   "one:colon\n"
                   "\n"
                   "1:cpu:/\n"
                   "0::/unified\n");
    CHECK(root.processors() == 0);
    root.put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000");
    root.put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000");
    CHECK(root.processors() == 3);
    root.put("sys/fs/cgroup/unified/cpu.max", "200000 100000");
    CHECK(root.processors() == 2);
    CHECK(fake_root("").processors() == 0);
}

TEST_CASE("the affinity mask limits what a process may use", "[io][processors]")
{
    CHECK(blitzio::usable_processors().count >= 1);
    // On a thread of its own: the mask of this one stays as it is.
    std::thread([] {
        cpu_set_t all;
        CPU_ZERO(&all);
        REQUIRE(sched_getaffinity(0, sizeof all, &all) == 0);
        int first = 0;
        while (!CPU_ISSET(first, &all))
        {
            ++first;
        }
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(first, &one);
        REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
        const auto budget = blitzio::usable_processors();
        CHECK(budget.count == 1);
        CHECK((std::thread::hardware_concurrency() == 1 || budget.reason == "affinity mask"));
    }).join();
}
