// A runtime as a value: made, moved, replaced, refused for want of descriptors or threads, and
// destroyed where it must not be. Thread rule: the test's thread.
#include <blitzio/io.hpp>

#include "support/dying.hpp"

#include <catch2/catch_test_macros.hpp>

#include <csignal>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

using namespace std::chrono_literals;
using blitzio::backend_choice;
using blitzio::runtime;
using blitzio::runtime_config;
using blitzio::stop_reason;
using blitzio::task;
using blitzio::test::end_of;

namespace
{

task<int> seven()
{
    co_await blitzio::yield();
    co_return 7;
}

/// Waits to be told why it has to end.
task<void> wait_for_the_end(stop_reason& why)
{
    const auto slept = co_await blitzio::sleep_for(24h);
    const blitzio::task_env& env = *co_await blitzio::this_task::env();
    why = slept ? stop_reason::none : env.stop.reason();
}

std::size_t open_descriptors()
{
    std::size_t count = 0;
    for (int fd = 0; fd < 1024; ++fd)
    {
        count += ::fcntl(fd, F_GETFD) >= 0 ? 1u : 0u;
    }
    return count;
}

/// So many numbers are free for as long as it lives.
class descriptors_left
{
public:
    explicit descriptors_left(unsigned count)
    {
        getrlimit(RLIMIT_NOFILE, &before_);
        // The lowest free numbers; holes below the highest open one are filled.
        std::vector<int> taken;
        for (unsigned index = 0; index <= count; ++index)
        {
            taken.push_back(::dup(STDERR_FILENO));
        }
        rlimit tight = before_;
        tight.rlim_cur = static_cast<rlim_t>(taken.back());
        setrlimit(RLIMIT_NOFILE, &tight);
        for (const int fd : taken)
        {
            ::close(fd);
        }
    }
    descriptors_left(const descriptors_left&) = delete;
    descriptors_left& operator=(const descriptors_left&) = delete;
    ~descriptors_left()
    {
        setrlimit(RLIMIT_NOFILE, &before_);
    }

private:
    rlimit before_{};
};

} // namespace

TEST_CASE("a runtime that was made with create works, moved about as well", "[runtime]")
{
    auto made = runtime::create({.io_threads = 2});
    REQUIRE(made.has_value());
    CHECK(made->block_on(seven()) == 7);
    runtime moved = std::move(*made);
    CHECK(moved.block_on(seven()) == 7);
    CHECK(moved.worker_count() == 2);
    runtime& same = moved;
    moved = std::move(same);
    CHECK(moved.block_on(seven()) == 7);
}

TEST_CASE("what is assigned to a runtime takes its place, and its tasks are ended first",
          "[runtime]")
{
    stop_reason why = stop_reason::none;
    runtime first({.io_threads = 1});
    auto waiting = first.spawn(wait_for_the_end(why));
    first = runtime({.io_threads = 3});
    CHECK(why == stop_reason::shutdown);
    CHECK(first.worker_count() == 3);
    CHECK(first.block_on(seven()) == 7);
}

TEST_CASE("a runtime that finds too few descriptors is refused and leaves none open", "[runtime]")
{
    for (const auto backend : {backend_choice::automatic, backend_choice::epoll})
    {
        INFO("backend " << blitzio::to_string(backend));
        const std::size_t before = open_descriptors();
        unsigned refused = 0;
        for (unsigned left = 0; left < 64; ++left)
        {
            const descriptors_left scarce(left);
            auto made = runtime::create({.io_threads = 3, .backend = backend});
            if (made)
            {
                CHECK(made->block_on(seven()) == 7);
                break;
            }
            ++refused;
            CHECK(made.error().code == std::errc::too_many_files_open);
            CHECK(made.error().field == "backend");
            CHECK(open_descriptors() == before);
        }
        // Three workers with two or three descriptors each.
        CHECK(refused >= 6);
        CHECK(refused < 64);
        CHECK(open_descriptors() == before);
    }
}

TEST_CASE("a runtime whose threads cannot be started is refused", "[runtime]")
{
    // More than any address space has.
    const auto made =
        runtime::create({.io_threads = 2, .thread_stack_bytes = std::size_t{1} << 52});
    REQUIRE_FALSE(made.has_value());
    CHECK((made.error().code == std::errc::resource_unavailable_try_again ||
           made.error().code == std::errc::not_enough_memory ||
           made.error().code == std::errc::invalid_argument));
    CHECK(made.error().message.find(made.error().code.message()) != std::string::npos);
}

TEST_CASE("a runtime that is destroyed on its own worker ends the process with the reason",
          "[runtime][dying]")
{
    const auto end = end_of([] {
        auto* const owned = new runtime({.io_threads = 1});
        owned->block_on([](runtime* self) -> task<void> {
            delete self;
            co_return;
        }(owned));
    });
    CHECK(end.signal == SIGABRT);
    CHECK(end.says("a runtime was destroyed on a worker thread"));
}

TEST_CASE("an exception that nobody can observe ends the process with its text and place",
          "[runtime][dying]")
{
    const auto throwing = [](auto thrown) {
        return end_of([thrown] {
            runtime own({.io_threads = 1});
            static_cast<void>(own.spawn(
                [](auto what) -> task<void> {
                    co_await blitzio::yield();
                    throw what;
                }(thrown),
                {.name = "the culprit"}));
            own.run();
        });
    };
    const auto known = throwing(std::runtime_error("out of luck"));
    CHECK(known.signal == SIGABRT);
    CHECK(known.says("out of luck"));
    CHECK(known.says("runtime_ownership_test.cpp:"));
    CHECK(known.says("(the culprit)"));
    const auto unknown = throwing(42);
    CHECK(unknown.signal == SIGABRT);
    CHECK(unknown.says("an exception of unknown type"));
}

TEST_CASE("a simulation in which nothing can happen any more says its seed and who waits",
          "[runtime][dying]")
{
    const auto end = end_of([] {
        runtime own({.backend = backend_choice::sim, .simulation = {.seed = 4711}});
        own.block_on([]() -> task<void> { static_cast<void>(co_await blitzio::never()); }());
    });
    CHECK(end.signal == SIGABRT);
    CHECK(end.says("seed 4711"));
    CHECK(end.says("nothing can happen any more"));
    CHECK(end.says("1 tasks"));
    CHECK(end.says("never"));
}

TEST_CASE("a task or generator that is destroyed while it runs ends the process",
          "[runtime][dying]")
{
    // A combinator that forgets to wait for its child would do this.
    const auto task_end = end_of([] {
        runtime own({.io_threads = 1});
        own.block_on([]() -> task<void> {
            const auto nobody = blitzio::detail::waiter::of(std::noop_coroutine());
            const blitzio::task_env& env = *co_await blitzio::this_task::env();
            {
                auto inner = []() -> task<void> {
                    static_cast<void>(co_await blitzio::sleep_for(1h));
                }();
                static_cast<void>(inner.start(env, nobody));
            }
        }());
    });
    CHECK(task_end.signal == SIGABRT);
    CHECK(task_end.says("a task was destroyed while it was running"));
    const auto generator_end = end_of([] {
        runtime own({.io_threads = 1});
        own.block_on([]() -> task<void> {
            const auto nobody = blitzio::detail::waiter::of(std::noop_coroutine());
            const blitzio::task_env& env = *co_await blitzio::this_task::env();
            {
                auto inner = []() -> blitzio::generator<int> {
                    static_cast<void>(co_await blitzio::sleep_for(1h));
                    co_yield 1;
                }();
                auto step = inner.next();
                static_cast<void>(step.start(env, nobody));
            }
        }());
    });
    CHECK(generator_end.signal == SIGABRT);
    CHECK(generator_end.says("a generator was destroyed while it was running"));
}
