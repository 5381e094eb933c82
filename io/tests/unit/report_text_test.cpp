// The texts of dumps and shutdown reports, whole, as people read them. Thread rule: plain values.
#include <blitzio/io/interval.hpp>
#include <blitzio/io/task_report.hpp>

#include "observe/operation_name.hpp"

#include <catch2/catch_test_macros.hpp>

#include <string>

using namespace std::chrono_literals;
using blitzio::stop_reason;
using blitzio::task_report;

namespace
{

task_report sleeper(stop_reason stop)
{
    return {.name = "nightly",
            .spawned_at = "a.cpp:7",
            .has_awaited = true,
            .operation = "sleep",
            .awaits_at = "b.cpp:9",
            .awaits_in = "task<void> nap()",
            .waiting = 1'234'567'890ns,
            .stop = stop};
}

} // namespace

TEST_CASE("a task's report is one line that says all of it", "[reports]")
{
    const std::string begin =
        "spawned at a.cpp:7 (nightly): in sleep at b.cpp:9, task<void> nap(), "
        "for 1234 ms";
    CHECK(to_string(sleeper(stop_reason::none)) == begin);
    CHECK(to_string(sleeper(stop_reason::user)) == begin + "; asked to stop (user)");
    CHECK(to_string(sleeper(stop_reason::deadline)) == begin + "; asked to stop (deadline)");
    CHECK(to_string(sleeper(stop_reason::sibling)) == begin + "; asked to stop (sibling)");
    CHECK(to_string(sleeper(stop_reason::shutdown)) == begin + "; asked to stop (shutdown)");
    task_report fresh;
    fresh.spawned_at = "a.cpp:8";
    CHECK(to_string(fresh) == "spawned at a.cpp:8: has not awaited anything");
}

TEST_CASE("a dump says how many tasks it left out", "[reports]")
{
    blitzio::runtime_dump dump;
    dump.workers = {{.index = 0, .parked = true, .since_turn = 20ms},
                    {.index = 1, .parked = false, .since_turn = 3s}};
    dump.tasks = {sleeper(stop_reason::none)};
    dump.task_count = 1;
    const std::string begin = "worker 0: parked for 20 ms\n"
                              "worker 1: runs, its last turn was before 3000 ms\n";
    const std::string line = "  " + to_string(dump.tasks.front()) + "\n";
    CHECK(dump.to_string() == begin + "1 tasks\n" + line);
    dump.task_count = 12;
    CHECK(dump.to_string() == begin + "12 tasks\n" + line + "  and 11 more\n");
}

TEST_CASE("a shutdown report names those that did not end", "[reports]")
{
    blitzio::shutdown_report report;
    report.complete = true;
    report.asked = 3;
    report.took = 17ms;
    CHECK(report.to_string() == "all of 3 tasks have ended within 17 ms\n");
    report.complete = false;
    report.remaining = {sleeper(stop_reason::shutdown)};
    report.remaining_count = 1;
    const std::string line = "  " + to_string(report.remaining.front()) + "\n";
    CHECK(report.to_string() == "1 tasks have not ended within 17 ms:\n" + line);
    report.remaining_count = 5;
    CHECK(report.to_string() == "5 tasks have not ended within 17 ms:\n" + line + "  and 4 more\n");
}

TEST_CASE("an operation's name is cut out of what compilers write", "[reports]")
{
    using blitzio::detail::readable_operation_name;
    CHECK(readable_operation_name("auto f() [Operation = blitzio::detail::sleep_operation]") ==
          "sleep");
    CHECK(readable_operation_name("auto f() [with Operation = blitzio::detail::sleep_operation; "
                                  "T = int]") == "sleep");
    CHECK(readable_operation_name("auto f() [Operation = blitzio::detail::timeout_operation<"
                                  "blitzio::task<std::array<int, 3>>>]") ==
          "timeout<task<array<int, 3>>>");
    CHECK(readable_operation_name("auto f() [Operation = x<(lambda at a.cpp:3:4)>, N = 2]") ==
          "x<lambda>, N = 2");
    CHECK(readable_operation_name("auto f() [Operation = x<(lambda at a.cpp:3:4") == "x<lambda");
    // Cut off, or of a compiler nobody here has seen: as it is.
    CHECK(readable_operation_name("auto f() [Operation = blitzio::yield_operation") == "yield");
    CHECK(readable_operation_name("struct something else") == "something else");
    CHECK(readable_operation_name("").empty());
}

TEST_CASE("an interval tells what it was made with", "[reports][time]")
{
    const blitzio::interval often(3ms, blitzio::missed_ticks::skip);
    CHECK(often.period() == 3ms);
    CHECK(often.missed() == blitzio::missed_ticks::skip);
    CHECK_THROWS_AS(blitzio::interval(0ms), std::invalid_argument);
    CHECK_THROWS_AS(blitzio::interval(-1ms), std::invalid_argument);
}
