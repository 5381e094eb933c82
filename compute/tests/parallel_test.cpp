// compute::parallel_map inside jobs: order, move-only results, exceptions, stops, isolation.
// Thread rule: each test owns its pool; the algorithms run inside one job of it.
#include "support.hpp"

#include <blitzio/compute/parallel.hpp>
#include <blitzio/compute/pool.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <forward_list>
#include <latch>
#include <list>
#include <memory>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>

namespace
{

using blitzio::compute::job;
using blitzio::compute::parallel_map;
using blitzio::compute::pool;
using test::inside;

/// Counts itself, has no default constructor and cannot be copied.
struct counted
{
    static inline std::atomic<std::int64_t> alive{0};

    explicit counted(std::size_t given) : value(std::make_unique<std::size_t>(given))
    {
        alive.fetch_add(1);
    }
    counted(counted&& other) noexcept : value(std::move(other.value))
    {
        alive.fetch_add(1);
    }
    counted& operator=(counted&&) = delete;
    ~counted()
    {
        alive.fetch_sub(1);
    }

    std::unique_ptr<std::size_t> value;
};

} // namespace

TEST_CASE("results come in input order for any size and grain", "[compute][parallel]")
{
    pool workers({.threads = 4, .name = "order"});
    std::mt19937_64 random(20261);
    for (int round = 0; round < 300; ++round)
    {
        const std::size_t count = random() % 3000;
        const std::size_t grain = random() % 200;
        std::vector<std::uint64_t> input(count);
        std::ranges::generate(input, std::ref(random));
        inside(workers, [&] {
            const auto squares = parallel_map(
                input, [](std::uint64_t value) { return value * value; }, {.grain = grain});
            REQUIRE(squares);
            REQUIRE(squares->size() == count);
            for (std::size_t index = 0; index < count; ++index)
            {
                REQUIRE((*squares)[index] == input[index] * input[index]);
            }
        });
    }
}

TEST_CASE("the work is spread over the threads of the pool", "[compute][parallel]")
{
    pool workers({.threads = 3, .name = "spread"});
    std::vector<int> input(3);
    inside(workers, [&] {
        // Each element waits for the other two: only three threads at once get past this.
        std::latch meeting(3);
        const auto done = parallel_map(input, [&](int) { meeting.arrive_and_wait(); });
        REQUIRE(done);
    });
}

TEST_CASE("any forward range, views, references to elements, bool results", "[compute][parallel]")
{
    pool workers({.threads = 2, .name = "ranges"});
    inside(workers, [&] {
        std::list<int> listed(1000);
        std::iota(listed.begin(), listed.end(), 0);
        const auto odd =
            parallel_map(listed, [](int value) { return value % 2 == 1; }, {.grain = 7});
        REQUIRE(odd);
        for (std::size_t index = 0; index < 1000; ++index)
        {
            REQUIRE((*odd)[index] == (index % 2 == 1));
        }

        const auto texts = parallel_map(std::views::iota(0, 1000) |
                                            std::views::transform([](int v) { return v * 2; }),
                                        [](int value) { return std::to_string(value); });
        REQUIRE(texts);
        CHECK((*texts)[999] == "1998");

        // Without a result, changing the elements in place.
        std::forward_list<std::string> changed(100, "x");
        REQUIRE(parallel_map(changed, [](std::string& text) { text += "y"; }));
        CHECK(std::ranges::all_of(changed, [](const auto& text) { return text == "xy"; }));

        const std::vector<int> empty;
        const auto nothing = parallel_map(empty, [](int value) { return value; });
        REQUIRE(nothing);
        CHECK(nothing->empty());
    });
}

TEST_CASE("results that can only be moved, without a default constructor", "[compute][parallel]")
{
    pool workers({.threads = 4, .name = "move"});
    inside(workers, [&] {
        auto made = parallel_map(std::views::iota(std::size_t{0}, std::size_t{5000}),
                                 [](std::size_t value) { return counted(value); }, {.grain = 3});
        REQUIRE(made);
        REQUIRE(made->size() == 5000);
        CHECK(counted::alive == 5000);
        for (std::size_t index = 0; index < 5000; ++index)
        {
            REQUIRE(*(*made)[index].value == index);
        }
    });
    CHECK(counted::alive == 0);
}

TEST_CASE("the first exception comes out, everything made is destroyed", "[compute][parallel]")
{
    pool workers({.threads = 4, .name = "throw"});
    std::mt19937_64 random(7);
    for (int round = 0; round < 200; ++round)
    {
        const std::size_t count = 1 + random() % 500;
        const std::size_t bad = random() % count;
        const std::size_t grain = 1 + random() % 20;
        const auto attempt = [&] {
            static_cast<void>(parallel_map(std::views::iota(std::size_t{0}, count),
                                           [&](std::size_t index) {
                                               if (index == bad)
                                               {
                                                   throw std::runtime_error(std::to_string(bad));
                                               }
                                               return counted(index);
                                           },
                                           {.grain = grain}));
        };
        try
        {
            inside(workers, attempt);
            FAIL("no exception");
        }
        catch (const std::runtime_error& error)
        {
            CHECK(error.what() == std::to_string(bad));
        }
        REQUIRE(counted::alive == 0);
    }
}

TEST_CASE("a stop gives an error and no results", "[compute][parallel]")
{
    pool workers({.threads = 2, .name = "stop"});
    for (std::size_t stop_at = 0; stop_at < 500; stop_at += 7)
    {
        blitzio::stop_source source;
        std::atomic<std::size_t> calls{0};
        inside(workers, [&] {
            auto stopped = parallel_map(
                std::views::iota(std::size_t{0}, std::size_t{100'000}),
                [&](std::size_t index) {
                    if (calls.fetch_add(1) == stop_at)
                    {
                        source.request_stop();
                    }
                    return counted(index);
                },
                {.grain = 1 + stop_at % 50}, source.get_token());
            REQUIRE_FALSE(stopped);
            CHECK(stopped.error() == std::errc::operation_canceled);
        });
        // Some of the elements that cost nothing may be in one step with the one that stopped.
        CHECK(calls < stop_at + 4096);
        CHECK(calls > stop_at);
        REQUIRE(counted::alive == 0);
    }
}

TEST_CASE("elements that take their time do not begin after a stop", "[compute][parallel]")
{
    using namespace std::chrono_literals;
    pool workers({.threads = 2, .name = "stop"});
    for (std::size_t stop_at = 0; stop_at < 40; stop_at += 3)
    {
        blitzio::stop_source source;
        std::atomic<std::size_t> calls{0};
        std::atomic<bool> requested{false};
        std::atomic<std::size_t> begun_too_late{0};
        inside(workers, [&] {
            const auto stopped = parallel_map(
                std::views::iota(0, 200),
                [&](int) {
                    begun_too_late.fetch_add(requested ? 1 : 0);
                    const auto end = std::chrono::steady_clock::now() + 50us;
                    if (calls.fetch_add(1) == stop_at)
                    {
                        source.request_stop();
                        requested = true;
                    }
                    while (std::chrono::steady_clock::now() < end)
                    {
                    }
                },
                {}, source.get_token());
            REQUIRE_FALSE(stopped);
        });
        // The other thread may have asked before the request and call afterwards, once.
        CHECK(begun_too_late <= 1);
    }
}

TEST_CASE("a stop after the last element is too late", "[compute][parallel]")
{
    pool workers({.threads = 2, .name = "late"});
    blitzio::stop_source source;
    inside(workers, [&] {
        const std::vector<int> one{1};
        const auto made = parallel_map(
            one,
            [&](int value, blitzio::stop_token token) {
                CHECK_FALSE(token.stop_requested());
                source.request_stop();
                CHECK(token.stop_requested());
                return value;
            },
            {}, source.get_token());
        REQUIRE(made);
        CHECK(made->front() == 1);
        const auto none =
            parallel_map(one, [](int value) { return value; }, {}, source.get_token());
        CHECK_FALSE(none);
    });
}

TEST_CASE("a waiting parallel_map runs no other job on its stack", "[compute][parallel]")
{
    pool workers({.threads = 2, .name = "isolate"});
    static thread_local int depth = 0;
    struct nesting : job
    {
        std::atomic<int>& deepest;
        std::atomic<int>& wrong;
        std::latch& ended;

        nesting(std::atomic<int>& most, std::atomic<int>& mistakes, std::latch& all)
            : deepest(most), wrong(mistakes), ended(all)
        {
            run = [](job* self) noexcept {
                auto& item = *static_cast<nesting*>(self);
                ++depth;
                int seen = item.deepest.load();
                while (depth > seen && !item.deepest.compare_exchange_weak(seen, depth))
                {
                }
                auto sums = parallel_map(std::views::iota(0, 64), [](int outer) {
                    const auto inner = parallel_map(std::views::iota(0, 64),
                                                    [outer](int value) { return outer * value; });
                    return std::accumulate(inner->begin(), inner->end(), 0);
                });
                item.wrong.fetch_add(sums->at(3) == 3 * 63 * 64 / 2 ? 0 : 1);
                --depth;
                item.ended.count_down();
            };
        }
    };
    std::atomic<int> deepest{0};
    std::atomic<int> wrong{0}; // the jobs run on several threads; only this one checks
    std::latch ended(200);
    std::vector<std::unique_ptr<nesting>> jobs;
    for (int index = 0; index < 200; ++index)
    {
        jobs.push_back(std::make_unique<nesting>(deepest, wrong, ended));
        REQUIRE(workers.enqueue(*jobs.back()));
    }
    ended.wait();
    CHECK(wrong == 0);
    CHECK(deepest == 1);
}

TEST_CASE("sequential runs in order on one thread", "[compute][parallel]")
{
    std::vector<int> order;
    const auto thread = std::this_thread::get_id();
    REQUIRE(parallel_map(std::views::iota(0, 100),
                         [&](int value) {
                             CHECK(std::this_thread::get_id() == thread);
                             order.push_back(value);
                         },
                         {.grain = 1, .sequential = true}));
    CHECK(std::ranges::is_sorted(order));
    CHECK(order.size() == 100);
}
