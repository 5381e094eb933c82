// The awaited parallel algorithms: results, stops and deadlines, exceptions, allocations, nesting,
// simulated runtimes.
// Thread rule: each test owns its runtime and pool.
#include "support.hpp"

#include <blitzio/io/task_local.hpp>
#include <blitzio/io/timeout.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <numeric>
#include <ranges>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

namespace bz = blitzio;

namespace
{

using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

/// Of the sanitizers, everything is slower.
constexpr int slowness = test::counts_allocations ? 1 : 10;

const bz::task_local<int> depth;

} // namespace

TEST_CASE("every algorithm can be awaited, with a pool and without", "[bridge][parallel]")
{
    bz::compute::pool pool({.threads = 3, .name = "await"});
    auto runtime = test::make_runtime();
    runtime.block_on([&]() -> bz::task<void> {
        std::vector<std::uint64_t> values(20'000);
        std::iota(values.begin(), values.end(), 0);
        const auto expected = std::accumulate(values.begin(), values.end(), std::uint64_t{0});

        std::atomic<std::uint64_t> seen{0};
        const auto add = [&](std::uint64_t value) { seen += value; };
        const auto by_range = co_await bz::parallel_for(pool, values, add);
        const auto by_index = co_await bz::parallel_for(pool, 0, values.size(), add);
        const auto by_iterator = co_await bz::parallel_for(values.begin(), values.end(), add);
        const auto defaulted = co_await bz::parallel_for(values, add);
        const auto index_defaulted = co_await bz::parallel_for(0, values.size(), add);
        REQUIRE((by_range && by_index && by_iterator && defaulted && index_defaulted));
        CHECK(seen == 5 * expected);

        const auto sum = co_await bz::parallel_reduce(pool, values, std::uint64_t{0},
                                                      std::identity(), std::plus<>());
        const auto again =
            co_await bz::parallel_reduce(values, std::uint64_t{0}, std::identity(), std::plus<>());
        CHECK(*sum == expected);
        CHECK(*again == expected);

        std::vector<std::uint64_t> sums(values.size());
        const auto scanned =
            co_await bz::parallel_scan(pool, values, sums.begin(), std::uint64_t{0}, std::plus<>());
        REQUIRE(scanned);
        CHECK(sums.back() == expected);
        const auto exclusive = co_await bz::parallel_scan(values, sums.begin(), std::uint64_t{0},
                                                          std::plus<>(), bz::scan_kind::exclusive);
        REQUIRE(exclusive);
        CHECK(sums.back() == expected - values.back());

        const auto sorted = co_await bz::parallel_sort(pool, values, std::greater<>());
        REQUIRE(sorted);
        CHECK(std::ranges::is_sorted(values, std::greater<>()));
        const auto back = co_await bz::parallel_sort(values);
        REQUIRE(back);
        CHECK(std::ranges::is_sorted(values));

        const auto doubled =
            co_await bz::parallel_map_in_place(pool, values, [](std::uint64_t v) { return 2 * v; });
        const auto halved = co_await bz::parallel_map_into(
            values, sums.begin(), [](std::uint64_t v, bz::stop_token) { return v / 2; });
        REQUIRE((doubled && halved));
        CHECK(std::accumulate(sums.begin(), sums.end(), std::uint64_t{0}) == expected);

        const auto parts = co_await bz::parallel_invoke(
            pool, [] { return 1; }, [](bz::stop_token) { return std::string("two"); },
            [&] { seen = 3; });
        REQUIRE(parts);
        CHECK(std::get<0>(*parts) == 1);
        CHECK(std::get<1>(*parts) == "two");
        CHECK(seen == 3);
        const auto single = co_await bz::parallel_invoke([] { return 4; });
        CHECK(*single == std::tuple(4));
    });
}

TEST_CASE("awaiting a loop allocates nothing of blitzio's", "[bridge][parallel][alloc]")
{
    if (!test::counts_allocations)
    {
        SKIP("a sanitizer counts its own");
    }
    bz::compute::pool pool({.threads = 2, .name = "alloc"});
    auto runtime = test::make_runtime();
    runtime.block_on([&]() -> bz::task<void> {
        std::vector<std::uint64_t> values(50'000, 1);
        const auto all = [&]() -> bz::task<void> {
            const auto mapped = co_await bz::parallel_map_in_place(
                pool, values, [](std::uint64_t value) { return value * 3; });
            const auto sum = co_await bz::parallel_reduce(pool, values, std::uint64_t{0},
                                                          std::identity(), std::plus<>());
            const auto looped = co_await bz::parallel_for(pool, 0, 1000, [](int) {});
            const auto scanned = co_await bz::parallel_scan(pool, values, values.begin(),
                                                            std::uint64_t{0}, std::plus<>());
            const auto sorted = co_await bz::parallel_sort(pool, values, std::greater<>());
            const auto invoked = co_await bz::parallel_invoke(pool, [] {}, [] {});
            if (!mapped || !sum || !looped || !scanned || !sorted || !invoked)
            {
                throw std::logic_error("a loop failed");
            }
        };
        co_await all(); // the frame's memory comes from a pool of its own from now on
        const auto before = test::allocations();
        for (int round = 0; round < 50; ++round)
        {
            co_await all();
        }
        // oneTBB's own allocations do not go through operator new.
        CHECK(test::allocations() == before);
    });
}

namespace
{

/// How late two plain threads are that do nothing but look at the clock: what the machine adds.
clock_type::duration lateness_of_threads(clock_type::duration bound)
{
    const auto end = clock_type::now() + bound;
    const auto watch = [end] {
        while (clock_type::now() < end)
        {
        }
    };
    std::thread other(watch);
    watch();
    other.join();
    return clock_type::now() - end;
}

clock_type::duration median(std::vector<clock_type::duration> values)
{
    std::ranges::sort(values);
    return values[values.size() / 2];
}

/// Computes like any other thread: giving way to all that runs is not what is measured.
bz::compute::pool make_impolite_pool(const char* name)
{
    return bz::compute::pool({.threads = 2, .name = name, .give_way = bz::compute::courtesy::off});
}

} // namespace

TEST_CASE("a ten-second loop ends soon after its deadline", "[bridge][parallel][stop]")
{
    auto pool = make_impolite_pool("deadline");
    std::vector<clock_type::duration> machine;
    auto runtime = test::make_runtime();
    std::vector<clock_type::duration> late;
    for (int round = 0; round < 20; ++round)
    {
        const auto begin = clock_type::now();
        const auto outcome = runtime.block_on([&]() -> bz::task<bz::result<void>> {
            // 100,000 elements of 200 us, on two threads.
            co_return co_await bz::timeout(50ms, bz::parallel_for(pool, 0, 100'000, [](int) {
                                               const auto end = clock_type::now() + 200us;
                                               while (clock_type::now() < end)
                                               {
                                               }
                                           }));
        });
        late.push_back(clock_type::now() - begin - 50ms);
        REQUIRE_FALSE(outcome);
        CHECK(outcome.error() == std::errc::timed_out);
        CHECK(late.back() >= 0ms);
        machine.push_back(lateness_of_threads(50ms));
    }
    // The median, because a busy machine may hold up any thread for longer than that.
    CHECK(median(late) <= 5ms * slowness + median(machine));
}

TEST_CASE("the deadline also ends elements that cost nothing", "[bridge][parallel][stop]")
{
    auto pool = make_impolite_pool("deadline");
    auto runtime = test::make_runtime();
    std::vector<clock_type::duration> late;
    std::vector<clock_type::duration> machine;
    for (int round = 0; round < 10; ++round)
    {
        const auto begin = clock_type::now();
        const auto outcome = runtime.block_on([&]() -> bz::task<bz::result<std::uint64_t>> {
            co_return co_await bz::timeout(
                20ms, bz::parallel_reduce(
                          pool, std::views::iota(std::uint64_t{0}, std::uint64_t{1} << 40),
                          std::uint64_t{0},
                          [](std::uint64_t value) {
                              asm volatile("" : "+r"(value));
                              return value;
                          },
                          std::plus<>()));
        });
        late.push_back(clock_type::now() - begin - 20ms);
        REQUIRE_FALSE(outcome);
        CHECK(outcome.error() == std::errc::timed_out);
        machine.push_back(lateness_of_threads(20ms));
    }
    CHECK(median(late) <= 5ms * slowness + median(machine));
}

TEST_CASE("a hundred thousand cancelled loops leak nothing", "[bridge][parallel][stop]")
{
    static std::atomic<std::int64_t> alive{0};
    struct counted
    {
        counted()
        {
            alive.fetch_add(1, std::memory_order_relaxed);
        }
        counted(const counted&) : counted() {}
        counted(counted&&) noexcept : counted() {}
        ~counted()
        {
            alive.fetch_sub(1, std::memory_order_relaxed);
        }
    };
    const int rounds = test::counts_allocations ? 100'000 : 5'000;
    bz::compute::pool pool({.threads = 2, .name = "leak"});
    auto runtime = test::make_runtime();
    int canceled = 0;
    int complete = 0;
    runtime.block_on([&]() -> bz::task<void> {
        for (int round = 0; round < rounds; ++round)
        {
            bz::stop_source source;
            const int stop_at = round % 64;
            // At any element, or never in time.
            const auto body = [&, held = counted()](int value) {
                if (value == stop_at)
                {
                    source.request_stop();
                }
                return counted();
            };
            const auto outcome = co_await bz::compute_on(pool, [&] {
                const auto made = bz::compute::parallel_map(std::views::iota(0, 48), body,
                                                            {.grain = 4}, source.get_token());
                return made ? made->size() : 0;
            });
            (*outcome == 48 ? complete : canceled) += 1;
            if (*outcome != 48 && *outcome != 0)
            {
                throw std::logic_error("half a result");
            }
        }
    });
    CHECK(alive == 0);
    CHECK(canceled > rounds / 4);
    CHECK(complete >= rounds / 64 * 15);
}

TEST_CASE("a map of ten million that is stopped early ends early", "[bridge][parallel][stop]")
{
    const int items = 10'000'000 / slowness;
    auto pool = make_impolite_pool("early");
    auto runtime = test::make_runtime();
    std::vector<clock_type::duration> waits;
    for (int round = 0; round < 50; ++round)
    {
        std::atomic<std::int64_t> run{0};
        using outcome_type = bz::result<std::vector<std::uint64_t>>;
        auto mapping = runtime.spawn([&]() -> bz::task<outcome_type> {
            co_return co_await bz::parallel_map(pool, std::views::iota(0, items), [&](int value) {
                run.fetch_add(1, std::memory_order_relaxed);
                auto hash = static_cast<std::uint64_t>(value);
                for (int turn = 0; turn < 200; ++turn)
                {
                    hash = hash * 6364136223846793005u + 1442695040888963407u;
                }
                return hash;
            });
        });
        while (run < items / 100)
        {
            std::this_thread::yield();
        }
        const auto begin = clock_type::now();
        mapping.request_stop();
        const auto outcome = runtime.block_on(std::move(mapping));
        waits.push_back(clock_type::now() - begin);
        REQUIRE_FALSE(outcome); // never a success with missing items
        CHECK(outcome.error() == std::errc::operation_canceled);
        CHECK(run < items / 4);
    }
    std::ranges::sort(waits);
    CHECK(waits[waits.size() * 9 / 10] <= 100ms * slowness);
}

namespace
{

struct foreign_error
{
    std::string text;
};

struct refuses_copies
{
    refuses_copies() = default;
    refuses_copies(const refuses_copies&)
    {
        throw std::logic_error("copied");
    }
};

template <class Thrown, class Make>
bz::task<bool> gives_one(bz::compute::pool& pool, Make make)
{
    try
    {
        static_cast<void>(
            co_await bz::parallel_for(pool, 0, 1000, [&](int) -> void { throw make(); }));
    }
    catch (const Thrown&)
    {
        co_return true;
    }
    co_return false;
}

} // namespace

TEST_CASE("a thousand exceptions at once, of any kind, are one to the awaiter",
          "[bridge][parallel][throw]")
{
    for (const unsigned threads : {1u, 4u})
    {
        bz::compute::pool pool({.threads = threads, .name = "throw"});
        auto runtime = test::make_runtime();
        runtime.block_on([&]() -> bz::task<void> {
            for (int round = 0; round < 20; ++round)
            {
                const bool number = co_await gives_one<int>(pool, [] { return 3; });
                const bool foreign =
                    co_await gives_one<foreign_error>(pool, [] { return foreign_error{"x"}; });
                CHECK(number);
                CHECK(foreign);
                bool caught = false;
                try
                {
                    static_cast<void>(
                        co_await bz::parallel_map(pool, std::views::iota(0, 1000),
                                                  [](int) -> int { throw refuses_copies(); }));
                }
                catch (const refuses_copies&)
                {
                    caught = true;
                }
                CHECK(caught);
                // The pool is as good as before.
                const auto sum = co_await bz::parallel_reduce(pool, std::views::iota(0, 100), 0,
                                                              std::identity(), std::plus<>());
                CHECK(*sum == 4950);
            }
        });
    }
}

TEST_CASE("one thread, nested three deep, from many tasks", "[bridge][parallel]")
{
    bz::compute::pool pool({.threads = 1, .name = "nested"});
    auto runtime = test::make_runtime();
    std::atomic<int> calls{0};
    runtime.block_on([&]() -> bz::task<void> {
        co_await bz::scope([&](bz::task_group& group) -> bz::task<void> {
            for (int index = 0; index < 20; ++index)
            {
                group.spawn([&]() -> bz::task<void> {
                    static_cast<void>(co_await bz::parallel_for(pool, 0, 4, [&](int) {
                        static_cast<void>(bz::compute::parallel_for(0, 4, [&](int) {
                            static_cast<void>(
                                bz::compute::parallel_for(0, 4, [&](int) { ++calls; }));
                        }));
                    }));
                });
            }
            co_return;
        });
    });
    CHECK(calls == 20 * 64);
}

TEST_CASE("locals and stops reach nested loops", "[bridge][parallel][context]")
{
    bz::compute::pool pool({.threads = 2, .name = "nested"});
    auto runtime = test::make_runtime();
    std::atomic<int> right{0};
    const auto done = runtime.block_on([&]() -> bz::task<bz::result<void>> {
        co_return co_await bz::with_local(
            depth, 7, bz::parallel_for(pool, 0, 50, [&](int) {
                static_cast<void>(bz::compute::parallel_for(0, 50, [&](int) {
                    const int* const value = bz::this_compute::local(depth);
                    right += value != nullptr && *value == 7 ? 1 : 0;
                }));
            }));
    });
    REQUIRE(done);
    CHECK(right == 2500);
}

TEST_CASE("a simulated runtime runs loops in order, and stops them at virtual deadlines",
          "[bridge][parallel][sim]")
{
    std::vector<std::uint64_t> hashes;
    for (int run = 0; run < 2; ++run)
    {
        auto runtime = test::make_simulated(99);
        runtime.block_on([&]() -> bz::task<void> {
            std::vector<int> order;
            const auto looped =
                co_await bz::parallel_for(0, 100, [&](int value) { order.push_back(value); });
            REQUIRE(looped);
            CHECK(std::ranges::is_sorted(order));
            CHECK(order.size() == 100);
            auto values = order;
            std::ranges::reverse(values);
            values[3] = 1000;
            const auto sorted = co_await bz::parallel_sort(values);
            const auto sum =
                co_await bz::parallel_reduce(values, 0, std::identity(), std::plus<>());
            const auto scanned =
                co_await bz::parallel_scan(values, values.begin(), 0, std::plus<>());
            const auto both = co_await bz::parallel_invoke([] { return 1; }, [] { return 2; });
            REQUIRE((sorted && sum && scanned && both));
            CHECK(*sum == values.back());
            CHECK(*both == std::tuple(1, 2));

            bz::stop_source source;
            const auto stopped = co_await bz::compute_on([&] {
                return bz::compute::parallel_for(
                    0, 10'000,
                    [&](int value) {
                        if (value == 10)
                        {
                            source.request_stop();
                        }
                    },
                    {.sequential = true}, source.get_token());
            });
            CHECK_FALSE(stopped);
            bool caught = false;
            try
            {
                static_cast<void>(co_await bz::parallel_for(0, 10, [](int) { throw 1; }));
            }
            catch (int)
            {
                caught = true;
            }
            CHECK(caught);
        });
        hashes.push_back(runtime.simulation_trace_hash());
    }
    CHECK(hashes[0] == hashes[1]);
}
