// compute_on: results, exceptions, stops at every moment, allocation count, simulation.
// Thread rule: each test owns its runtime and pool.
#include "support.hpp"

#include <atomic>
#include <latch>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace bz = blitzio;
using namespace std::chrono_literals;

namespace
{

/// Spins without a system call until `flag` is set by another thread.
void wait_for(const std::atomic<bool>& flag)
{
    while (!flag.load())
    {
        std::this_thread::yield();
    }
}

/// Occupies all threads of a pool until release() is called.
class blocker
{
public:
    explicit blocker(bz::compute::pool& pool) : arrived_(pool.threads())
    {
        for (unsigned index = 0; index < pool.threads(); ++index)
        {
            handles_.push_back(bz::spawn_compute(pool, [this] {
                arrived_.count_down();
                wait_for(released_);
            }));
        }
        arrived_.wait();
    }
    ~blocker()
    {
        release();
    }

    void release()
    {
        released_ = true;
    }

private:
    std::latch arrived_;
    std::atomic<bool> released_{false};
    std::vector<bz::compute_handle<void>> handles_;
};

} // namespace

TEST_CASE("compute_on gives the result on another thread's behalf", "[bridge][compute_on]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    runtime.block_on([&]() -> bz::task<void> {
        const int factor = 6;
        bool on_pool = false;
        const auto product = co_await bz::compute_on(pool, [&] {
            on_pool = pool.owns_current_thread();
            return factor * 7;
        });
        CHECK(on_pool);
        CHECK_FALSE(pool.owns_current_thread());
        REQUIRE(product);
        CHECK(*product == 42);

        const auto nothing = co_await bz::compute_on(pool, [] {});
        CHECK(nothing);

        const auto on_default = co_await bz::compute_on(
            [] { return bz::compute::default_pool().owns_current_thread(); });
        REQUIRE(on_default);
        CHECK(*on_default);
    });
}

TEST_CASE("results are passed through, values are moved", "[bridge][compute_on]")
{
    bz::compute::pool pool({.threads = 1, .name = "work"});
    auto runtime = test::make_runtime();
    runtime.block_on([&]() -> bz::task<void> {
        const bz::result<int> refused = co_await bz::compute_on(
            pool, []() -> bz::result<int> { return bz::fail(std::errc::file_too_large); });
        REQUIRE_FALSE(refused);
        CHECK(refused.error() == std::errc::file_too_large);

        auto moved =
            co_await bz::compute_on(pool, [text = std::make_unique<std::string>("kept")]() mutable {
                return std::move(text);
            });
        REQUIRE(moved);
        CHECK(**moved == "kept");
    });
}

TEST_CASE("try_ and combinators take compute_on", "[bridge][compute_on]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    const auto sum = runtime.block_on([&]() -> bz::task<bz::result<int>> {
        const int one = co_await bz::try_(bz::compute_on(pool, [] { return 1; }));
        auto pair = co_await bz::when_all(bz::compute_on(pool, [] { return 10; }),
                                          bz::compute_on(pool, [] { return 100; }));
        const int timed = *co_await bz::timeout(1h, bz::compute_on(pool, [] { return 1000; }));
        co_return one + *std::get<0>(pair) + *std::get<1>(pair) + timed;
    });
    REQUIRE(sum);
    CHECK(*sum == 1111);
}

TEST_CASE("what the callable throws arrives where it is awaited", "[bridge][compute_on]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime();
    const auto message = runtime.block_on([&]() -> bz::task<std::string> {
        std::string text;
        for (int round = 0; round < 1000; ++round)
        {
            try
            {
                static_cast<void>(co_await bz::compute_on(pool, [round]() -> int {
                    throw std::runtime_error("round " + std::to_string(round));
                }));
                FAIL("no exception");
            }
            catch (const std::runtime_error& error)
            {
                text = error.what();
                REQUIRE(text == "round " + std::to_string(round));
            }
        }
        co_return text;
    });
    CHECK(message == "round 999");
}

TEST_CASE("a stop before the start skips the call", "[bridge][compute_on][stop]")
{
    bz::compute::pool pool({.threads = 1, .name = "work"});
    auto runtime = test::make_runtime();
    std::atomic<int> calls{0};

    // Stopped before it is even enqueued.
    auto early = runtime.block_on([&]() -> bz::task<bz::result<void>> {
        co_return co_await bz::scope([&](bz::task_group& group) -> bz::task<bz::result<void>> {
            group.request_stop();
            co_return co_await bz::compute_on(pool, [&] { calls.fetch_add(1); });
        });
    });
    REQUIRE_FALSE(early);
    CHECK(early.error() == std::errc::operation_canceled);

    // Stopped while it waits for a thread.
    blocker busy(pool);
    auto waiting = runtime.spawn([&]() -> bz::task<bz::result<void>> {
        co_return co_await bz::compute_on(pool, [&] { calls.fetch_add(1); });
    });
    while (pool.pending() < 2)
    {
        std::this_thread::yield();
    }
    waiting.request_stop();
    CHECK_FALSE(waiting.finished());
    busy.release();
    const auto late = runtime.block_on(std::move(waiting));
    REQUIRE_FALSE(late);
    CHECK(late.error() == std::errc::operation_canceled);
    CHECK(calls == 0);
}

TEST_CASE("a running call hears of the stop and its result counts", "[bridge][compute_on][stop]")
{
    bz::compute::pool pool({.threads = 1, .name = "work"});
    auto runtime = test::make_runtime();
    std::atomic<bool> running{false};
    auto stopped = runtime.spawn([&]() -> bz::task<bz::result<int>> {
        co_return co_await bz::compute_on(pool, [&](bz::stop_token token) {
            running = true;
            while (!token.stop_requested())
            {
                std::this_thread::yield();
            }
            return token.reason() == bz::stop_reason::user ? 7 : 8;
        });
    });
    wait_for(running);
    stopped.request_stop(bz::stop_reason::user);
    const auto outcome = runtime.block_on(std::move(stopped));
    REQUIRE(outcome); // success beats cancel
    CHECK(*outcome == 7);

    const auto expired = runtime.block_on([&]() -> bz::task<bz::result<int>> {
        co_return co_await bz::timeout(
            2ms, bz::compute_on(pool, [](bz::stop_token token) -> bz::result<int> {
                while (!token.stop_requested())
                {
                    std::this_thread::yield();
                }
                return bz::fail(std::errc::operation_canceled);
            }));
    });
    REQUIRE_FALSE(expired);
    CHECK(expired.error() == std::errc::timed_out);
}

TEST_CASE("100,000 computations under random stops end exactly once", "[bridge][compute_on][stop]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime(2);
    constexpr int groups = 100;
    constexpr int per_group = 1000;
    std::atomic<int> begun{0};
    std::atomic<int> values{0};
    std::atomic<int> canceled{0};
    std::atomic<int> wrong{0}; // the tasks run on several threads; only this one checks
    runtime.block_on([&]() -> bz::task<void> {
        for (int group_number = 0; group_number < groups; ++group_number)
        {
            const int stop_after = begun + group_number * 7;
            static_cast<void>(
                co_await bz::scope([&](bz::task_group& group) -> bz::task<bz::result<void>> {
                    for (int index = 0; index < per_group; ++index)
                    {
                        group.spawn([&, index]() -> bz::task<void> {
                            // In heap memory of the frame: a late touch is a use after free.
                            std::string text =
                                "element number " + std::to_string(index) + " of the group";
                            const auto length = co_await bz::compute_on(pool, [&text, &begun] {
                                begun.fetch_add(1);
                                return text.size();
                            });
                            if (length)
                            {
                                wrong.fetch_add(*length == text.size() ? 0 : 1);
                                values.fetch_add(1);
                            }
                            else
                            {
                                wrong.fetch_add(
                                    length.error() == std::errc::operation_canceled ? 0 : 1);
                                canceled.fetch_add(1);
                            }
                        });
                    }
                    while (begun < stop_after) // so each group is stopped at another moment
                    {
                        co_await bz::yield();
                    }
                    group.request_stop();
                    co_return {};
                }));
        }
    });
    CHECK(wrong == 0);
    CHECK(values + canceled == groups * per_group);
    CHECK(values == begun);
    CHECK(values > 0);
    CHECK(canceled > 0);
}

TEST_CASE("a warm compute_on allocates nothing of ours", "[bridge][compute_on][allocation]")
{
    if (!test::counts_allocations)
    {
        SKIP("the sanitizer brings its own operator new");
    }
    bz::compute::pool pool({.threads = 1, .name = "work"});
    auto runtime = test::make_runtime(1);
    const auto allocated = runtime.block_on([&]() -> bz::task<std::uint64_t> {
        std::uint64_t sum = 0;
        std::uint64_t before = 0;
        for (std::uint64_t round = 0; round < 2000; ++round)
        {
            if (round == 1000)
            {
                before = test::allocations();
            }
            sum += *co_await bz::compute_on(pool, [round] { return round; });
        }
        CHECK(sum == 1999 * 2000 / 2);
        co_return test::allocations() - before;
    });
    CHECK(allocated == 0);
}

TEST_CASE("the pool's destructor and the runtime's end wait for computations",
          "[bridge][compute_on]")
{
    std::atomic<int> ended{0};
    for (int round = 0; round < 100; ++round)
    {
        bz::compute::pool pool({.threads = 2, .name = "work"});
        auto runtime = test::make_runtime(2);
        for (int index = 0; index < 10; ++index)
        {
            auto forgotten = runtime.spawn([&]() -> bz::task<void> {
                static_cast<void>(co_await bz::compute_on(pool, [] {}));
                ended.fetch_add(1);
            });
        }
    }
    CHECK(ended == 1000);
}

TEST_CASE("a runtime may end as soon as the last result is there", "[bridge][compute_on]")
{
    // The pool's thread may still be inside the runtime then, about to wake a worker that is awake.
    bz::compute::pool pool({.threads = 2, .name = "work"});
    for (int round = 0; round < 300; ++round)
    {
        auto runtime = test::make_runtime(2);
        auto keeps_workers_awake = runtime.spawn([]() -> bz::task<void> {
            while (!(co_await bz::this_task::stop()).stop_requested())
            {
                co_await bz::yield();
            }
        });
        const auto value = runtime.block_on(bz::compute_on(pool, [round] { return round; }));
        REQUIRE(value == round);
    }
}

TEST_CASE("blocking calls, computing and I/O do not starve each other", "[bridge][starvation]")
{
    bz::compute::pool pool({.threads = 2, .name = "work"});
    auto runtime = test::make_runtime(1);
    std::atomic<bool> released{false};
    runtime.block_on([&]() -> bz::task<void> {
        co_return co_await bz::scope([&](bz::task_group& group) -> bz::task<void> {
            // Every thread of the compute pool is occupied until `released`...
            for (int index = 0; index < 2; ++index)
            {
                group.spawn([&]() -> bz::task<void> {
                    static_cast<void>(co_await bz::compute_on(pool, [&] { wait_for(released); }));
                });
            }
            // ... and so are many blocking threads, yet blocking calls, timers and tasks go on.
            for (int index = 0; index < 16; ++index)
            {
                group.spawn([&]() -> bz::task<void> {
                    static_cast<void>(co_await bz::spawn_blocking([&] { wait_for(released); }));
                });
            }
            const auto blocked = co_await bz::spawn_blocking([] { return 5; });
            CHECK(blocked == 5);
            const auto slept = co_await bz::sleep_for(2ms);
            CHECK(slept);
            for (int turn = 0; turn < 100; ++turn)
            {
                co_await bz::yield();
            }
            released = true;
            const auto computed = co_await bz::compute_on(pool, [] { return 6; });
            CHECK(computed == 6);
        });
    });
}

TEST_CASE("a forked child is refused", "[bridge][fork]")
{
    if (test::is_thread_sanitized)
    {
        SKIP("the thread sanitizer cannot follow threads that a forked child starts");
    }
    bz::compute::pool pool({.threads = 1, .name = "work"});
    {
        auto runtime = test::make_runtime(1);
        CHECK(*runtime.block_on(bz::compute_on(pool, [] { return 1; })) == 1);
    }
    const pid_t child = fork();
    if (child == 0)
    {
        alarm(20);
        int code = 1;
        {
            auto runtime = test::make_runtime(1);
            const auto refused = runtime.block_on(bz::compute_on(pool, [] { return 1; }));
            auto pending = bz::spawn_compute(pool, [] { return 1; });
            const auto later = runtime.block_on(pending.get());
            if (!refused && refused.error() == std::errc::no_such_process && !later &&
                later.error() == std::errc::no_such_process)
            {
                code = 0;
            }
        }
        _exit(code);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("simulated computations are decided by the seed", "[bridge][sim]")
{
    const auto run = [](std::uint64_t seed) {
        bz::compute::pool pool({.threads = 2, .name = "work"});
        auto runtime = test::make_simulated(seed);
        std::vector<int> order;
        const auto thread = std::this_thread::get_id();
        runtime.block_on([&]() -> bz::task<void> {
            co_return co_await bz::scope([&](bz::task_group& group) -> bz::task<void> {
                for (int index = 0; index < 40; ++index)
                {
                    group.spawn([&, index]() -> bz::task<void> {
                        const auto value = co_await bz::compute_on(pool, [&, index] {
                            CHECK(std::this_thread::get_id() == thread);
                            order.push_back(index);
                            return index;
                        });
                        CHECK(value == index);
                        const auto squares = co_await bz::parallel_map(
                            pool, std::views::iota(0, 10), [](int base) { return base * base; });
                        REQUIRE(squares);
                        order.push_back(squares->back());
                    });
                }
                co_return;
            });
        });
        return std::pair(order, runtime.simulation_trace_hash());
    };
    std::vector<std::vector<int>> orders;
    for (std::uint64_t seed = 1; seed <= 5; ++seed)
    {
        const auto first = run(seed);
        CHECK(first == run(seed));
        orders.push_back(first.first);
    }
    CHECK(orders[0] != orders[1]);
}
