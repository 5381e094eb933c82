// What the functions of parallel stages know of the task that runs the pipeline: its stop, its
// deadline and its task-local values, for each value and on every thread.
// Thread rule: each test owns its runtime and pool.
#include "par_support.hpp"

#include <blitzio/compute/detail/lease.hpp>
#include <blitzio/compute/parallel.hpp>
#include <blitzio/io/processors.hpp>
#include <blitzio/io/task_local.hpp>
#include <blitzio/io/timeout.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

namespace bz = blitzio;
namespace streams = blitzio::streams;
using namespace std::chrono_literals;
using test::counting_source;

namespace
{

const bz::task_local<std::string> request_id;

bool sees_all()
{
    const std::string* const id = bz::this_compute::local(request_id);
    return id != nullptr && *id == "stream" && bz::this_compute::deadline().has_value() &&
           bz::this_compute::stop().stop_possible();
}

bool sees_nothing()
{
    return bz::this_compute::local(request_id) == nullptr && !bz::this_compute::deadline() &&
           !bz::this_compute::stop().stop_possible();
}

/// Each kind of stage, one behind the other; gives how many calls there were and how many saw all.
bz::task<bz::result<std::pair<int, int>>> look_around(bz::compute::pool* pool, int values,
                                                      bool ordered)
{
    std::atomic<int> calls{0};
    std::atomic<int> right{0};
    const auto look = [&] {
        calls.fetch_add(1);
        right.fetch_add(sees_all() ? 1 : 0);
    };
    const auto same = [&](int value) {
        look();
        return value;
    };
    const auto keep = [&](int) {
        look();
        return true;
    };
    const auto count = [&](std::span<int> gathered) {
        look();
        return static_cast<int>(gathered.size());
    };
    const streams::par_options options{.ordered = ordered};
    const auto through = [&](auto... where) {
        return counting_source(values) | streams::par_map(where..., same, options) |
               streams::par_filter(where..., keep, options) |
               streams::par_chunks(where..., 1, count, options) | streams::fold(0, std::plus<>());
    };
    bz::result<int> total;
    if (pool != nullptr)
    {
        total = co_await bz::timeout(
            1h, bz::with_local(request_id, "stream", through(std::ref(*pool))));
    }
    else
    {
        total = co_await bz::timeout(1h, bz::with_local(request_id, "stream", through()));
    }
    const int counted = co_await bz::try_(std::move(total));
    co_return counted == values ? std::pair(calls.load(), right.load()) : std::pair(-1, 0);
}

} // namespace

TEST_CASE("functions of stages see the stop, the deadline and the locals of the task",
          "[bridge][par_map][context]")
{
    bz::compute::pool pool({.threads = 3, .name = "work"});
    auto runtime = test::make_runtime();
    for (const bool ordered : {true, false})
    {
        const auto seen = runtime.block_on(look_around(&pool, 5'000, ordered));
        REQUIRE(seen);
        CHECK(seen->first == 15'000);
        CHECK(seen->second == 15'000);
    }
    // The threads have put it away.
    bool bare = false;
    const auto handed = runtime.block_on([&]() -> bz::task<bz::result<void>> {
        co_return co_await bz::compute_on(pool, [&] {
            bare = bz::this_compute::local(request_id) == nullptr && !bz::this_compute::deadline();
        });
    });
    CHECK(handed);
    CHECK(bare);
    CHECK(sees_nothing());
}

TEST_CASE("a simulated stage has the context, too", "[bridge][par_map][context][sim]")
{
    for (std::uint64_t seed = 1; seed <= 5; ++seed)
    {
        auto runtime = test::make_simulated(seed);
        const auto seen = runtime.block_on(look_around(nullptr, 100, seed % 2 == 0));
        REQUIRE(seen);
        CHECK(seen->first == 300);
        CHECK(seen->second == 300);
    }
}

TEST_CASE("a failing sink stops the calls that run", "[bridge][par_map][context][stop]")
{
    bz::compute::pool pool({.threads = 3, .name = "work"});
    auto runtime = test::make_runtime();
    for (int round = 0; round < 200; ++round)
    {
        std::atomic<int> waiting{0};
        std::atomic<int> told{0};
        const auto call = [&](int value) {
            if (value == 0)
            {
                while (waiting < 2)
                {
                    std::this_thread::yield();
                }
                return value;
            }
            waiting.fetch_add(1);
            while (!bz::this_compute::stop().stop_requested())
            {
                std::this_thread::yield();
            }
            told.fetch_add(1);
            return value;
        };
        const auto refuse = [](int) -> bz::result<void> { return bz::fail(std::errc::io_error); };
        const auto ended = runtime.block_on(counting_source(3) | streams::par_map(pool, call) |
                                            streams::for_each(refuse));
        REQUIRE_FALSE(ended);
        CHECK(ended.error() == std::errc::io_error);
        CHECK(told == 2);
    }
}

TEST_CASE("a loop in the function of a stage ends with the deadline and with a stop",
          "[bridge][par_map][context][stop]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    std::atomic<bool> looping{false};
    const auto endless = [&](int) -> bz::result<int> {
        std::atomic<std::uint64_t> sum{0};
        const auto done = bz::compute::parallel_for(
            std::uint64_t{0}, std::uint64_t{1} << 50U, [&](std::uint64_t index) {
                looping.store(true, std::memory_order_relaxed);
                sum.store(index, std::memory_order_relaxed);
            });
        if (!done)
        {
            return bz::fail(done.error());
        }
        return 1;
    };
    const auto late = runtime.block_on([&]() -> bz::task<bz::result<void>> {
        co_return co_await bz::timeout(5ms, counting_source(10) | streams::par_map(pool, endless) |
                                                streams::for_each([](int) {}));
    });
    REQUIRE_FALSE(late);
    CHECK(late.error() == std::errc::timed_out);

    looping = false;
    auto stopped = runtime.spawn([&]() -> bz::task<bz::result<void>> {
        co_return co_await (counting_source(10) | streams::par_map(pool, endless) |
                            streams::for_each([](int) {}));
    });
    while (!looping)
    {
        std::this_thread::yield();
    }
    stopped.request_stop();
    const auto outcome = runtime.block_on(std::move(stopped));
    REQUIRE_FALSE(outcome);
    CHECK(outcome.error() == std::errc::operation_canceled);
}

TEST_CASE("a deadline counts although the worker that has the timer is held up",
          "[bridge][par_map][context][stop]")
{
    bz::compute::pool pool({.threads = 1, .name = "work"});
    auto runtime = test::make_runtime(1);
    std::atomic<bool> held{false};
    std::atomic<bool> loop_ended{false};
    std::atomic<int> begun{0};
    bz::stream_progress progress;
    const auto give_up = std::chrono::steady_clock::now() + 30s;
    const auto call = [&](int value) -> bz::result<int> {
        begun.fetch_add(1);
        while (!held)
        {
            std::this_thread::yield();
        }
        const auto done = bz::compute::parallel_for(
            std::uint64_t{0}, std::uint64_t{1} << 50U, [&](std::uint64_t) {
                if (std::chrono::steady_clock::now() > give_up)
                {
                    throw std::runtime_error("the loop was not ended");
                }
            });
        loop_ended = !done && done.error() == std::errc::timed_out;
        return value; // so that only the stage itself can end it
    };
    const streams::par_options options{.max_in_flight = 4, .progress = &progress};
    const auto ended = runtime.block_on([&]() -> bz::task<bz::result<void>> {
        auto holding = runtime.spawn([&]() -> bz::task<void> {
            while (progress.taken() < 4 || begun < 1)
            {
                co_await bz::yield();
            }
            held = true;
            // Nobody but this task runs on the worker: no timer, no consumer.
            while ((!loop_ended || pool.metrics().busy != 0) &&
                   std::chrono::steady_clock::now() < give_up)
            {
                std::this_thread::yield();
            }
        });
        auto outcome =
            co_await bz::timeout(50ms, counting_source(4) | streams::par_map(pool, call, options) |
                                           streams::for_each([](int) {}));
        co_await std::move(holding);
        co_return outcome;
    });
    CHECK(loop_ended);
    REQUIRE_FALSE(ended);
    CHECK(ended.error() == std::errc::timed_out);
    // The other three were too late.
    CHECK(begun == 1);
    CHECK(progress.finished() == 1);
}

TEST_CASE("the function of a stage may wait for I/O, and block_on is refused",
          "[bridge][par_map][context]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    std::atomic<int> right{0};
    std::atomic<int> refused{0};
    const auto call = [&](int value) {
        const auto slept = bz::await_in_compute(bz::sleep_for(100us));
        // Behind the wait, on whichever thread.
        const std::string* const id = bz::this_compute::local(request_id);
        right.fetch_add(slept && id != nullptr && *id == "waits" ? 1 : 0);
        try
        {
            runtime.block_on([]() -> bz::task<void> { co_return; });
        }
        catch (const std::system_error& error)
        {
            refused.fetch_add(error.code() == bz::io_errc::would_deadlock ? 1 : 0);
        }
        return value;
    };
    const auto sum = runtime.block_on([&]() -> bz::task<bz::result<int>> {
        co_return co_await bz::with_local(request_id, "waits",
                                          counting_source(100) | streams::par_map(pool, call) |
                                              streams::fold(0, std::plus<>()));
    });
    CHECK(sum == 4'950);
    CHECK(right == 100);
    CHECK(refused == 100);
}

TEST_CASE("where processor time is rationed, a stage gives it back and loses nothing",
          "[bridge][par_map][lease]")
{
    if (bz::usable_processors().count < 2)
    {
        SKIP("threads on one processor never use more than one");
    }
    struct rationed
    {
        const bool before = bz::compute::detail::leases_are_limited.exchange(true);

        ~rationed()
        {
            bz::compute::detail::leases_are_limited = before;
        }
    } const inside;
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    const auto returned_before = pool.metrics().leases_returned;
    const auto call = [](int value) {
        test::spin_for(5us);
        return value;
    };
    // Two threads want more than the one processor that the process has without a quota of its own.
    const auto give_up = std::chrono::steady_clock::now() + 20s;
    while (pool.metrics().leases_returned == returned_before &&
           std::chrono::steady_clock::now() < give_up)
    {
        int next = 0;
        int disordered = 0;
        const auto ended = runtime.block_on(
            counting_source(5'000) | streams::par_map(pool, call) |
            streams::for_each([&](int value) { disordered += value == next++ ? 0 : 1; }));
        REQUIRE(ended);
        REQUIRE(next == 5'000);
        REQUIRE(disordered == 0);
    }
    CHECK(pool.metrics().leases_returned > returned_before);
    CHECK_FALSE(bz::compute::detail::lease_ended(std::chrono::steady_clock::now())); // has none
}
