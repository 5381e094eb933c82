// once_cell. Thread rule: as the tests say.
#include "support.hpp"

#include <blitzio/io/sleep.hpp>
#include <blitzio/io/timeout.hpp>
#include <blitzio/io/try.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/sync/event.hpp>
#include <blitzio/sync/once_cell.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>

using namespace blitzio;
using namespace sync_tests;
using namespace std::chrono_literals;

namespace
{

/// An initialiser that suspends and counts its calls.
struct slow_maker
{
    std::atomic<unsigned>* calls;
    std::size_t turns = 3;

    task<std::string> operator()() const
    {
        calls->fetch_add(1);
        co_await yield_times(turns);
        co_return "made";
    }
};

} // namespace

// Tokio's sync_once_cell: set_and_get, get_uninit, set_twice, set_while_initializing.
TEST_CASE("a once cell is set once, and not while it is being made")
{
    auto rt = simulated(5);
    sync::once_cell<std::string> cell;
    REQUIRE(cell.get() == nullptr);
    REQUIRE(cell.set("given"));
    REQUIRE(*cell.get() == "given");
    std::string late = "late";
    REQUIRE_FALSE(cell.set(std::move(late)));
    REQUIRE(late == "late");
    sync::once_cell<std::string> other;
    rt.block_on([&]() -> task<void> {
        std::atomic<unsigned> calls{0};
        auto making = rt.spawn([&]() -> task<std::string> {
            auto made = co_await other.get_or_init(slow_maker{&calls, 20});
            co_return **made;
        });
        while (calls == 0)
        {
            co_await yield();
        }
        CHECK_FALSE(other.set("meanwhile"));
        const std::string made = co_await std::move(making);
        CHECK(made == "made");
    });
}

// Tokio's sync_once_cell: get_or_init. Go's once_test: TestOnce.
TEST_CASE("many want the value of a once cell, and one makes it")
{
    for (const unsigned workers : {1u, 4u})
    {
        for (unsigned round = 0; round < 50; ++round)
        {
            auto rt = threaded(workers);
            sync::once_cell<std::string> cell;
            std::atomic<unsigned> calls{0};
            std::atomic<unsigned> right_ones{0};
            for (unsigned id = 0; id < 20; ++id)
            {
                static_cast<void>(rt.spawn([&]() -> task<void> {
                    auto made = co_await cell.get_or_init(slow_maker{&calls});
                    right_ones.fetch_add(**made == "made" && *made == cell.get() ? 1 : 0);
                }));
            }
            rt.run();
            REQUIRE(calls == 1);
            REQUIRE(right_ones == 20);
        }
    }
}

// Tokio's sync_once_cell: get_or_try_init, get_or_init_panic. Go's once_test: TestOncePanic, with
// the difference that a failed call does not count.
TEST_CASE("an initialiser that fails or throws lets the next one try")
{
    auto rt = simulated(9);
    sync::once_cell<int> cell;
    unsigned calls = 0;
    const auto attempt = [&]() -> task<result<int>> {
        const unsigned call = calls++;
        co_await yield_times(3);
        if (call == 0)
        {
            co_return fail(std::errc::connection_refused);
        }
        if (call == 1)
        {
            throw std::runtime_error("second");
        }
        co_return static_cast<int>(call);
    };
    const auto want = [&]() -> task<int> {
        try
        {
            auto made = co_await cell.get_or_init(attempt);
            if (!made)
            {
                CHECK(made.error() == std::errc::connection_refused);
                co_return -1;
            }
            co_return **made;
        }
        catch (const std::runtime_error&)
        {
            co_return -2;
        }
    };
    auto [first, second, third, fourth] =
        rt.block_on([&]() -> task<std::tuple<int, int, int, int>> {
            co_return co_await when_all(want(), want(), want(), want());
        });
    REQUIRE(first + second + third + fourth == -1 - 2 + 2 + 2);
    REQUIRE(calls == 3);
    REQUIRE(*cell.get() == 2);
}

TEST_CASE("an initialiser that is cancelled at any step leaves the cell to the next one")
{
    unsigned made_by_victim = 0;
    unsigned made_by_other = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed);
        sync::once_cell<int> cell;
        unsigned calls = 0;
        const auto make = [&]() -> task<result<int>> {
            ++calls;
            co_await try_(sleep_for(2ms));
            co_return 7;
        };
        const auto want = [&]() -> task<bool> {
            auto made = co_await cell.get_or_init(make);
            CHECK((made ? **made == 7 : is_cancelled(made.error())));
            co_return made.has_value();
        };
        auto victim = rt.spawn(want);
        auto other = rt.spawn(want);
        auto stopper = rt.spawn([&, delay = seed % 40 * 100us]() -> task<void> {
            static_cast<void>(co_await sleep_for(delay));
            victim.request_stop();
        });
        rt.block_on(std::move(stopper)); // the handle of the victim must stay until then
        const bool got = rt.block_on(std::move(victim));
        (got ? made_by_victim : made_by_other)++;
        CAPTURE(seed);
        REQUIRE(rt.block_on(std::move(other)));
        rt.run();
        REQUIRE(*cell.get() == 7);
        REQUIRE(calls <= 2);
    }
    REQUIRE(made_by_victim > 0);
    REQUIRE(made_by_other > 0);
}

TEST_CASE("a value that is there is given even after a stop request")
{
    auto rt = threaded(1);
    sync::once_cell<int> cell;
    REQUIRE(cell.set(3));
    stop_source source;
    source.request_stop();
    const task_env env{&rt.core(), source.get_token()};
    auto operation = cell.get_or_init([]() -> task<int> { co_return 4; });
    REQUIRE_FALSE(operation.start(env, {}));
    REQUIRE(**operation.await_resume() == 3);
    auto late = rt.block_on([&]() -> task<result<int*>> {
        co_return co_await timeout(1ms, cell.get_or_init([]() -> task<int> { co_return 5; }));
    });
    REQUIRE(**late == 3);
}
