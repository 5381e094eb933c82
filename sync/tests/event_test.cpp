// event and latch. Thread rule: as the tests say.
#include "support.hpp"

#include <blitzio/io/race.hpp>
#include <blitzio/io/timeout.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/sync/event.hpp>
#include <blitzio/sync/latch.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

using namespace blitzio;
using namespace sync_tests;
using namespace std::chrono_literals;

TEST_CASE("an event that is set does not suspend, one that is reset does")
{
    auto rt = simulated(1);
    sync::event ready(true);
    REQUIRE(ready.is_set());
    REQUIRE(rt.block_on(ready.wait()).has_value());
    ready.reset();
    REQUIRE_FALSE(ready.is_set());
    REQUIRE(rt.block_on(timeout(5ms, ready.wait())).error() == std::errc::timed_out);
    ready.set();
    ready.set();
    REQUIRE(rt.block_on(ready.wait()).has_value());
}

TEST_CASE("set lets go of everybody who waits, even when reset follows at once")
{
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed, 1 + seed % 4);
        sync::event ready;
        unsigned waiting = 0;
        unsigned released = 0;
        unsigned early = 0;
        bool opened = false;
        for (unsigned id = 0; id < 5; ++id)
        {
            static_cast<void>(rt.spawn([&]() -> task<void> {
                ++waiting;
                auto outcome = co_await ready.wait();
                released += outcome.has_value() ? 1 : 0;
                early += opened ? 0 : 1;
            }));
        }
        rt.block_on([&]() -> task<void> {
            while (waiting != 5)
            {
                co_await yield();
            }
            opened = true;
            ready.set();
            ready.reset();
        });
        rt.run();
        CAPTURE(seed);
        REQUIRE(released == 5);
        REQUIRE(early == 0);
        REQUIRE_FALSE(ready.is_set());
    }
}

TEST_CASE("those who wait for an event go on in the order in which they came")
{
    auto rt = threaded(1);
    std::vector<unsigned> order;
    rt.block_on([&]() -> task<void> {
        sync::event ready;
        std::vector<join_handle<void>> handles;
        for (unsigned id = 0; id < 5; ++id)
        {
            handles.push_back(rt.spawn([&, id]() -> task<void> {
                static_cast<void>(co_await ready.wait());
                order.push_back(id);
            }));
            co_await yield_times(3); // it waits before the next one begins
        }
        ready.set();
        for (auto& handle : handles)
        {
            co_await std::move(handle);
        }
    });
    REQUIRE(order == std::vector<unsigned>{0, 1, 2, 3, 4});
}

TEST_CASE("one who waits for an event may be cancelled at every step")
{
    unsigned seen = 0;
    unsigned cancelled = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed);
        sync::event ready;
        bool other = false;
        auto victim = rt.spawn([&]() -> task<bool> {
            co_await yield_times(2);
            auto outcome = co_await ready.wait();
            co_return outcome.has_value();
        });
        static_cast<void>(rt.spawn([&]() -> task<void> {
            auto outcome = co_await ready.wait();
            other = outcome.has_value();
        }));
        static_cast<void>(rt.spawn([&, steps = seed % 11]() -> task<void> {
            co_await yield_times(steps);
            victim.request_stop();
        }));
        static_cast<void>(rt.spawn([&]() -> task<void> {
            co_await yield_times(5);
            ready.set();
        }));
        rt.run();
        const bool got = rt.block_on([&]() -> task<bool> { co_return co_await std::move(victim); });
        ++(got ? seen : cancelled);
        CAPTURE(seed);
        REQUIRE(other);
    }
    REQUIRE(seen > 0);
    REQUIRE(cancelled > 0);
}

TEST_CASE("set and cancel may meet on different threads")
{
    auto rt = threaded(4);
    for (unsigned round = 0; round < 4000; ++round)
    {
        std::optional<sync::event> ready(std::in_place);
        auto waiting = rt.spawn([&]() -> task<bool> {
            auto outcome = co_await ready->wait();
            co_return outcome.has_value();
        });
        auto setting = rt.spawn([&]() -> task<void> {
            ready->set();
            co_return;
        });
        if (round % 2 == 0)
        {
            waiting.request_stop();
        }
        // Both calls have returned before the event goes.
        const bool got = rt.block_on([&]() -> task<bool> {
            const bool outcome = co_await std::move(waiting);
            co_await std::move(setting);
            co_return outcome;
        });
        if (round % 2 != 0)
        {
            REQUIRE(got);
        }
        ready.reset();
    }
}

namespace
{

/// Takes one object after the other from a task and calls it, from a thread of its own. The objects
/// are destroyed as soon as the task knows of the call, so a call that touches them later shows.
template <class T>
class caller
{
public:
    explicit caller(void (*call)(T&)) : thread_([this, call] { run(call); }) {}

    ~caller()
    {
        stopping_ = true;
        thread_.join();
    }

    void hand(T& next) noexcept
    {
        next_.store(&next);
    }

private:
    void run(void (*call)(T&))
    {
        while (!stopping_)
        {
            if (T* const target = next_.exchange(nullptr))
            {
                call(*target);
            }
            else
            {
                std::this_thread::yield();
            }
        }
    }

    std::atomic<T*> next_{nullptr};
    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

} // namespace

TEST_CASE("an event may be destroyed as soon as the wait has succeeded")
{
    auto rt = threaded(1);
    caller<sync::event> setter([](sync::event& target) { target.set(); });
    rt.block_on([&]() -> task<void> {
        for (unsigned round = 0; round < 20000; ++round)
        {
            auto ready = std::make_unique<sync::event>();
            setter.hand(*ready);
            const auto waited = co_await ready->wait();
            CHECK(waited.has_value());
        }
    });
}

TEST_CASE("a latch may be destroyed as soon as the wait has succeeded")
{
    auto rt = threaded(1);
    caller<sync::latch> counter([](sync::latch& target) { target.count_down(); });
    rt.block_on([&]() -> task<void> {
        for (unsigned round = 0; round < 20000; ++round)
        {
            auto done = std::make_unique<sync::latch>(2);
            counter.hand(*done);
            const auto waited = co_await done->arrive_and_wait();
            CHECK(waited.has_value());
        }
    });
}

TEST_CASE("a thread outside the runtime sets an event")
{
    auto rt = threaded(2);
    sync::event there;
    sync::event back;
    std::thread outside([&] {
        while (!there.is_set())
        {
            std::this_thread::yield();
        }
        back.set();
    });
    rt.block_on([&]() -> task<void> {
        there.set();
        const auto waited = co_await back.wait();
        CHECK(waited.has_value());
    });
    outside.join();
    REQUIRE(back.is_set());
}

TEST_CASE("a latch opens with the last count down and stays open")
{
    auto rt = simulated(5);
    sync::latch done(3);
    done.count_down(0);
    done.count_down(2);
    REQUIRE_FALSE(done.is_open());
    REQUIRE(rt.block_on(timeout(5ms, done.wait())).error() == std::errc::timed_out);
    done.count_down();
    REQUIRE(done.is_open());
    REQUIRE(rt.block_on(done.wait()).has_value());
    sync::latch none(0);
    REQUIRE(none.is_open());
    REQUIRE(rt.block_on(none.wait()).has_value());
}

TEST_CASE("tasks that arrive at a latch leave it together")
{
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed, 1 + seed % 4);
        sync::latch all_here(6);
        unsigned here = 0;
        unsigned left = 0;
        bool too_early = false;
        for (unsigned id = 0; id < 6; ++id)
        {
            static_cast<void>(rt.spawn([&, id]() -> task<void> {
                co_await yield_times(id);
                ++here;
                static_cast<void>(co_await all_here.arrive_and_wait());
                too_early |= here != 6;
                ++left;
            }));
        }
        rt.run();
        CAPTURE(seed);
        REQUIRE(left == 6);
        REQUIRE_FALSE(too_early);
    }
}
