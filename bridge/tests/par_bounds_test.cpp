// Parallel stages of streams: what bounds them, what stops them, what they cost.
// Thread rule: each test owns its runtime and pool.
#include "par_support.hpp"

#include <blitzio/io/detail/frame_pool.hpp>
#include <blitzio/sync.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace bz = blitzio;
namespace streams = blitzio::streams;
using namespace std::chrono_literals;
using test::block;
using test::counting_source;
using test::spin_for;

namespace
{

struct sized_by_function
{
    friend std::size_t byte_size(const sized_by_function&)
    {
        return 12'345;
    }
};

} // namespace

TEST_CASE("byte_size asks the value, its elements, or sizeof", "[bridge][par_map]")
{
    STATIC_CHECK(streams::byte_size(7) == sizeof(int));
    CHECK(streams::byte_size(sized_by_function()) == 12'345);
    CHECK(streams::byte_size(block(1, 77)) == 77);
    const std::vector<int> numbers(100);
    CHECK(streams::byte_size(numbers) == sizeof(numbers) + 100 * sizeof(int));
    CHECK(streams::byte_size(std::string(1000, 'x')) == sizeof(std::string) + 1000);
    const std::vector<std::string> texts(3, std::string(500, 'x'));
    CHECK(streams::byte_size(texts) == sizeof(texts) + 3 * (sizeof(std::string) + 500));
}

TEST_CASE("bytes in flight stay below the limit while one value is slow", "[bridge][par_map]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    constexpr std::size_t limit = 64 * 1024;
    for (const bool ordered : {true, false})
    {
        bz::stream_progress progress;
        block::peak = 0;
        std::atomic<bool> slow_running{false};
        std::atomic<std::uint64_t> finished_meanwhile{0};
        const auto make = [](int number) {
            return block(number, 200 + static_cast<std::size_t>(number * 37 % 1000));
        };
        const auto compute = [&](block value) {
            // About 10,000 times what the others take, which is next to nothing.
            if (value.number() == 100)
            {
                slow_running = true;
                spin_for(20ms);
                finished_meanwhile = progress.finished();
                slow_running = false;
            }
            return value;
        };
        int expected = 0;
        std::vector<bool> seen(5'000);
        const auto sink = [&](const block& value) {
            CHECK((!ordered || value.number() == expected++));
            seen[static_cast<std::size_t>(value.number())] = true;
        };
        const streams::par_options options{
            .ordered = ordered, .max_in_flight = 10'000, .max_bytes = limit, .progress = &progress};
        const auto ended =
            runtime.block_on(counting_source(5'000) | streams::map(make) |
                             streams::par_map(pool, compute, options) | streams::for_each(sink));
        REQUIRE(ended);
        CHECK(std::ranges::count(seen, true) == 5'000);
        CHECK(progress.bytes_peak() <= limit);
        CHECK(progress.bytes_peak() > limit / 2);
        // One more waits for room, and one is with the consumer.
        CHECK(block::peak <= static_cast<std::int64_t>(limit + 2 * 1200));
        CHECK(block::alive == 0);
        CHECK(progress.bytes_in_flight() == 0);
        CHECK(progress.taken() == 5'000);
        CHECK(progress.finished() == 5'000);
        CHECK(progress.delivered() == 5'000);
        // The slow one holds up what is behind it, in order; else it holds up nobody.
        CHECK(finished_meanwhile >= 100);
        CHECK((!ordered || finished_meanwhile < 1'000));
    }
}

TEST_CASE("values that are larger than the limit pass one by one", "[bridge][par_map]")
{
    bz::compute::pool pool({.threads = 3, .name = "work"});
    auto runtime = test::make_runtime();
    bz::stream_progress progress;
    std::atomic<int> inside{0};
    std::atomic<int> inside_max{0};
    const auto compute = [&](block value) {
        inside_max = std::max(inside_max.load(), inside.fetch_add(1) + 1);
        spin_for(20us);
        inside.fetch_sub(1);
        return value.number();
    };
    const streams::par_options options{.max_bytes = 1000, .progress = &progress};
    const auto sum = runtime.block_on(
        counting_source(200) | streams::map([](int number) { return block(number, 5000); }) |
        streams::par_map(pool, compute, options) |
        streams::fold(0, [](int total, int value) { return total + value; }));
    CHECK(sum == 200 * 199 / 2);
    CHECK(inside_max == 1);
    CHECK(progress.bytes_peak() == 5000);
}

TEST_CASE("a slow stage below stops the source", "[bridge][par_map]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    for (const bool ordered : {true, false})
    {
        std::atomic<int> asked{0};
        std::atomic<int> first{0};
        std::atomic<int> second{0};
        int ahead_max = 0;
        int taken = 0;
        const auto sink = [&](int) -> bz::task<void> {
            ++taken;
            if (taken % 50 == 0)
            {
                static_cast<void>(co_await bz::sleep_for(1ms));
            }
            ahead_max = std::max(ahead_max, asked.load() - taken);
        };
        const streams::par_options options{.ordered = ordered, .max_in_flight = 6};
        const auto ended = runtime.block_on(
            counting_source(1'000, &asked) |
            streams::par_map(
                pool, [&](int value) { return first.fetch_add(1), value; }, options) |
            streams::buffer(3) |
            streams::par_map(
                pool, [&](int value) { return second.fetch_add(1), value; }, options) |
            streams::for_each(sink));
        REQUIRE(ended);
        CHECK(taken == 1'000);
        CHECK(first == 1'000);
        CHECK(second == 1'000);
        // Two stages of 6, a buffer of 3, and one in the hand of each of the three tasks.
        CHECK(ahead_max <= 6 + 6 + 3 + 3);
        CHECK(ahead_max >= 6);
    }
}

TEST_CASE("a stop ends a stage of 10,000 values at once", "[bridge][par_map][stop]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    for (const bool ordered : {true, false})
    {
        std::atomic<int> begun{0};
        std::atomic<int> told{0};
        std::atomic<int> running{0};
        const auto compute = [&](int value, bz::stop_token stop) {
            begun.fetch_add(1);
            running.fetch_add(1);
            while (value >= 100 && !stop.stop_requested())
            {
                std::this_thread::yield();
            }
            told.fetch_add(value >= 100 ? 1 : 0);
            running.fetch_sub(1);
            return value;
        };
        bz::stream_progress progress;
        const streams::par_options options{
            .ordered = ordered, .max_in_flight = 10'000, .progress = &progress};
        auto stopped = runtime.spawn([&]() -> bz::task<bz::result<void>> {
            const auto ended =
                co_await (counting_source(1'000'000) | streams::par_map(pool, compute, options) |
                          streams::for_each([](int) {}));
            CHECK(running == 0);
            co_return ended;
        });
        while (progress.taken() < 10'000 || running < 2)
        {
            std::this_thread::yield();
        }
        stopped.request_stop();
        const auto outcome = runtime.block_on(std::move(stopped));
        REQUIRE_FALSE(outcome);
        CHECK(outcome.error() == std::errc::operation_canceled);
        CHECK(begun < 200);
        CHECK(told == 2);
    }
}

TEST_CASE("a deadline ends a stage, whatever it waits for", "[bridge][par_map][stop]")
{
    bz::compute::pool pool({.threads = 1, .name = "work"});
    auto runtime = test::make_runtime();
    runtime.block_on([&]() -> bz::task<void> {
        // The function runs.
        auto ended = co_await bz::timeout(
            2ms, counting_source(10) | streams::par_map(pool, [](int value, bz::stop_token stop) {
                     while (!stop.stop_requested())
                     {
                         std::this_thread::yield();
                     }
                     return value;
                 }) | streams::for_each([](int) {}));
        REQUIRE_FALSE(ended);
        CHECK(ended.error() == std::errc::timed_out);
        // The source waits.
        const auto never = []() -> bz::generator<int> {
            co_yield 1;
            co_await bz::try_(bz::sleep_for(1h));
        };
        const auto same = [](int value) { return value; };
        int count = 0;
        ended = co_await bz::timeout(2ms, never() | streams::par_map(pool, same) |
                                              streams::for_each([&](int) { ++count; }));
        REQUIRE_FALSE(ended);
        CHECK(ended.error() == std::errc::timed_out);
        CHECK(count == 1);
        // The stage below waits, and everything above is full.
        const auto sleep = [](int) -> bz::task<bz::result<void>> {
            co_return co_await bz::sleep_for(1h);
        };
        ended = co_await bz::timeout(2ms, counting_source(1'000) | streams::par_map(pool, same) |
                                              streams::for_each(sleep));
        REQUIRE_FALSE(ended);
        CHECK(ended.error() == std::errc::timed_out);
    });
}

TEST_CASE("stops at any moment leave nothing", "[bridge][par_map][stop]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    const std::int64_t frames_before = bz::detail::live_frames();
    int canceled = 0;
    constexpr int rounds = 2'000;
    for (int round = 0; round < rounds; ++round)
    {
        std::atomic<int> calls{0};
        const auto make = [](int number) { return block(number, 10); };
        const auto compute = [&](block value) {
            calls.fetch_add(1);
            return value;
        };
        const streams::par_options options{.ordered = round % 2 == 0, .max_in_flight = 7};
        auto stopped = runtime.spawn([&]() -> bz::task<bz::result<void>> {
            co_return co_await (counting_source(60) | streams::map(make) |
                                streams::par_map(pool, compute, options) | streams::buffer(2) |
                                streams::par_filter(pool, [](const block&) { return true; }) |
                                streams::for_each([](block) {}));
        });
        while (calls < round % 61)
        {
            std::this_thread::yield();
        }
        stopped.request_stop();
        const auto outcome = runtime.block_on(std::move(stopped));
        if (outcome)
        {
            CHECK(calls == 60);
        }
        else
        {
            CHECK(outcome.error() == std::errc::operation_canceled);
            ++canceled;
        }
        REQUIRE(block::alive == 0);
    }
    CHECK(canceled > rounds / 4);
    CHECK(bz::detail::live_frames() == frames_before);
}

TEST_CASE("a value costs no allocation", "[bridge][par_map][allocation]")
{
    if (!test::counts_allocations)
    {
        SKIP("the sanitizer brings its own operator new");
    }
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    const auto allocated_for = [&](int count, bool ordered) {
        const auto before = test::allocations();
        const auto same = [](int value) { return value; };
        const auto sum = [](std::span<int> values) { return static_cast<int>(values.size()); };
        const streams::par_options options{.ordered = ordered};
        const auto total =
            runtime.block_on(counting_source(count) | streams::par_map(pool, same, options) |
                             streams::par_filter(
                                 pool, [](int value) { return value >= 0; }, options) |
                             streams::par_chunks(pool, 16, sum, options) |
                             streams::fold(0, [](int all, int value) { return all + value; }));
        CHECK(total == count);
        return test::allocations() - before;
    };
    for (const bool ordered : {true, false})
    {
        static_cast<void>(allocated_for(10'000, ordered)); // warm
        const auto few = allocated_for(1'000, ordered);
        const auto many = allocated_for(50'000, ordered);
        // A chunk's memory is made when its cell is first used, which is a matter of timing.
        CHECK(few <= 60);
        CHECK(many <= 60);
    }
}

TEST_CASE("the stream of a forked child is refused", "[bridge][par_map][fork]")
{
    if (test::is_thread_sanitized)
    {
        SKIP("the thread sanitizer cannot follow threads that a forked child starts");
    }
    bz::compute::pool pool({.threads = 2, .name = "work"});
    const pid_t child = fork();
    if (child == 0)
    {
        alarm(20);
        int refused = 0;
        {
            auto runtime = test::make_runtime(1);
            for (const bool ordered : {true, false})
            {
                const streams::par_options options{.ordered = ordered};
                const auto same = [](int value) { return value; };
                const auto ended =
                    runtime.block_on(counting_source(1'000) |
                                     streams::par_map(pool, same, options) | streams::collect());
                refused += !ended && ended.error() == std::errc::no_such_process ? 1 : 0;
            }
        }
        _exit(refused);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 2);
}

namespace
{

bz::task<bz::result<int>> simulated_program(std::vector<int>& order)
{
    const auto pause = [](int value) -> bz::task<bz::result<int>> {
        co_await bz::try_(bz::sleep_for(std::chrono::microseconds(value % 3)));
        co_return value;
    };
    const auto record = [&](int value) {
        order.push_back(value);
        return value;
    };
    int total = 0;
    const streams::par_options any_order{.ordered = false, .max_in_flight = 3};
    const streams::par_options in_order{.max_in_flight = 5, .max_bytes = 3 * sizeof(int)};
    co_await bz::try_(counting_source(25) | streams::map(pause) |
                      streams::par_map(record, any_order) | streams::buffer(2) |
                      streams::map(pause) | streams::par_map(record, in_order) |
                      streams::par_filter([](int value) { return value % 2 == 0; }) |
                      streams::map(pause) | streams::for_each([&](int value) { total += value; }));
    co_return total;
}

} // namespace

TEST_CASE("a simulated stage is decided by the seed", "[bridge][par_map][sim]")
{
    std::vector<std::vector<int>> orders;
    for (std::uint64_t seed = 1; seed <= 10; ++seed)
    {
        const auto run = [&] {
            auto runtime = test::make_simulated(seed);
            std::vector<int> order;
            CHECK(runtime.block_on(simulated_program(order)) == 156);
            return std::pair(order, runtime.simulation_trace_hash());
        };
        const auto first = run();
        CHECK(first == run());
        orders.push_back(first.first);
    }
    CHECK(orders[0] != orders[1]);
}

TEST_CASE("a simulated stage is stopped after every number of turns",
          "[bridge][par_map][stop][sim]")
{
    for (std::uint64_t seed = 1; seed <= 8; ++seed)
    {
        int canceled = 0;
        bool ended = false;
        for (int turns = 0; !ended; ++turns)
        {
            INFO("seed " << seed << ", stopped after " << turns << " turns");
            const std::int64_t frames_before = bz::detail::live_frames();
            {
                auto runtime = test::make_simulated(seed, 1 + static_cast<unsigned>(seed % 3));
                std::vector<int> order;
                auto program = runtime.spawn(simulated_program(order));
                // Virtual time passes only between turns, so both are counted.
                const bool in_time = runtime.block_on([&]() -> bz::task<bool> {
                    for (int turn = 0; turn < turns && !program.finished(); ++turn)
                    {
                        if (turn % 4 == 3)
                        {
                            static_cast<void>(co_await bz::sleep_for(1us));
                        }
                        co_await bz::yield();
                    }
                    co_return !program.finished();
                });
                program.request_stop();
                const auto outcome = runtime.block_on(std::move(program));
                if (outcome)
                {
                    CHECK(*outcome == 156);
                }
                else
                {
                    CHECK(outcome.error() == std::errc::operation_canceled);
                    ++canceled;
                }
                ended = !in_time;
                runtime.run();
                CHECK(runtime.metrics().live_tasks == 0);
            }
            CHECK(bz::detail::live_frames() == frames_before);
            REQUIRE(turns < 20'000);
        }
        CHECK(canceled > 20);
    }
}

TEST_CASE("a runtime that goes away in the middle waits for the calls", "[bridge][par_map][stop]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    for (int round = 0; round < 200; ++round)
    {
        std::atomic<int> running{0};
        std::atomic<int> begun{0};
        {
            auto runtime = test::make_runtime();
            static_cast<void>(runtime.spawn([&]() -> bz::task<void> {
                static_cast<void>(co_await (counting_source(1'000'000) |
                                            streams::par_map(pool,
                                                             [&](int value) {
                                                                 running.fetch_add(1);
                                                                 begun.fetch_add(1);
                                                                 spin_for(1us);
                                                                 running.fetch_sub(1);
                                                                 return value;
                                                             }) |
                                            streams::for_each([](int) {})));
            }));
            while (begun < round)
            {
                std::this_thread::yield();
            }
        }
        REQUIRE(running == 0);
    }
}
