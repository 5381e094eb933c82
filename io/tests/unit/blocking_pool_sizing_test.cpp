// How many threads the elastic pool has: added when jobs wait, gone when they are idle.
// Thread rule: each test owns its pool.
#include "blocking_pool.hpp"
#include "support/blocking_jobs.hpp"

#include <blitzio/io/blocking.hpp>
#include <blitzio/io/runtime.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <deque>
#include <latch>
#include <string>
#include <thread>
#include <utility>

namespace
{

using blitzio::io_errc;
using blitzio::detail::blocking_pool;
using blitzio::detail::runnable;
using namespace std::chrono_literals;

using blitzio::test::eventually;
using blitzio::test::job;

TEST_CASE("a burst of short jobs leaves few threads behind", "[blocking_pool][sizing]")
{
    std::atomic<int> count{0};
    auto body = [&count] { ++count; };
    std::deque<job<decltype(body)>> jobs;
    blocking_pool pool({.threads_max = 64, .threads_prompt = 2, .grow_delay = 10s});
    for (int index = 0; index < 5000; ++index)
    {
        REQUIRE(pool.submit(jobs.emplace_back(body)));
    }
    REQUIRE(eventually([&] { return count == 5000; }));
    // Two at once, and the scout.
    CHECK(pool.snapshot().threads_started <= 3);
    pool.shutdown(); // does not wait for a scout's ten seconds
    CHECK(pool.snapshot().threads == 0);
}

TEST_CASE("long jobs get their threads without anybody asking again", "[blocking_pool][sizing]")
{
    constexpr unsigned most = 75;
    std::latch all_inside(most);
    std::latch release(1);
    std::atomic<unsigned> ran{0};
    auto body = [&] {
        if (ran.fetch_add(1) < most)
        {
            all_inside.count_down();
        }
        release.wait();
    };
    std::deque<job<decltype(body)>> jobs;
    blocking_pool pool({.threads_max = most, .threads_prompt = 1, .grow_delay = 200us});
    for (unsigned index = 0; index < most + 10; ++index)
    {
        REQUIRE(pool.submit(jobs.emplace_back(body)));
    }
    all_inside.wait(); // only with all of them inside at once
    CHECK(pool.snapshot().threads == most);
    CHECK(pool.snapshot().queued == 10);
    CHECK(ran == most);
    release.count_down();
    REQUIRE(eventually([&] { return ran == most + 10; }));
    CHECK(pool.snapshot().threads_started == most);
}

TEST_CASE("threads that a light load does not need end while it goes on", "[blocking_pool][sizing]")
{
    constexpr unsigned many = 12;
    std::latch all_inside(many);
    auto together = [&all_inside] { all_inside.arrive_and_wait(); };
    std::atomic<std::uint64_t> count{0};
    auto body = [&count] { ++count; };
    std::deque<job<decltype(together)>> burst;
    job<decltype(body)> light(body);
    blocking_pool pool({.threads_max = many, .threads_prompt = many, .keep_alive = 100ms});
    for (unsigned index = 0; index < many; ++index)
    {
        REQUIRE(pool.submit(burst.emplace_back(together)));
    }
    all_inside.wait();
    CHECK(pool.snapshot().threads == many);
    // In turns, each of them would be called several times within its 100 ms.
    std::uint64_t submitted = 0;
    REQUIRE(eventually([&] {
        REQUIRE(pool.submit(light));
        ++submitted;
        REQUIRE(eventually([&] { return count == submitted; }));
        std::this_thread::sleep_for(1ms);
        return pool.snapshot().threads <= 2;
    }));
}

TEST_CASE("the time that jobs wait for a thread is measured", "[blocking_pool][sizing]")
{
    std::latch inside(1);
    std::latch release(1);
    auto hold = [&] {
        inside.count_down();
        release.wait();
    };
    auto nothing = [] {};
    job<decltype(hold)> holder(hold);
    job<decltype(nothing)> waiting(nothing);
    job<decltype(nothing)> withdrawn(nothing);
    blocking_pool pool({.threads_max = 1});
    REQUIRE(pool.submit(holder));
    inside.wait();
    const auto before = pool.snapshot().queue_wait.count();
    CHECK(before == 1);
    REQUIRE(pool.submit(withdrawn));
    REQUIRE(pool.submit(waiting));
    CHECK(pool.try_remove(withdrawn));
    CHECK(pool.snapshot().queue_wait.count() == before);
    job<decltype(nothing)> measured(nothing);
    REQUIRE(pool.submit(measured));
    std::this_thread::sleep_for(20ms);
    release.count_down();
    pool.shutdown();
    const auto waits = pool.snapshot().queue_wait;
    CHECK(waits.count() == 2);
    CHECK(waits.quantile(1.0) >= 20ms);
    CHECK(waits.sum >= 20ms);
}

TEST_CASE("jobs are withdrawn while a scout watches them", "[blocking_pool][sizing][stress]")
{
    std::atomic<int> ran{0};
    auto body = [&ran] { ++ran; };
    auto slow = [&ran] {
        std::this_thread::sleep_for(300us);
        ++ran;
    };
    std::deque<job<decltype(body)>> jobs;
    std::deque<job<decltype(slow)>> slow_jobs;
    int removed = 0;
    {
        blocking_pool pool(
            {.threads_max = 6, .threads_prompt = 1, .grow_delay = 100us, .keep_alive = 1ms});
        for (int round = 0; round < 300; ++round)
        {
            REQUIRE(pool.submit(slow_jobs.emplace_back(slow)));
            for (int index = 0; index < 4; ++index)
            {
                REQUIRE(pool.submit(jobs.emplace_back(body)));
            }
            removed += pool.try_remove(jobs.back()) ? 1 : 0;
        }
        pool.shutdown();
        CHECK(pool.snapshot().queued == 0);
    }
    CHECK(ran == 1500 - removed);
}

TEST_CASE("spawn_blocking is refused clearly when too many calls wait", "[blocking_pool][sizing]")
{
    blitzio::runtime_config config;
    config.io_threads = 1;
    config.blocking_threads_max = 1;
    config.blocking_queue_max = 1;
    blitzio::runtime runtime(config);
    std::latch inside(1);
    std::latch release(1);
    const auto call = [&](bool holds) {
        return runtime.spawn([&inside, &release, holds]() -> blitzio::task<std::error_code> {
            const auto done = co_await blitzio::spawn_blocking([&inside, &release, holds] {
                if (holds)
                {
                    inside.count_down();
                    release.wait();
                }
            });
            co_return done ? std::error_code() : done.error();
        });
    };
    auto holder = call(true);
    inside.wait();
    auto waiting = call(false);
    REQUIRE(eventually([&] { return runtime.metrics().blocking_pool.queued == 1; }));
    const auto refused = runtime.block_on(call(false));
    CHECK(refused == io_errc::pool_queue_full);
    CHECK(runtime.metrics().blocking_pool.refused == 1);
    release.count_down();
    CHECK(runtime.block_on(std::move(holder)) == std::error_code());
    CHECK(runtime.block_on(std::move(waiting)) == std::error_code());
    const auto samples = runtime.metrics().to_prometheus();
    CHECK(samples.find("blitzio_pool_refused_total{pool=\"blocking\"} 1\n") != std::string::npos);
    CHECK(samples.find("blitzio_pool_queue_wait_seconds_count{pool=\"blocking\"}") !=
          std::string::npos);
    CHECK(samples.find("blitzio_pool_threads_started_total{pool=\"blocking\"} 1\n") !=
          std::string::npos);

    config.blocking_queue_max = 0;
    const auto wrong = blitzio::runtime::create(config);
    REQUIRE_FALSE(wrong);
    CHECK(wrong.error().field == "blocking_queue_max");
}

} // namespace
