// spawn_compute and its handle. Thread rule: each test owns its runtime and pool.
#include "support.hpp"

#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

namespace bz = blitzio;

TEST_CASE("the computation runs before anybody waits", "[bridge][spawn_compute]")
{
    bz::compute::pool pool({.threads = 2, .name = "early"});
    auto runtime = test::make_runtime();
    auto pending = bz::spawn_compute(pool, [] { return std::make_unique<int>(3); });
    while (!pending.finished())
    {
        std::this_thread::yield();
    }
    const auto value = runtime.block_on(pending.get());
    REQUIRE(value);
    CHECK(**value == 3);
    CHECK_FALSE(pending.valid());

    runtime.block_on([&]() -> bz::task<void> {
        for (int round = 0; round < 2000; ++round)
        {
            auto later = bz::spawn_compute(pool, [round] { return round; });
            auto other = bz::spawn_compute([] {});
            const auto first = co_await later.get();
            CHECK(first == round);
            const auto ended = co_await other.get();
            CHECK(ended);
        }
    });
}

TEST_CASE("exceptions and stops reach the handle", "[bridge][spawn_compute]")
{
    bz::compute::pool pool({.threads = 1, .name = "early"});
    auto runtime = test::make_runtime();
    runtime.block_on([&]() -> bz::task<void> {
        auto failing = bz::spawn_compute(pool, []() -> int { throw std::runtime_error("later"); });
        try
        {
            static_cast<void>(co_await failing.get());
            FAIL("no exception");
        }
        catch (const std::runtime_error& error)
        {
            CHECK(std::string(error.what()) == "later");
        }
    });

    std::atomic<bool> running{false};
    const auto until_stopped = [&running](bz::stop_token token) {
        running = true;
        while (!token.stop_requested())
        {
            std::this_thread::yield();
        }
        return token.reason();
    };
    auto waiting = runtime.spawn([&]() -> bz::task<bz::result<bz::stop_reason>> {
        auto pending = bz::spawn_compute(pool, until_stopped);
        auto queued = bz::spawn_compute(pool, [] { return 1; }); // behind it on the only thread
        queued.request_stop();
        auto reason = co_await pending.get();
        const auto skipped = co_await queued.get();
        CHECK_FALSE(skipped);
        CHECK(skipped.error() == std::errc::operation_canceled);
        co_return reason;
    });
    while (!running)
    {
        std::this_thread::yield();
    }
    waiting.request_stop(bz::stop_reason::deadline);
    const auto reason = runtime.block_on(std::move(waiting));
    REQUIRE(reason);
    CHECK(*reason == bz::stop_reason::deadline);
}

TEST_CASE("a dropped handle stops the computation and leaks nothing", "[bridge][spawn_compute]")
{
    std::atomic<int> ended{0};
    {
        bz::compute::pool pool({.threads = 2, .name = "early"});
        for (int round = 0; round < 1000; ++round)
        {
            auto dropped =
                bz::spawn_compute(pool, [&, text = std::string(100, 'x')](bz::stop_token token) {
                    while (!token.stop_requested())
                    {
                        std::this_thread::yield();
                    }
                    ended.fetch_add(1);
                    return text;
                });
            if (round % 2 == 0)
            {
                static_cast<void>(dropped.get()); // never awaited
            }
        }
    }
    CHECK(ended <= 1000); // those that were stopped before they began never ran
}
