// Every operation of sync that can wait, and a select of many of them, is stopped in every turn and
// granted in every turn of its wait: it ends with what was granted or with operation_canceled, and
// what was granted is in one place.
// Thread rule: the test's thread.
#include "support.hpp"

#include <blitzio/io/detail/frame_pool.hpp>
#include <blitzio/io/select.hpp>
#include <blitzio/io/sleep.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/sync.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

using namespace blitzio;
using namespace sync_tests;
using namespace std::chrono_literals;

namespace
{

constexpr std::size_t turns_tried = 6;
constexpr std::uint64_t seeds_tried = 12;

/// Starts `make(world)`, asks it to stop after `stop_turn` turns of others and calls grant(world) after
/// `grant_turn`. True: it succeeded. What it obtained is gone when this returns.
template <class World, class Make, class Grant>
bool run_once(runtime& rt, World& world, Make make, Grant grant, std::size_t stop_turn,
              std::size_t grant_turn)
{
    auto handle = rt.spawn([&]() -> task<result<void>> {
        auto outcome = co_await make(world);
        co_return outcome ? result<void>{} : fail(outcome.error());
    });
    const auto stops = [&]() -> task<void> {
        co_await yield_times(stop_turn);
        handle.request_stop();
    };
    const auto grants = [&]() -> task<void> {
        co_await yield_times(grant_turn);
        grant(world);
    };
    rt.block_on(when_all(stops(), grants()));
    const auto outcome = rt.block_on(std::move(handle));
    CHECK((outcome || is_cancelled(outcome.error())));
    rt.run();
    return outcome.has_value();
}

/// `check(world, obtained)` looks whether what was granted is in one place.
template <class World, class Make, class Grant, class Check>
void stop_in_every_turn(Make make, Grant grant, Check check)
{
    const std::int64_t frames_before = detail::live_frames();
    std::size_t succeeded = 0;
    std::size_t cancelled = 0;
    for (std::uint64_t seed = 1; seed <= seeds_tried; ++seed)
    {
        for (std::size_t stop_turn = 0; stop_turn < turns_tried; ++stop_turn)
        {
            for (std::size_t grant_turn = 0; grant_turn < turns_tried; ++grant_turn)
            {
                INFO("seed " << seed << ", stopped after " << stop_turn << ", granted after "
                             << grant_turn);
                auto rt = simulated(seed, static_cast<unsigned>(1 + seed % 3));
                World world;
                const bool obtained = run_once(rt, world, make, grant, stop_turn, grant_turn);
                (obtained ? succeeded : cancelled) += 1;
                check(world, obtained);
                CHECK(rt.metrics().timers_armed == 0);
            }
        }
    }
    // Both have happened, so the turns were chosen well.
    CHECK(succeeded > 0);
    CHECK(cancelled > 0);
    CHECK(tracked::live() == 0);
    CHECK(detail::live_frames() == frames_before);
}

constexpr auto any_outcome = [](auto&, bool) {};

/// The value that was sent, if it is not with the receiver that succeeded.
template <class Receiver>
void check_in_one_place(Receiver& receiver, bool obtained)
{
    const auto left = receiver.try_receive();
    CHECK(left.has_value() == !obtained);
}

} // namespace

TEST_CASE("the wait for a mutex is stopped in every turn", "[stop]")
{
    struct world
    {
        sync::mutex lock;
        std::optional<sync::mutex::guard> held = lock.try_lock();
        sync::guarded<int> value{1};
        std::optional<sync::guarded<int>::access> accessed = value.try_lock();
    };
    stop_in_every_turn<world>([](world& w) { return w.lock.lock(); },
                              [](world& w) { w.held.reset(); },
                              [](world& w, bool) { CHECK_FALSE(w.lock.is_locked()); });
    stop_in_every_turn<world>([](world& w) { return w.value.lock(); },
                              [](world& w) { w.accessed.reset(); },
                              [](world& w, bool) { CHECK(w.value.try_lock().has_value()); });
}

TEST_CASE("the wait for a shared mutex is stopped in every turn", "[stop]")
{
    struct world
    {
        sync::shared_mutex lock;
        std::optional<sync::shared_mutex::guard> alone = lock.try_lock();
        sync::shared_guarded<int> value{1};
        std::optional<sync::shared_guarded<int>::shared_access> reading = value.try_lock_shared();
    };
    const auto release = [](world& w) { w.alone.reset(); };
    const auto is_free = [](world& w, bool) { CHECK(w.lock.try_lock().has_value()); };
    stop_in_every_turn<world>([](world& w) { return w.lock.lock(); }, release, is_free);
    stop_in_every_turn<world>([](world& w) { return w.lock.lock_shared(); }, release, is_free);
    stop_in_every_turn<world>([](world& w) { return w.value.lock(); },
                              [](world& w) { w.reading.reset(); },
                              [](world& w, bool) { CHECK(w.value.try_lock().has_value()); });
}

TEST_CASE("the wait for permits is stopped in every turn", "[stop]")
{
    struct world
    {
        sync::semaphore slots{1};
    };
    stop_in_every_turn<world>([](world& w) { return w.slots.acquire(3); },
                              [](world& w) { w.slots.release(2); },
                              [](world& w, bool) { CHECK(w.slots.available() == 3); });
}

TEST_CASE("the wait for others is stopped in every turn", "[stop]")
{
    struct world
    {
        sync::barrier gate{2};
        sync::latch last{1};
        sync::event flag;
        sync::notify bell;
        sync::notify all;
        sync::event made;
        sync::once_cell<int> cell;
    };
    stop_in_every_turn<world>([](world& w) { return w.gate.arrive_and_wait(); },
                              [](world& w) { w.gate.arrive_and_drop(); },
                              [](world& w, bool) { CHECK(w.gate.participants() == 1); });
    stop_in_every_turn<world>([](world& w) { return w.last.wait(); },
                              [](world& w) { w.last.count_down(); }, any_outcome);
    stop_in_every_turn<world>([](world& w) { return w.flag.wait(); },
                              [](world& w) { w.flag.set(); },
                              [](world& w, bool) { CHECK(w.flag.is_set()); });
    stop_in_every_turn<world>(
        [](world& w) { return w.bell.wait(); }, [](world& w) { w.bell.notify_one(); },
        [](world& w, bool obtained) {
            // Used up, or kept for the next.
            auto rt = simulated(1);
            bool kept = false;
            const auto looks = [&]() -> task<void> {
                co_await select(on(w.bell.wait(), [&] { kept = true; }), otherwise([] {}));
            };
            rt.block_on(looks());
            CHECK(kept == !obtained);
        });
    stop_in_every_turn<world>([](world& w) { return w.all.wait(); },
                              [](world& w) {
                                  w.all.notify_all();
                                  w.all.notify_one();
                              },
                              any_outcome);
    stop_in_every_turn<world>(
        [](world& w) {
            return w.cell.get_or_init([&w]() -> task<result<int>> {
                auto waited = co_await w.made.wait();
                co_return waited ? result<int>(5) : fail(waited.error());
            });
        },
        [](world& w) { w.made.set(); },
        [](world& w, bool obtained) { CHECK((w.cell.get() != nullptr) == obtained); });
}

TEST_CASE("the wait with a condition variable is stopped in every turn", "[stop]")
{
    struct world
    {
        sync::mutex lock;
        sync::condition_variable condition;
    };
    const auto waits = [](world& w) -> task<result<void>> {
        auto held = w.lock.try_lock();
        auto waited = co_await w.condition.wait(*held);
        CHECK(held->owns_lock());
        CHECK(w.lock.is_locked());
        co_return waited;
    };
    const auto is_free = [](world& w, bool) { CHECK_FALSE(w.lock.is_locked()); };
    stop_in_every_turn<world>(waits, [](world& w) { w.condition.notify_one(); }, is_free);
    stop_in_every_turn<world>(waits, [](world& w) { w.condition.notify_all(); }, is_free);
}

TEST_CASE("a receive is stopped in every turn", "[stop]")
{
    struct world
    {
        sync::channel_ends<tracked> ends = sync::channel<tracked>(1);
        sync::mpsc_ends<tracked> many = sync::mpsc<tracked>(1);
        sync::spsc_ends<tracked> alone = sync::spsc<tracked>(1);
        sync::unbounded_ends<tracked> growing = sync::unbounded_channel<tracked>();
        sync::oneshot_ends<tracked> once = sync::oneshot<tracked>();
        sync::broadcast_ends<int> news = sync::broadcast<int>(2);
        sync::watch_ends<int> state = sync::watch<int>(0);
    };
    stop_in_every_turn<world>(
        [](world& w) { return w.ends.receiver.receive(); },
        [](world& w) { CHECK(w.ends.sender.try_send(tracked(1))); },
        [](world& w, bool obtained) { check_in_one_place(w.ends.receiver, obtained); });
    stop_in_every_turn<world>(
        [](world& w) { return w.many.receiver.receive(); },
        [](world& w) { CHECK(w.many.sender.try_send(tracked(1))); },
        [](world& w, bool obtained) { check_in_one_place(w.many.receiver, obtained); });
    stop_in_every_turn<world>(
        [](world& w) { return w.alone.receiver.receive(); },
        [](world& w) { CHECK(w.alone.sender.try_send(tracked(1))); },
        [](world& w, bool obtained) { check_in_one_place(w.alone.receiver, obtained); });
    stop_in_every_turn<world>(
        [](world& w) { return w.growing.receiver.receive(); },
        [](world& w) { CHECK(w.growing.sender.send(tracked(1))); },
        [](world& w, bool obtained) { check_in_one_place(w.growing.receiver, obtained); });
    stop_in_every_turn<world>(
        [](world& w) { return w.once.receiver.receive(); },
        [](world& w) { CHECK(w.once.sender.send(tracked(1))); },
        [](world& w, bool obtained) { check_in_one_place(w.once.receiver, obtained); });
    stop_in_every_turn<world>(
        [](world& w) { return w.news.receiver.receive(); },
        [](world& w) { CHECK(w.news.sender.send(1)); },
        [](world& w, bool obtained) { check_in_one_place(w.news.receiver, obtained); });
    stop_in_every_turn<world>(
        [](world& w) { return w.state.receiver.changed(); },
        [](world& w) { CHECK(w.state.sender.send(1)); },
        [](world& w, bool obtained) { CHECK(w.state.receiver.has_changed() == !obtained); });
    stop_in_every_turn<world>(
        [](world& w) {
            return w.state.receiver.wait_for([](const int& value) { return value == 1; });
        },
        [](world& w) { CHECK(w.state.sender.send(1)); }, any_outcome);
}

TEST_CASE("a send is stopped in every turn", "[stop]")
{
    struct world
    {
        world()
        {
            CHECK(full.sender.try_send(tracked(1)));
            CHECK(many.sender.try_send(tracked(1)));
            CHECK(alone.sender.try_send(tracked(1)));
        }
        sync::channel_ends<tracked> full = sync::channel<tracked>(1);
        sync::channel_ends<tracked> direct = sync::channel<tracked>(0);
        sync::mpsc_ends<tracked> many = sync::mpsc<tracked>(1);
        sync::spsc_ends<tracked> alone = sync::spsc<tracked>(1);
        bool taken = false;
    };
    stop_in_every_turn<world>(
        [](world& w) { return w.full.sender.send(tracked(2)); },
        [](world& w) { CHECK(w.full.receiver.try_receive()); },
        [](world& w, bool obtained) { CHECK(w.full.receiver.size() == (obtained ? 1 : 0)); });
    stop_in_every_turn<world>(
        [](world& w) { return w.direct.sender.send(tracked(2)); },
        [](world& w) { w.taken = w.direct.receiver.try_receive().has_value(); },
        [](world& w, bool obtained) { CHECK(w.taken == obtained); });
    stop_in_every_turn<world>(
        [](world& w) { return w.many.sender.send(tracked(2)); },
        [](world& w) { CHECK(w.many.receiver.try_receive()); },
        [](world& w, bool obtained) { CHECK(w.many.receiver.size() == (obtained ? 1 : 0)); });
    stop_in_every_turn<world>(
        [](world& w) { return w.alone.sender.send(tracked(2)); },
        [](world& w) { CHECK(w.alone.receiver.try_receive()); },
        [](world& w, bool obtained) { CHECK(w.alone.receiver.size() == (obtained ? 1 : 0)); });
}

TEST_CASE("a select of everything is stopped in every turn", "[stop][select]")
{
    struct world
    {
        world()
        {
            CHECK(full.sender.try_send(tracked(1)));
        }
        sync::channel_ends<tracked> ends = sync::channel<tracked>(1);
        sync::channel_ends<tracked> full = sync::channel<tracked>(1);
        sync::spsc_ends<tracked> alone = sync::spsc<tracked>(1);
        sync::oneshot_ends<tracked> once = sync::oneshot<tracked>();
        sync::broadcast_ends<int> news = sync::broadcast<int>(2);
        sync::watch_ends<int> state = sync::watch<int>(0);
        sync::mutex lock;
        std::optional<sync::mutex::guard> held = lock.try_lock();
        sync::shared_mutex shared;
        std::optional<sync::shared_mutex::guard> alone_in = shared.try_lock();
        sync::semaphore slots{0};
        sync::event flag;
        sync::notify bell;
        int handlers = 0;
        int taken = 0; // values that handlers got, less those that were sent
    };
    const auto count = [](world& w, int values = 0) {
        return [&w, values](auto&& outcome) {
            ++w.handlers;
            w.taken += outcome ? values : 0;
        };
    };
    const auto selects = [count](world& w) {
        return select(
            on(w.ends.receiver.receive(), count(w, 1)), on(w.alone.receiver.receive(), count(w, 1)),
            on(w.full.sender.send(tracked(2)), count(w, -1)),
            on(w.once.receiver.receive(), count(w, 1)), on(w.news.receiver.receive(), count(w)),
            on(w.state.receiver.changed(), count(w)), on(w.lock.lock(), count(w)),
            on(w.shared.lock_shared(), count(w)), on(w.shared.lock(), count(w)),
            on(w.slots.acquire(), count(w)), on(w.flag.wait(), count(w)),
            on(w.bell.wait(), count(w)), on(sleep_for(1h), count(w)));
    };
    const auto grants_all = [](world& w) {
        CHECK(w.ends.sender.try_send(tracked(3)));
        CHECK(w.full.receiver.try_receive());
        CHECK(w.alone.sender.try_send(tracked(4)));
        CHECK(w.once.sender.send(tracked(5)));
        CHECK(w.news.sender.send(6));
        CHECK(w.state.sender.send(7));
        w.held.reset();
        w.alone_in.reset();
        w.slots.release();
        w.bell.notify_one();
        w.flag.set();
    };
    stop_in_every_turn<world>(selects, grants_all, [](world& w, bool obtained) {
        CHECK(w.handlers == (obtained ? 1 : 0));
        CHECK_FALSE(w.lock.is_locked());
        CHECK(w.shared.try_lock().has_value());
        CHECK(w.slots.available() == 1);
        const std::size_t left = w.ends.receiver.size() + w.alone.receiver.size() +
                                 w.full.receiver.size() +
                                 (w.once.receiver.try_receive().has_value() ? 1 : 0);
        CHECK(static_cast<int>(left) + w.taken == 3);
    });
}
