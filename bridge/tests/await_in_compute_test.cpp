// Computations that wait for I/O: results, exceptions, stops, where they go on, where they must not.
// Thread rule: each test owns its runtime and pool.
#include "support.hpp"

#include <blitzio/io/sleep.hpp>
#include <blitzio/io/task_local.hpp>
#include <blitzio/io/timeout.hpp>
#include <blitzio/sync/channel.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ranges>
#include <stdexcept>
#include <string>
#include <vector>

namespace bz = blitzio;

namespace
{

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

const bz::task_local<std::string> request_id;

} // namespace

TEST_CASE("a computation waits for operations, tasks and what a callable returns",
          "[bridge][await_in_compute]")
{
    bz::compute::pool pool({.threads = 1, .name = "wait"});
    auto runtime = test::make_runtime();
    runtime.block_on([&]() -> bz::task<void> {
        const auto waited = co_await bz::compute_on(pool, [&]() -> bz::result<int> {
            const auto begin = clock_type::now();
            if (const auto slept = bz::await_in_compute(bz::sleep_for(5ms)); !slept)
            {
                return bz::fail(slept.error());
            }
            CHECK(clock_type::now() - begin >= 5ms);
            const auto add = [](int left, int right) -> bz::task<int> {
                static_cast<void>(co_await bz::sleep_for(1ms));
                co_return left + right;
            };
            const auto sum = bz::await_in_compute(add(1, 2));
            const auto at_once =
                bz::await_in_compute([&]() -> bz::task<bz::result<int>> { co_return *sum * 10; });
            return at_once;
        });
        REQUIRE(waited);
        CHECK(*waited == 30);
        const auto thrown = co_await bz::compute_on(pool, [] {
            try
            {
                static_cast<void>(bz::await_in_compute([]() -> bz::task<void> {
                    static_cast<void>(co_await bz::sleep_for(1ms));
                    throw std::runtime_error("from the task");
                }));
            }
            catch (const std::runtime_error& error)
            {
                return std::string(error.what());
            }
            return std::string();
        });
        CHECK(*thrown == "from the task");
    });
}

TEST_CASE("many computations wait on few threads", "[bridge][await_in_compute]")
{
    bz::compute::pool pool({.threads = 2, .name = "many"});
    auto runtime = test::make_runtime();
    const int count = bz::compute_waits_without_thread() ? 1000 : 20;
    std::atomic<int> waiting{0};
    std::atomic<int> most{0};
    const auto begin = clock_type::now();
    const auto done = runtime.block_on([&]() -> bz::task<bz::result<std::vector<int>>> {
        const bz::parallel_options options{.waits = true};
        const auto wait = [&](int value) {
            const int now = ++waiting;
            int seen = most.load();
            while (now > seen && !most.compare_exchange_weak(seen, now))
            {
            }
            const auto slept = bz::await_in_compute(bz::sleep_for(100ms));
            --waiting;
            return slept ? value : -1;
        };
        co_return co_await bz::parallel_map(pool, std::views::iota(0, count), wait, options);
    });
    REQUIRE(done);
    for (int value = 0; value < count; ++value)
    {
        REQUIRE((*done)[static_cast<std::size_t>(value)] == value);
    }
    if (bz::compute_waits_without_thread())
    {
        CHECK(most > 200);
        // One after the other on two threads would take fifty seconds.
        CHECK(clock_type::now() - begin < 8s);
    }
    else
    {
        CHECK(most <= 2);
    }
}

TEST_CASE("a computation may wait for another one of its own pool", "[bridge][await_in_compute]")
{
    if (!bz::compute_waits_without_thread())
    {
        SKIP("computations that wait keep their threads here");
    }
    bz::compute::pool pool({.threads = 1, .name = "own"});
    auto runtime = test::make_runtime();
    // Three deep, all on one thread; then many that are waited for while none of them has begun.
    const auto deep = runtime.block_on([&]() -> bz::task<bz::result<int>> {
        const auto innermost = [] { return 7; };
        const auto inner = [&]() -> bz::result<int> {
            return bz::await_in_compute(bz::compute_on(pool, innermost));
        };
        const auto outer = [&]() -> bz::result<int> {
            return bz::await_in_compute(bz::compute_on(pool, inner));
        };
        co_return co_await bz::timeout(20s, bz::compute_on(pool, outer));
    });
    REQUIRE(deep);
    CHECK(*deep == 7);
    std::atomic<int> right{0};
    const auto begin = clock_type::now();
    runtime.block_on([&]() -> bz::task<void> {
        co_await bz::scope([&](bz::task_group& group) -> bz::task<void> {
            for (int count = 0; count < 100; ++count)
            {
                group.spawn([&]() -> bz::task<void> {
                    const auto slept = co_await bz::compute_on(
                        pool, [] { return bz::await_in_compute(bz::sleep_for(50ms)).has_value(); });
                    right += slept.value_or(false) ? 1 : 0;
                });
            }
            co_return;
        });
    });
    CHECK(right == 100);
    // One after the other would take five seconds.
    CHECK(clock_type::now() - begin < 3s);
}

TEST_CASE("the context comes along, whatever the thread", "[bridge][await_in_compute][context]")
{
    bz::compute::pool pool({.threads = 3, .name = "context"});
    auto runtime = test::make_runtime();
    std::atomic<int> right{0};
    const auto done = runtime.block_on([&]() -> bz::task<bz::result<void>> {
        co_return co_await bz::timeout(
            1h,
            bz::with_local(request_id, "17", bz::parallel_for(pool, 0, 300, [&](int value) {
                               const auto before = bz::this_compute::stop();
                               // What the operation sees, and what is seen afterwards.
                               const auto id = bz::await_in_compute([]() -> bz::task<std::string> {
                                   static_cast<void>(co_await bz::sleep_for(1ms));
                                   const std::string* const seen = co_await request_id.get();
                                   const auto deadline = co_await bz::this_task::deadline();
                                   co_return seen != nullptr&& deadline ? *seen : "";
                               });
                               const std::string* const here = bz::this_compute::local(request_id);
                               // Loops in here go on with it, too.
                               const auto inner = bz::compute::parallel_reduce(
                                   std::views::iota(0, 5), 0,
                                   [](int) {
                                       const std::string* const inside =
                                           bz::this_compute::local(request_id);
                                       return inside != nullptr && *inside == "17" ? 1 : 0;
                                   },
                                   std::plus<>());
                               right += id && *id == "17" && here != nullptr && *here == "17" &&
                                                bz::this_compute::stop() == before && *inner == 5
                                            ? 1
                                            : 0;
                               static_cast<void>(value);
                           })));
    });
    REQUIRE(done);
    CHECK(right == 300);
    const auto later = runtime.block_on([&]() -> bz::task<bool> {
        const auto none = co_await bz::parallel_map(pool, std::views::iota(0, 100), [](int) {
            return bz::this_compute::local(request_id) == nullptr;
        });
        co_return std::ranges::all_of(*none, [](bool each) { return each; });
    });
    CHECK(later);
}

TEST_CASE("a stop and a deadline reach what a computation waits for",
          "[bridge][await_in_compute][stop]")
{
    bz::compute::pool pool({.threads = 2, .name = "stop"});
    auto runtime = test::make_runtime();
    for (int round = 0; round < 20; ++round)
    {
        const auto begin = clock_type::now();
        const auto outcome = runtime.block_on([&]() -> bz::task<bz::result<void>> {
            co_return co_await bz::timeout(5ms, bz::parallel_for(pool, 0, 10, [](int) {
                                               return bz::await_in_compute(bz::sleep_for(1h));
                                           }));
        });
        REQUIRE_FALSE(outcome);
        CHECK(outcome.error() == std::errc::timed_out);
        CHECK(clock_type::now() - begin < 1min);
    }
    // An exception of one element stops the waits of the others.
    auto thrown = runtime.block_on([&]() -> bz::task<bool> {
        try
        {
            static_cast<void>(co_await bz::parallel_for(pool, 0, 2, [](int value) {
                if (value == 1)
                {
                    static_cast<void>(bz::await_in_compute(bz::sleep_for(1ms)));
                    throw 5;
                }
                static_cast<void>(bz::await_in_compute(bz::sleep_for(1h)));
            }));
        }
        catch (int)
        {
            co_return true;
        }
        co_return false;
    });
    CHECK(thrown);
}

TEST_CASE("bodies exchange values with tasks", "[bridge][await_in_compute]")
{
    bz::compute::pool pool({.threads = 2, .name = "values"});
    auto runtime = test::make_runtime();
    const int count = 2000;
    auto [sender, receiver] = bz::sync::channel<int>(4);
    auto total = runtime.spawn([&, from = std::move(receiver)]() mutable -> bz::task<long> {
        long sum = 0;
        while (const auto value = co_await from.receive())
        {
            sum += *value;
        }
        co_return sum;
    });
    const auto sent = runtime.block_on([&]() -> bz::task<bz::result<void>> {
        co_return co_await bz::parallel_for(pool, 0, count, [&](int value) {
            auto mine = sender;
            if (!bz::await_in_compute(mine.send(value)))
            {
                throw std::logic_error("closed");
            }
        });
    });
    REQUIRE(sent);
    {
        const auto dropped = std::move(sender);
    }
    const auto sum = runtime.block_on(std::move(total));
    CHECK(sum == static_cast<long>(count) * (count - 1) / 2);
}

TEST_CASE("where nobody could carry out the operation it fails at once",
          "[bridge][await_in_compute]")
{
    bz::compute::pool pool({.threads = 1, .name = "refuse"});
    auto runtime = test::make_runtime();
    const auto waits = [](int) { return bz::await_in_compute(bz::sleep_for(1ms)).error(); };
    // Outside of every computation, and in one that no task awaits.
    CHECK(waits(0) == bz::io_errc::not_on_worker);
    runtime.block_on([&]() -> bz::task<void> {
        auto handle = bz::spawn_compute(pool, [&] { return waits(0); });
        const auto spawned = co_await handle.get();
        CHECK(*spawned == bz::io_errc::not_on_worker);
        const bz::parallel_options here{.inline_max = 10};
        const auto on_worker = co_await bz::parallel_map(pool, std::views::iota(0, 3), waits, here);
        CHECK(on_worker->front() == bz::io_errc::would_deadlock);
    });
    auto simulated = test::make_simulated(4);
    const auto code = simulated.block_on([&]() -> bz::task<std::error_code> {
        co_return *co_await bz::compute_on([&] { return waits(0); });
    });
    CHECK(code == bz::io_errc::would_deadlock);
}

TEST_CASE("real pools of a simulated runtime wait in virtual time",
          "[bridge][await_in_compute][sim]")
{
    bz::compute::pool pool({.threads = 3, .name = "virtual"});
    bz::runtime runtime({.io_threads = 2,
                         .name = "bridge-sim",
                         .backend = bz::backend_choice::sim,
                         .simulation = {.seed = 12, .real_pools = true}});
    for (int round = 0; round < 20; ++round)
    {
        const auto outcome = runtime.block_on([&]() -> bz::task<bz::result<int>> {
            const bz::parallel_options options{.waits = true};
            co_return co_await bz::timeout(
                1000h, bz::parallel_reduce(
                           pool, std::views::iota(0, 12), 0,
                           [](int value) {
                               // One hour after the other, and one that takes no time.
                               const auto slept = bz::await_in_compute(bz::sleep_for(1h * value));
                               const auto again = bz::await_in_compute(bz::sleep_for(1h));
                               return slept && again ? value : -1000;
                           },
                           std::plus<>(), options));
        });
        REQUIRE(outcome);
        CHECK(*outcome == 66);
        const auto late = runtime.block_on([&]() -> bz::task<bz::result<void>> {
            co_return co_await bz::timeout(1h, bz::parallel_for(pool, 0, 5, [](int) {
                                               return bz::await_in_compute(bz::sleep_for(10h));
                                           }));
        });
        REQUIRE_FALSE(late);
        CHECK(late.error() == std::errc::timed_out);
    }
}
