// spawn, join handles, scopes, blocking calls, the end of a runtime.
#include "support/runtimes.hpp"

#include <blitzio/io.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using blitzio::test::on_every_runtime;

TEST_CASE("a spawned closure lives as long as its task", "[spawn]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        auto handle = runtime.spawn(
            [text = std::make_shared<std::string>("kept")]() -> blitzio::task<std::string> {
                static_cast<void>(co_await blitzio::sleep_for(2ms));
                co_return *text;
            });
        REQUIRE(runtime.block_on(std::move(handle)) == "kept");
    });
}

TEST_CASE("what a spawned task holds is gone when it ends, joined or not", "[spawn]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto check = [&](bool fails) -> blitzio::task<void> {
            auto captured = std::make_shared<int>(1);
            auto argument = std::make_shared<int>(2);
            const std::weak_ptr<int> closure = captured;
            const std::weak_ptr<int> parameter = argument;
            const auto body = [](std::shared_ptr<int> held, bool throws) -> blitzio::task<int> {
                co_await blitzio::yield();
                if (throws)
                {
                    throw std::runtime_error("after waiting");
                }
                co_return *held;
            };
            auto handle =
                runtime.spawn([body, fails, argument = std::move(argument),
                               captured = std::move(captured)] { return body(argument, fails); });
            while (!handle.finished())
            {
                co_await blitzio::yield();
            }
            REQUIRE(closure.expired());
            REQUIRE(parameter.expired());
            try
            {
                const int given = co_await std::move(handle);
                REQUIRE(given == 2);
                REQUIRE_FALSE(fails);
            }
            catch (const std::runtime_error&)
            {
                REQUIRE(fails);
            }
        };
        runtime.block_on(check(false));
        runtime.block_on(check(true));
        const auto refuse = [&]() -> blitzio::task<void> {
            auto captured = std::make_shared<int>(1);
            const std::weak_ptr<int> closure = captured;
            auto handle = runtime.spawn([captured = std::move(captured)]() -> blitzio::task<int> {
                throw std::runtime_error("before there is a task");
            });
            while (!handle.finished())
            {
                co_await blitzio::yield();
            }
            REQUIRE(closure.expired());
            std::string thrown;
            try
            {
                static_cast<void>(co_await std::move(handle));
            }
            catch (const std::runtime_error& error)
            {
                thrown = error.what();
            }
            REQUIRE(thrown == "before there is a task");
        };
        runtime.block_on(refuse());
    });
}

TEST_CASE("joining gives the value or the exception", "[spawn]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto parent = [&]() -> blitzio::task<int> {
            auto good = runtime.spawn([]() -> blitzio::task<int> { co_return 4; });
            auto bad = runtime.spawn([]() -> blitzio::task<int> {
                co_await blitzio::yield();
                throw std::runtime_error("bad");
            });
            int total = co_await std::move(good);
            try
            {
                total += co_await std::move(bad);
            }
            catch (const std::runtime_error&)
            {
                total += 10;
            }
            co_return total;
        };
        REQUIRE(runtime.block_on(parent()) == 14);
    });
}

TEST_CASE("a stop of the joiner is passed on to the joined task", "[spawn][stop]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto join_forever = [&]() -> blitzio::task<blitzio::result<void>> {
            auto handle = runtime.spawn([]() -> blitzio::task<blitzio::result<void>> {
                co_return co_await blitzio::sleep_for(1h);
            });
            co_return co_await std::move(handle);
        };
        REQUIRE(runtime.block_on(blitzio::timeout(1ms, join_forever())).error() ==
                std::errc::timed_out);
    });
}

TEST_CASE("a dropped handle lets the task run, and the runtime waits for it", "[spawn]")
{
    std::atomic<int> ended{0};
    {
        blitzio::runtime runtime({.io_threads = 2});
        for (int i = 0; i < 100; ++i)
        {
            static_cast<void>(runtime.spawn([&ended]() -> blitzio::task<void> {
                static_cast<void>(co_await blitzio::sleep_for(1ms));
                ended.fetch_add(1);
            }));
        }
        runtime.run();
        REQUIRE(ended == 100);
        static_cast<void>(runtime.spawn([&ended]() -> blitzio::task<void> {
            static_cast<void>(co_await blitzio::sleep_for(1h)); // ended by the shutdown
            ended.fetch_add(1);
        }));
    }
    REQUIRE(ended == 101);
}

TEST_CASE("shutdown tells its reason to tasks that still run", "[spawn][stop]")
{
    auto seen = blitzio::stop_reason::none;
    {
        blitzio::runtime runtime({.io_threads = 1});
        static_cast<void>(runtime.spawn([&seen]() -> blitzio::task<void> {
            static_cast<void>(co_await blitzio::sleep_for(1h));
            seen = (co_await blitzio::this_task::stop()).reason();
        }));
    }
    REQUIRE(seen == blitzio::stop_reason::shutdown);
}

TEST_CASE("an exception nobody can observe reaches the handler, with its place", "[spawn]")
{
    static std::string place;
    static std::string what;
    {
        blitzio::runtime runtime(
            {.io_threads = 1,
             .on_unobserved_exception = [](std::exception_ptr error, std::string_view where) {
                 place = where;
                 try
                 {
                     std::rethrow_exception(error);
                 }
                 catch (const std::exception& thrown)
                 {
                     what = thrown.what();
                 }
             }});
        static_cast<void>(runtime.spawn([]() -> blitzio::task<void> {
            co_await blitzio::yield();
            throw std::runtime_error("lost");
        }));
        runtime.run();
    }
    REQUIRE(what == "lost");
    REQUIRE(place.find("spawn_test.cpp") != std::string::npos);
}

TEST_CASE("a scope ends after all its tasks", "[scope]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        std::atomic<int> ended{0};
        const auto body = [&]() -> blitzio::task<blitzio::result<int>> {
            co_return co_await blitzio::scope(
                [&](blitzio::task_group& group) -> blitzio::task<blitzio::result<int>> {
                    for (int i = 0; i < 20; ++i)
                    {
                        group.spawn([&ended, i]() -> blitzio::task<void> {
                            static_cast<void>(
                                co_await blitzio::sleep_for(std::chrono::milliseconds(i % 4)));
                            ended.fetch_add(1);
                        });
                    }
                    co_return 8;
                });
        };
        REQUIRE(runtime.block_on(body()) == 8);
        REQUIRE(ended == 20);
    });
}

TEST_CASE("the first failure of a scope stops the rest and is what the scope gives", "[scope]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto forever = []() -> blitzio::task<blitzio::result<void>> {
            co_return co_await blitzio::sleep_for(1h);
        };
        const auto failing = []() -> blitzio::task<blitzio::result<void>> {
            static_cast<void>(co_await blitzio::sleep_for(1ms));
            co_return blitzio::fail(std::errc::io_error);
        };
        const auto by_error = runtime.block_on(
            blitzio::scope([&](blitzio::task_group& group) -> blitzio::task<blitzio::result<void>> {
                group.spawn(forever());
                group.spawn(failing());
                co_return co_await blitzio::sleep_for(2h);
            }));
        REQUIRE(by_error.error() == std::errc::io_error);

        REQUIRE_THROWS_AS(
            runtime.block_on(blitzio::scope([&](blitzio::task_group& group) -> blitzio::task<void> {
                group.spawn(forever());
                group.spawn([]() -> blitzio::task<void> {
                    co_await blitzio::yield();
                    throw std::runtime_error("child");
                });
                static_cast<void>(co_await blitzio::sleep_for(2h));
            })),
            std::runtime_error);

        REQUIRE_THROWS_AS(
            runtime.block_on(blitzio::scope([&](blitzio::task_group& group) -> blitzio::task<void> {
                group.spawn(forever());
                co_await blitzio::yield();
                throw std::logic_error("body");
            })),
            std::logic_error);
    });
}

TEST_CASE("a scope may be stopped from outside and from its own tasks", "[scope][stop]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto served = [&]() -> blitzio::task<blitzio::result<int>> {
            co_return co_await blitzio::scope(
                [](blitzio::task_group& group) -> blitzio::task<blitzio::result<int>> {
                    group.spawn([&group]() -> blitzio::task<void> {
                        static_cast<void>(co_await blitzio::sleep_for(1ms));
                        group.request_stop();
                    });
                    co_await blitzio::try_(blitzio::sleep_for(1h));
                    co_return 1;
                });
        };
        REQUIRE(runtime.block_on(served()).error() == std::errc::operation_canceled);
        REQUIRE(runtime
                    .block_on(blitzio::timeout(
                        1ms, blitzio::scope([](blitzio::task_group& group)
                                                -> blitzio::task<blitzio::result<void>> {
                            group.spawn([]() -> blitzio::task<void> {
                                static_cast<void>(co_await blitzio::sleep_for(1h));
                            });
                            co_return {};
                        })))
                    .has_value()); // the body had succeeded: success beats the deadline
    });
}

TEST_CASE("spawn_blocking gives values, errors and exceptions", "[blocking]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto calls = []() -> blitzio::task<int> {
            int local = 2;
            auto value = co_await blitzio::spawn_blocking([&local] { return local * 3; });
            auto nothing = co_await blitzio::spawn_blocking([&local] { local = 5; });
            auto error = co_await blitzio::spawn_blocking(
                []() -> blitzio::result<int> { return blitzio::fail(std::errc::io_error); });
            int caught = 0;
            try
            {
                static_cast<void>(co_await blitzio::spawn_blocking(
                    []() -> int { throw std::runtime_error("blocking"); }));
            }
            catch (const std::runtime_error&)
            {
                caught = 100;
            }
            co_return *value + local + (nothing ? 10 : 0) +
                (error.error() == std::errc::io_error ? 1000 : 0) + caught;
        };
        REQUIRE(runtime.block_on(calls()) == 6 + 5 + 10 + 1000 + 100);
    });
}

TEST_CASE("a blocking call that waits for a thread is withdrawn by a stop", "[blocking][stop]")
{
    blitzio::runtime runtime({.io_threads = 1, .blocking_threads_max = 1});
    std::atomic<bool> release{false};
    std::atomic<int> runs{0};
    const auto program = [&]() -> blitzio::task<blitzio::result<void>> {
        auto [first, second] = co_await blitzio::when_all(
            [&]() -> blitzio::task<blitzio::result<void>> {
                co_return co_await blitzio::spawn_blocking([&] {
                    runs.fetch_add(1);
                    release.wait(false);
                });
            }(),
            [&]() -> blitzio::task<blitzio::result<void>> {
                auto withdrawn = co_await blitzio::timeout(
                    5ms, blitzio::spawn_blocking([&] { runs.fetch_add(1); }));
                release.store(true);
                release.notify_all();
                // Not an error of this task: the first call is to end well.
                if (withdrawn || withdrawn.error() != std::errc::timed_out)
                {
                    co_return blitzio::fail(std::errc::protocol_error);
                }
                co_return {};
            }());
        if (!first)
        {
            co_return first;
        }
        co_return second;
    };
    REQUIRE(runtime.block_on(program()).has_value());
    REQUIRE(runs == 1);
}

TEST_CASE("a running blocking call sees the stop and is waited for", "[blocking][stop]")
{
    blitzio::runtime runtime({.io_threads = 1});
    std::atomic<bool> begun{false};
    auto handle = runtime.spawn([&]() -> blitzio::task<blitzio::result<int>> {
        co_return co_await blitzio::spawn_blocking([&](blitzio::stop_token stop) {
            begun.store(true);
            begun.notify_all();
            while (!stop.stop_requested())
            {
                std::this_thread::yield();
            }
            return static_cast<int>(stop.reason());
        });
    });
    begun.wait(false);
    handle.request_stop(blitzio::stop_reason::deadline);
    REQUIRE(runtime.block_on(std::move(handle)) ==
            static_cast<int>(blitzio::stop_reason::deadline));
}

TEST_CASE("work spreads over workers and nothing is lost", "[spawn][stress]")
{
    blitzio::runtime runtime({.io_threads = 4});
    std::atomic<int> ended{0};
    const auto tree = [&ended](auto& self, int depth) -> blitzio::task<void> {
        if (depth == 0)
        {
            ended.fetch_add(1, std::memory_order_relaxed);
            co_return;
        }
        co_await blitzio::scope([&](blitzio::task_group& group) -> blitzio::task<void> {
            for (int i = 0; i < 8; ++i)
            {
                group.spawn(self(self, depth - 1));
            }
            co_return;
        });
    };
    runtime.block_on(tree(tree, 4));
    REQUIRE(ended == 8 * 8 * 8 * 8);
}
