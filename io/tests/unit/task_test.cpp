// Tasks: results, exceptions, try_, lifetime, bounded stack.
#include "support/runtimes.hpp"

#include <blitzio/io.hpp>
#include <blitzio/io/detail/frame_pool.hpp>

#include <catch2/catch_test_macros.hpp>

#include <memory>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace
{

blitzio::task<int> give(int value)
{
    co_return value;
}

blitzio::task<int> throw_after(int awaits)
{
    for (int i = 0; i < awaits; ++i)
    {
        co_await blitzio::yield();
    }
    throw std::runtime_error("thrown on purpose");
}

blitzio::task<long> sum_of_ready(long count)
{
    long total = 0;
    for (long i = 0; i < count; ++i)
    {
        total += co_await give(1);
    }
    co_return total;
}

/// Tells when it is destroyed.
struct tracer
{
    std::vector<std::string>* log;
    std::string name;

    tracer(std::vector<std::string>& target, std::string text) : log(&target), name(std::move(text))
    {
    }
    tracer(const tracer&) = delete;
    tracer& operator=(const tracer&) = delete;
    ~tracer()
    {
        log->push_back(name);
    }
};

} // namespace

TEST_CASE("a task gives its value, moves move-only values and rethrows", "[task]")
{
    blitzio::test::on_every_runtime([](blitzio::runtime& runtime) {
        REQUIRE(runtime.block_on(give(42)) == 42);
        auto pointer = runtime.block_on(
            []() -> blitzio::task<std::unique_ptr<int>> { co_return std::make_unique<int>(7); });
        REQUIRE(*pointer == 7);
        REQUIRE_THROWS_AS(runtime.block_on(throw_after(3)), std::runtime_error);
        auto caught = runtime.block_on([]() -> blitzio::task<std::string> {
            try
            {
                co_await throw_after(2);
            }
            catch (const std::runtime_error& error)
            {
                co_return error.what();
            }
            co_return "nothing was thrown";
        });
        REQUIRE(caught == "thrown on purpose");
    });
}

TEST_CASE("a child's frame is destroyed before its awaiter continues", "[task]")
{
    blitzio::test::on_every_runtime([](blitzio::runtime& runtime) {
        std::vector<std::string> log;
        const auto child = [&log]() -> blitzio::task<int> {
            const tracer local(log, "child's local");
            co_await blitzio::yield();
            co_return 1;
        };
        runtime.block_on([&]() -> blitzio::task<void> {
            co_await child();
            log.push_back("awaiter continues");
        });
        REQUIRE(log == std::vector<std::string>{"child's local", "awaiter continues"});
    });
}

TEST_CASE("try_ passes values on and ends the coroutine with an error", "[task][try]")
{
    blitzio::test::on_every_runtime([](blitzio::runtime& runtime) {
        std::vector<std::string> log;
        const auto failing = [&log](bool fail) -> blitzio::task<blitzio::result<int>> {
            const tracer local(log, "failing's local");
            if (fail)
            {
                co_await blitzio::try_(
                    blitzio::result<void>(blitzio::fail(blitzio::io_errc::closed)));
                log.push_back("not reached");
            }
            co_await blitzio::yield();
            co_return 5;
        };
        const auto outer = [&](bool fail) -> blitzio::task<blitzio::result<std::string>> {
            const int value = co_await blitzio::try_(failing(fail));
            co_return std::to_string(value);
        };
        REQUIRE(runtime.block_on(outer(false)) == "5");
        const auto failed = runtime.block_on(outer(true));
        REQUIRE_FALSE(failed.has_value());
        REQUIRE(failed.error() == blitzio::io_errc::closed);
        REQUIRE(log == std::vector<std::string>{"failing's local", "failing's local"});
    });
}

TEST_CASE("an exception of a task awaited through try_ is thrown at the await", "[task][try]")
{
    blitzio::test::on_every_runtime([](blitzio::runtime& runtime) {
        const auto throws = []() -> blitzio::task<blitzio::result<int>> {
            co_await blitzio::yield();
            throw std::runtime_error("inside");
        };
        const auto catches = [&]() -> blitzio::task<blitzio::result<int>> {
            try
            {
                co_return co_await blitzio::try_(throws());
            }
            catch (const std::runtime_error&)
            {
                co_return -1;
            }
        };
        REQUIRE(runtime.block_on(catches()) == -1);
    });
}

TEST_CASE("five million ready awaits fit a small stack", "[task][stack]")
{
    // The workers' stacks are as small as the promise says; ready awaits must not use them up,
    // whatever the compiler makes of symmetric transfer.
    blitzio::runtime runtime({.io_threads = 1, .thread_stack_bytes = 256 * 1024});
    constexpr long count = 5'000'000;
    REQUIRE(runtime.block_on(sum_of_ready(count)) == count);
}

TEST_CASE("a long chain of tasks that finish one after the other unwinds in bounded stack",
          "[task][stack]")
{
    blitzio::runtime runtime({.io_threads = 1, .thread_stack_bytes = 256 * 1024});
    struct recursion
    {
        static blitzio::task<long> descend(long depth)
        {
            if (depth == 0)
            {
                co_await blitzio::yield();
                co_return 0;
            }
            co_return 1 + co_await descend(depth - 1);
        }
    };
    constexpr long depth = 100'000;
    REQUIRE(runtime.block_on(recursion::descend(depth)) == depth);
}

TEST_CASE("an error passes through a chain of try_ of any length in bounded stack",
          "[task][try][stack]")
{
    blitzio::runtime runtime({.io_threads = 1, .thread_stack_bytes = 256 * 1024});
    struct recursion
    {
        static blitzio::task<blitzio::result<long>> descend(long depth, bool wait)
        {
            if (depth == 0)
            {
                if (wait)
                {
                    co_await blitzio::yield();
                }
                co_return blitzio::fail(std::errc::io_error);
            }
            co_return 1 + co_await blitzio::try_(descend(depth - 1, wait));
        }

        /// Above the chain somebody goes on.
        static blitzio::task<std::error_code> ask(long depth, bool wait)
        {
            const auto outcome = co_await descend(depth, wait);
            co_await blitzio::yield();
            co_return outcome.error();
        }
    };
    // Around every bound that a part of the chain may have.
    for (long depth = 0; depth < 150; ++depth)
    {
        CAPTURE(depth);
        REQUIRE(runtime.block_on(recursion::ask(depth, true)) == std::errc::io_error);
        REQUIRE(runtime.block_on(recursion::ask(depth, false)) == std::errc::io_error);
    }
    REQUIRE(runtime.block_on(recursion::ask(100'000, true)) == std::errc::io_error);
}

TEST_CASE("combinators of ready tasks in a loop do not grow the stack", "[task][stack]")
{
    blitzio::runtime runtime({.io_threads = 1, .thread_stack_bytes = 256 * 1024});
    constexpr long count = 200'000;
    const auto loop = []() -> blitzio::task<long> {
        long total = 0;
        for (long i = 0; i < count; ++i)
        {
            auto [a, b] = co_await blitzio::when_all(give(1), give(2));
            total += a + b;
        }
        co_return total;
    };
    REQUIRE(runtime.block_on(loop()) == 3 * count);
}

TEST_CASE("scopes in a loop do not grow the stack", "[task][scope][stack]")
{
    blitzio::runtime runtime({.io_threads = 1, .thread_stack_bytes = 256 * 1024});
    constexpr long count = 20'000;
    const auto loop = []() -> blitzio::task<long> {
        long total = 0;
        for (long i = 0; i < count; ++i)
        {
            total += co_await blitzio::scope([&](blitzio::task_group&) { return give(1); });
            try
            {
                co_await blitzio::scope([](blitzio::task_group&) -> blitzio::task<void> {
                    throw std::runtime_error("a failed body");
                    co_return;
                });
            }
            catch (const std::runtime_error&)
            {
                ++total;
            }
            // Not a coroutine: throws before there is a body.
            const auto throws_at_once = [](blitzio::task_group& group) -> blitzio::task<int> {
                if (group.size() == 0)
                {
                    throw std::runtime_error("no body");
                }
                return give(1);
            };
            try
            {
                total += co_await blitzio::scope(throws_at_once);
            }
            catch (const std::runtime_error&)
            {
                ++total;
            }
        }
        co_return total;
    };
    REQUIRE(runtime.block_on(loop()) == 3 * count);
}

TEST_CASE("frames are returned", "[task][memory]")
{
    const auto before = blitzio::detail::live_frames();
    {
        blitzio::runtime runtime({.io_threads = 2});
        runtime.block_on([]() -> blitzio::task<void> {
            for (int i = 0; i < 1000; ++i)
            {
                co_await give(i);
            }
        });
        auto dropped = give(1); // never started
        static_cast<void>(dropped);
    }
    REQUIRE(blitzio::detail::live_frames() == before);
}

TEST_CASE("block_on on a worker fails at once and says so", "[task][runtime]")
{
    blitzio::runtime runtime({.io_threads = 2});
    const auto nested = [&]() -> blitzio::task<std::error_code> {
        try
        {
            static_cast<void>(runtime.block_on(give(1)));
        }
        catch (const std::system_error& error)
        {
            co_return error.code();
        }
        co_return std::error_code();
    };
    REQUIRE(runtime.block_on(nested()) == blitzio::io_errc::would_deadlock);
}

TEST_CASE("a task knows its surroundings", "[task]")
{
    blitzio::runtime runtime({.io_threads = 1});
    const auto ask = [&]() -> blitzio::task<bool> {
        const blitzio::task_env* env = co_await blitzio::this_task::env();
        const auto stop = co_await blitzio::this_task::stop();
        co_return env->runtime == &runtime.core() && stop.stop_possible() &&
            !stop.stop_requested() && std::string(env->name()) == "asking";
    };
    auto handle = runtime.spawn(ask, {.name = "asking"});
    REQUIRE(runtime.block_on(std::move(handle)));
}
