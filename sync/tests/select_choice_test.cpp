// One case of a select takes effect: while one is chosen and has not heard of it, whatever another
// one would get goes to the next that waits, or stays where it is. For every type of sync that can
// be a case. What happens between two awaits of a test happens before the select hears of anything.
// Thread rule: the test's thread.
#include "support.hpp"

#include <blitzio/io/adaptors.hpp>
#include <blitzio/io/interval.hpp>
#include <blitzio/io/precise_sleep.hpp>
#include <blitzio/io/select.hpp>
#include <blitzio/io/sleep.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/sync.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
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

/// A select of `make(world)`'s operation and a receive waits; then the value is sent and
/// `grant(world)` called in one step. Afterwards: true if the operation's handler ran, and the
/// number of handlers that ran.
struct observed
{
    bool first_handled = false;
    int handlers = 0;
};

template <class World, class Make, class Grant>
observed choose_other(World& world, Make make, Grant grant, std::uint64_t seed)
{
    auto rt = simulated(seed, static_cast<unsigned>(1 + seed % 3));
    auto [sender, receiver] = sync::channel<int>(1);
    observed seen;
    const auto selects = [&]() -> task<void> {
        const auto first = co_await select(on(make(world),
                                              [&] {
                                                  seen.first_handled = true;
                                                  ++seen.handlers;
                                              }),
                                           on(receiver.receive(), [&] { ++seen.handlers; }));
        CHECK(first.has_value());
    };
    const auto grants = [&]() -> task<void> {
        co_await yield_times(8); // the select waits
        CHECK(sender.try_send(1).has_value());
        grant(world);
    };
    rt.block_on(when_all(selects(), grants()));
    return seen;
}

constexpr std::uint64_t some_seeds = 40;

template <class Make, class Grant, class Check, class World>
void check_choice(World make_world, Make make, Grant grant, Check check)
{
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed)
    {
        INFO("seed " << seed);
        auto world = make_world();
        const observed seen = choose_other(*world, make, grant, seed);
        CHECK(seen.handlers == 1);
        CHECK_FALSE(seen.first_handled);
        check(*world);
    }
}

template <class T>
auto a_new()
{
    return [] { return std::make_unique<T>(); };
}

} // namespace

TEST_CASE("a value goes past a receive whose select has chosen another case", "[select]")
{
    struct world
    {
        sync::channel_ends<int> ends = sync::channel<int>(1);
        sync::spsc_ends<int> alone = sync::spsc<int>(1);
        sync::unbounded_ends<int> growing = sync::unbounded_channel<int>();
        sync::channel_ends<int> direct = sync::channel<int>(0);
    };
    check_choice(
        a_new<world>(), [](world& w) { return w.ends.receiver.receive(); },
        [](world& w) { CHECK(w.ends.sender.try_send(7)); },
        [](world& w) { CHECK(w.ends.receiver.try_receive() == 7); });
    check_choice(
        a_new<world>(), [](world& w) { return w.alone.receiver.receive(); },
        [](world& w) { CHECK(w.alone.sender.try_send(7)); },
        [](world& w) { CHECK(w.alone.receiver.try_receive() == 7); });
    check_choice(
        a_new<world>(), [](world& w) { return w.growing.receiver.receive(); },
        [](world& w) { CHECK(w.growing.sender.send(7)); },
        [](world& w) { CHECK(w.growing.receiver.try_receive() == 7); });
    // Without room there is nowhere to put the value, so it stays with its sender.
    check_choice(
        a_new<world>(), [](world& w) { return w.direct.receiver.receive(); },
        [](world& w) {
            CHECK(w.direct.sender.try_send(7).error() == std::errc::resource_unavailable_try_again);
        },
        [](world&) {});
}

TEST_CASE("room goes past a send whose select has chosen another case", "[select]")
{
    struct world
    {
        world()
        {
            CHECK(full.sender.try_send(1));
            CHECK(alone.sender.try_send(1));
        }
        sync::channel_ends<int> full = sync::channel<int>(1);
        sync::spsc_ends<int> alone = sync::spsc<int>(1);
        sync::channel_ends<int> direct = sync::channel<int>(0);
        int value = 7;
    };
    check_choice(
        a_new<world>(), [](world& w) { return w.full.sender.send_from(w.value); },
        [](world& w) { CHECK(w.full.receiver.try_receive() == 1); },
        [](world& w) { CHECK(w.full.receiver.size() == 0); });
    check_choice(
        a_new<world>(), [](world& w) { return w.alone.sender.send_from(w.value); },
        [](world& w) { CHECK(w.alone.receiver.try_receive() == 1); },
        [](world& w) { CHECK(w.alone.receiver.size() == 0); });
    check_choice(
        a_new<world>(), [](world& w) { return w.direct.sender.send_from(w.value); },
        [](world& w) { CHECK_FALSE(w.direct.receiver.try_receive().has_value()); }, [](world&) {});
}

TEST_CASE("a lock goes past a case whose select has chosen another one", "[select]")
{
    struct world
    {
        sync::mutex lock;
        std::optional<sync::mutex::guard> held = lock.try_lock();
        sync::guarded<int> value{1};
        std::optional<sync::guarded<int>::access> accessed = value.try_lock();
        sync::shared_mutex shared;
        std::optional<sync::shared_mutex::guard> alone = shared.try_lock();
        sync::semaphore slots{0};
    };
    check_choice(
        a_new<world>(), [](world& w) { return w.lock.lock(); },
        [](world& w) {
            w.held.reset();
            CHECK(w.lock.try_lock().has_value()); // at once: nobody got it
        },
        [](world& w) { CHECK_FALSE(w.lock.is_locked()); });
    check_choice(
        a_new<world>(), [](world& w) { return w.value.lock(); },
        [](world& w) { w.accessed.reset(); },
        [](world& w) { CHECK(w.value.try_lock().has_value()); });
    check_choice(
        a_new<world>(), [](world& w) { return w.shared.lock(); },
        [](world& w) {
            w.alone.reset();
            CHECK(w.shared.try_lock().has_value());
        },
        [](world&) {});
    check_choice(
        a_new<world>(), [](world& w) { return w.shared.lock_shared(); },
        [](world& w) {
            w.alone.reset();
            CHECK(w.shared.try_lock().has_value());
        },
        [](world&) {});
    check_choice(
        a_new<world>(), [](world& w) { return w.slots.acquire(2); },
        [](world& w) {
            w.slots.release(2);
            CHECK(w.slots.available() == 2);
        },
        [](world& w) { CHECK(w.slots.try_acquire(2).has_value()); });
}

TEST_CASE("news go past a case whose select has chosen another one", "[select]")
{
    struct world
    {
        sync::notify bell;
        sync::event flag;
        sync::latch gate{1};
        sync::broadcast_ends<int> news = sync::broadcast<int>(4);
        sync::watch_ends<int> state = sync::watch<int>(0);
        sync::oneshot_ends<int> once = sync::oneshot<int>();
        bool rang = false;
    };
    check_choice(
        a_new<world>(), [](world& w) { return w.bell.wait(); },
        [](world& w) { w.bell.notify_one(); },
        [](world& w) {
            // It was kept.
            auto rt = simulated(1);
            auto rings = w.bell.wait();
            CHECK(rt.block_on(std::move(rings)).has_value());
        });
    check_choice(
        a_new<world>(), [](world& w) { return w.flag.wait(); }, [](world& w) { w.flag.set(); },
        [](world& w) { CHECK(w.flag.is_set()); });
    check_choice(
        a_new<world>(), [](world& w) { return w.gate.wait(); },
        [](world& w) { w.gate.count_down(); }, [](world&) {});
    check_choice(
        a_new<world>(), [](world& w) { return w.news.receiver.receive(); },
        [](world& w) { CHECK(w.news.sender.send(7).has_value()); },
        [](world& w) { CHECK(w.news.receiver.try_receive() == 7); });
    check_choice(
        a_new<world>(), [](world& w) { return w.state.receiver.changed(); },
        [](world& w) { CHECK(w.state.sender.send(7).has_value()); },
        [](world& w) { CHECK(w.state.receiver.has_changed()); });
    check_choice(
        a_new<world>(), [](world& w) { return w.once.receiver.receive(); },
        [](world& w) { CHECK(w.once.sender.send(7).has_value()); },
        [](world& w) { CHECK(w.once.receiver.try_receive() == 7); });
}

TEST_CASE("the end of a channel is told to the chosen case only", "[select]")
{
    struct world
    {
        sync::channel_ends<int> ends = sync::channel<int>(1);
        sync::spsc_ends<int> alone = sync::spsc<int>(1);
        sync::broadcast_ends<int> news = sync::broadcast<int>(4);
        sync::watch_ends<int> state = sync::watch<int>(0);
    };
    check_choice(
        a_new<world>(), [](world& w) { return w.ends.receiver.receive(); },
        [](world& w) { w.ends.sender.close(); }, [](world&) {});
    check_choice(
        a_new<world>(), [](world& w) { return w.alone.receiver.receive(); },
        [](world& w) { w.alone.sender.close(); }, [](world&) {});
    check_choice(
        a_new<world>(), [](world& w) { return w.news.receiver.receive(); },
        [](world& w) { w.news.sender.close(); }, [](world&) {});
    check_choice(
        a_new<world>(), [](world& w) { return w.state.receiver.changed(); },
        [](world& w) { w.state.sender.close(); }, [](world&) {});
}

TEST_CASE("of timers that end at one moment one is chosen", "[select][time]")
{
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed)
    {
        INFO("seed " << seed);
        auto rt = simulated(seed, static_cast<unsigned>(1 + seed % 3));
        interval every(2ms);
        int handlers = 0;
        std::optional<std::chrono::steady_clock::time_point> ticked;
        const auto selects = [&]() -> task<void> {
            const auto start = co_await every.tick();
            CHECK(start.has_value());
            const auto count = [&] { ++handlers; };
            const auto chosen = co_await select(
                on(sleep_for(2ms), count), on(sleep_for(2ms), count), on(precise_sleep(2ms), count),
                on(transform(sleep_for(2ms), [] { return 1; }), count),
                on(every.tick(), [&](result<std::chrono::steady_clock::time_point> when) {
                    ++handlers;
                    ticked = *when;
                }));
            CHECK(chosen.has_value());
            // A tick that was not chosen comes now.
            const auto next = co_await every.tick();
            CHECK(next.has_value());
            CHECK(*next == *start + (ticked ? 4ms : 2ms));
        };
        rt.block_on(selects());
        CHECK(handlers == 1);
        CHECK(rt.metrics().timers_armed == 0);
    }
}

TEST_CASE("those behind a case that lost go on in order", "[select]")
{
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed)
    {
        INFO("seed " << seed);
        auto rt = simulated(seed);
        auto [a_in, a_out] = sync::channel<int>(0);
        auto [b_in, b_out] = sync::channel<int>(1);
        std::array<int, 3> got{}; // by the select, and by those behind it
        const auto selects = [&]() -> task<void> {
            co_await select(on(a_out.receive(), [&] { got[0] = -1; }),
                            on(b_out.receive(), [&] { got[0] = 5; }));
        };
        const auto waits = [&](int turn) -> task<void> {
            co_await yield_times(static_cast<std::size_t>(8 * turn));
            const auto value = co_await a_out.receive();
            got[static_cast<std::size_t>(turn)] = value.value_or(-2);
        };
        const auto sends = [&]() -> task<void> {
            co_await yield_times(40);
            CHECK(b_in.try_send(0));
            CHECK(a_in.try_send(1));
            CHECK(a_in.try_send(2));
        };
        rt.block_on(when_all(selects(), waits(1), waits(2), sends()));
        CHECK(got == std::array{5, 1, 2});
    }
}

TEST_CASE("what cannot be undone is handled although it lost", "[select]")
{
    for (std::uint64_t seed = 1; seed <= some_seeds; ++seed)
    {
        auto rt = simulated(seed);
        auto [a_in, a_out] = sync::channel<int>(1);
        auto [b_in, b_out] = sync::channel<int>(1);
        int sum = 0;
        const auto add = [&](result<int> value) { sum += value.value_or(0); };
        const auto wrapped = [](sync::channel_receiver<int>& from) -> task<result<int>> {
            co_return co_await from.receive();
        };
        const auto selects = [&]() -> task<void> {
            co_await select(on(wrapped(a_out), add), on(b_out.receive(), add));
        };
        const auto sends = [&]() -> task<void> {
            co_await yield_times(8);
            CHECK(a_in.try_send(1));
            CHECK(b_in.try_send(10));
        };
        rt.block_on(when_all(selects(), sends()));
        CHECK(sum + a_out.try_receive().value_or(0) + b_out.try_receive().value_or(0) == 11);
        CHECK(sum != 0);
    }
}
