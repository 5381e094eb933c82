// A stop request at every suspension point: a program of everything in sync that can be waited for
// is stopped after k turns of another task, for every k until it ends by itself. Each time
// all of it must end, with every lock free and every value in one place.
// Thread rule: the test's thread.
#include "support.hpp"

#include <blitzio/io/detail/frame_pool.hpp>
#include <blitzio/io/try.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/sync.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstddef>
#include <cstdint>
#include <utility>

using namespace blitzio;
using namespace sync_tests;

namespace
{

/// What the program shares, and what is looked at when it has ended.
struct world
{
    sync::mutex lock;
    sync::condition_variable condition;
    sync::shared_mutex shared;
    sync::semaphore slots{2};
    sync::barrier gate{2};
    sync::once_cell<int> cell;
    sync::notify bell;
    sync::event half_done;
    sync::event ready;
    int items = 0;
    int inside = 0;
    int outside = 0;
    bool overlapped = false;
};

task<result<void>> locks(world& w, int id)
{
    for (int round = 0; round < 2; ++round)
    {
        auto held = co_await try_(w.lock.lock());
        w.overlapped |= ++w.inside != 1;
        co_await yield_times(static_cast<std::size_t>(id));
        ++w.items;
        w.condition.notify_one();
        --w.inside;
    }
    auto permit = co_await try_(w.slots.acquire(static_cast<std::size_t>(1 + id % 2)));
    auto reading = co_await try_(w.shared.lock_shared());
    co_await yield_times(3);
    reading.unlock();
    auto writing = co_await try_(w.shared.lock());
    w.overlapped |= ++w.outside != 1;
    co_await yield();
    --w.outside;
    co_return {};
}

task<result<void>> consumes(world& w)
{
    for (int taken = 0; taken < 4; ++taken)
    {
        auto held = co_await try_(w.lock.lock());
        auto waited = co_await w.condition.wait(held, [&w] { return w.items > 0; });
        w.overlapped |= ++w.inside != 1; // also after a stop request
        --w.inside;
        co_await try_(std::move(waited));
        --w.items;
        if (taken == 2)
        {
            w.half_done.set();
        }
    }
    w.ready.set();
    w.bell.notify_one();
    co_return {};
}

task<result<void>> meets(world& w)
{
    co_await try_(w.gate.arrive_and_wait());
    int* const made = co_await try_(w.cell.get_or_init([&w]() -> task<result<int>> {
        co_await try_(w.half_done.wait());
        co_return 5;
    }));
    w.overlapped |= *made != 5;
    co_await try_(w.ready.wait());
    co_await try_(w.gate.arrive_and_wait());
    co_return {};
}

/// Values from one task to another through `ends`, and the number that arrived.
template <class Ends>
task<result<int>> passes(Ends ends, int count)
{
    const auto sends = [count](auto sender) -> task<result<void>> {
        for (int id = 0; id < count; ++id)
        {
            co_await try_(sender.send(tracked(static_cast<std::uint64_t>(id))));
        }
        co_return {};
    };
    const auto receives = [](auto receiver) -> task<result<int>> {
        for (int arrived = 0;; ++arrived)
        {
            auto value = co_await receiver.receive();
            if (!value && value.error() == io_errc::closed)
            {
                co_return arrived;
            }
            co_await try_(std::move(value));
        }
    };
    auto [sent, received] =
        co_await when_all(sends(std::move(ends.sender)), receives(std::move(ends.receiver)));
    co_await try_(std::move(sent));
    co_return received;
}

task<result<int>> publishes()
{
    auto news = sync::broadcast<int>(8);
    auto state = sync::watch<int>(0);
    const auto listens = [&]() -> task<result<int>> {
        int sum = 0;
        for (int count = 0; count < 4; ++count)
        {
            sum += co_await try_(news.receiver.receive());
        }
        co_return sum;
    };
    const auto watches = [&]() -> task<result<int>> {
        auto last =
            co_await try_(state.receiver.wait_for([](const int& value) { return value == 4; }));
        co_return *last;
    };
    const auto tells = [&]() -> task<result<void>> {
        for (int value = 1; value <= 4; ++value)
        {
            co_await yield_times(4);
            static_cast<void>(news.sender.send(value));
            static_cast<void>(state.sender.send(value));
        }
        co_return {};
    };
    auto [heard, seen, told] = co_await when_all(listens(), watches(), tells());
    co_await try_(std::move(told));
    co_return co_await try_(std::move(heard)) + co_await try_(std::move(seen));
}

task<result<int>> program(world& w)
{
    auto [a, b, c, d, e] =
        co_await when_all(locks(w, 0), locks(w, 1), consumes(w), meets(w), meets(w));
    co_await try_(std::move(a));
    co_await try_(std::move(b));
    co_await try_(std::move(c));
    co_await try_(std::move(d));
    co_await try_(std::move(e));
    co_await try_(w.bell.wait());
    auto [first, second, third, fourth] =
        co_await when_all(passes(sync::channel<tracked>(1), 3), passes(sync::spsc<tracked>(1), 3),
                          passes(sync::mpsc<tracked>(2), 3), publishes());
    int total = co_await try_(std::move(first));
    total += co_await try_(std::move(second));
    total += co_await try_(std::move(third));
    total += co_await try_(std::move(fourth));
    co_return total;
}

constexpr int expected_total = 3 * 3 + (1 + 2 + 3 + 4) + 4;

/// True: the program ended before somebody who had `steps` turns asked it to stop.
bool stop_after(std::uint64_t seed, std::uint64_t steps)
{
    const std::int64_t frames_before = detail::live_frames();
    bool ended = false;
    bool too_late = false;
    {
        auto rt = simulated(seed, static_cast<unsigned>(1 + seed % 3));
        world w;
        auto handle = rt.spawn([&]() -> task<result<int>> {
            auto outcome = co_await program(w);
            ended = true;
            co_return outcome;
        });
        rt.block_on([&]() -> task<void> {
            for (std::uint64_t turn = 0; turn < steps && !ended; ++turn)
            {
                co_await yield();
            }
            too_late = ended;
            handle.request_stop();
        });
        const auto outcome = rt.block_on(std::move(handle));
        // The request may come too late for anything to notice: success beats cancel.
        if (outcome || too_late)
        {
            CHECK(outcome == expected_total);
        }
        else
        {
            CHECK(is_cancelled(outcome.error()));
        }
        rt.run();
        CHECK_FALSE(w.overlapped);
        CHECK(w.lock.try_lock().has_value());
        CHECK(w.shared.try_lock().has_value());
        CHECK(w.slots.available() == 2);
        CHECK(rt.metrics().timers_armed == 0);
    }
    CHECK(tracked::live() == 0);
    CHECK(detail::live_frames() == frames_before);
    return too_late;
}

} // namespace

TEST_CASE("a program of locks and channels is stopped after every number of turns")
{
    for (std::uint64_t seed = 1; seed <= 300; ++seed)
    {
        std::uint64_t steps = 0;
        for (bool ended = false; !ended; ++steps)
        {
            INFO("seed " << seed << ", stopped after " << steps << " turns");
            ended = stop_after(seed, steps);
            REQUIRE(steps < 10'000);
        }
        CHECK(steps > 15);
    }
}
