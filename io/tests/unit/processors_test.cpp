// How many processors a process may use. Thread rule: one thread, which changes its own affinity.
#include "cgroup_quota.hpp"

#include <blitzio/io/processors.hpp>

#include <catch2/catch_test_macros.hpp>

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
