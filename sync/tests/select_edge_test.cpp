// The edge cases that the tests of Go's and Tokio's runtimes name for select, deadlines and
// cancellation, said for our API. From Go (runtime/chan_test.go, time/sleep_test.go):
//   TestChanSendSelectBarrier, TestChanSendBarrier   senders by select and by send, at once
//   TestSelectDuplicateChannel                       one channel in two cases of one select
//   TestNonblockSelectRace, TestNonblockSelectRace2  select with otherwise never misses what is there
//   TestMultiConsumer                                many receivers by select; nothing lost or doubled
//   TestSelectFairness, TestPseudoRandomSend         in io's tests; here over channels that wait
//   TestSelfSelect                                   in select_test.cpp
//   TestSelect3                                      which combinations block; nil and closed channels
//   TestAfterStress, TestResetStress                 timers that end while others are chosen
//   TestSelectStackAdjust                            does not apply: frames do not move
// From Tokio (macros_select.rs, time_timeout.rs, task_abort.rs, sync_mpsc.rs, sync_notify.rs,
// sync_broadcast.rs, sync_watch.rs, sync_oneshot.rs):
//   select_streams, join_with_select, many_branches, nested, never_branch_no_warnings
//   move_uncompleted_futures, loser_keeps_what_it_borrowed (cancel safety of recv)
//   simultaneous_deadline_future_completion, completed_future_past_deadline, deadline_future_elapses
//   test_abort_wakes_task_3964, test_abort_task_that_holds_a_lock, abort of one that has ended
//   notify_one_after_dropped_waiter, notified_one_drop_passes_on, lagging_receiver_in_select,
//   watch_close_in_select, oneshot_close_during_poll
// Thread rule: the test's thread.
#include "support.hpp"

#include <blitzio/io/select.hpp>
#include <blitzio/io/sleep.hpp>
#include <blitzio/io/timeout.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/sync.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

using namespace blitzio;
using namespace sync_tests;
using namespace std::chrono_literals;

namespace
{

/// Runs `body(runtime)` in simulated worlds and on threads.
template <class Body>
void everywhere(Body body, std::uint64_t seeds_tried = 60)
{
    for (std::uint64_t seed = 1; seed <= seeds_tried; ++seed)
    {
        INFO("seed " << seed);
        auto rt = simulated(seed, static_cast<unsigned>(1 + seed % 3));
        body(rt);
    }
    for (const unsigned workers : {1u, 2u, 4u})
    {
        INFO("workers " << workers);
        auto rt = threaded(workers);
        body(rt);
    }
}

} // namespace

TEST_CASE("senders by select and by send get through one channel", "[select][go]")
{
    // Go: TestChanSendSelectBarrier, TestChanSendBarrier.
    everywhere([](runtime& rt) {
        constexpr int senders = 6;
        constexpr int each = 20;
        auto [sender, receiver] = sync::channel<int>(0);
        auto never = sync::channel<int>(0);
        std::atomic<int> sent{0};
        const auto by_select = [&](sync::channel_sender<int> out) -> task<void> {
            for (int turn = 0; turn < each; ++turn)
            {
                const auto count = [&](result<void> done) { sent += done ? 1 : 0; };
                co_await select(on(out.send(turn), count),
                                on(never.receiver.receive(), [](result<int>) {}));
            }
        };
        const auto by_send = [&](sync::channel_sender<int> out) -> task<void> {
            for (int turn = 0; turn < each; ++turn)
            {
                const auto done = co_await out.send(turn);
                sent += done ? 1 : 0;
            }
        };
        const auto receives = [&]() -> task<int> {
            int count = 0;
            while (count < senders * each)
            {
                const auto value = co_await receiver.receive();
                count += value ? 1 : 0;
            }
            co_return count;
        };
        const auto received =
            rt.block_on(when_all(by_select(sender), by_send(sender), by_select(sender),
                                 by_send(sender), by_select(sender), by_send(sender), receives()));
        CHECK(std::get<6>(received) == senders * each);
        CHECK(sent == senders * each);
    });
}

TEST_CASE("one channel may be in two cases of a select", "[select][go]")
{
    // Go: TestSelectDuplicateChannel.
    everywhere([](runtime& rt) {
        auto [a_in, a_out] = sync::channel<int>(0);
        auto [b_in, b_out] = sync::channel<int>(0);
        std::atomic<int> handled{0};
        const auto count = [&](result<int> value) { handled += value ? 1 : 0; };
        const auto selects = [&]() -> task<void> {
            co_await select(on(a_out.receive(), count), on(a_out.receive(), count),
                            on(b_out.receive(), count));
        };
        const auto sends = [&]() -> task<void> {
            co_await yield_times(10);
            static_cast<void>(co_await a_in.send(1));
            static_cast<void>(co_await b_in.send(2));
            static_cast<void>(co_await a_in.send(3));
        };
        rt.block_on(when_all(selects(), selects(), selects(), sends()));
        CHECK(handled == 3);
    });
}

TEST_CASE("a select with otherwise does not miss what is there before and after", "[select][go]")
{
    // Go: TestNonblockSelectRace: the second channel is filled before the first is emptied, so
    // whoever finds the first one empty finds the second one full. TestNonblockSelectRace2: the same
    // with closing.
    for (const bool by_closing : {false, true})
    {
        everywhere([by_closing](runtime& rt) {
            for (int round = 0; round < 20; ++round)
            {
                auto [a_in, a_out] = sync::channel<int>(1);
                auto [b_in, b_out] = sync::channel<int>(1);
                CHECK(a_in.try_send(1));
                bool missed = false;
                const auto looks = [&]() -> task<void> {
                    bool empty = false;
                    co_await select(on(a_out.receive(), [](result<int>) {}),
                                    otherwise([&] { empty = true; }));
                    if (empty)
                    {
                        co_await select(on(b_out.receive(), [](result<int>) {}),
                                        otherwise([&] { missed = true; }));
                    }
                };
                const auto empties = [&]() -> task<void> {
                    if (by_closing)
                    {
                        b_in.close();
                    }
                    else
                    {
                        CHECK(b_in.try_send(1));
                    }
                    co_await select(on(a_out.receive(), [](result<int>) {}), otherwise([] {}));
                };
                rt.block_on(when_all(looks(), empties()));
                CHECK_FALSE(missed);
            }
        });
    }
}

TEST_CASE("many receivers by select share what many send by select", "[select][go]")
{
    // Go: TestMultiConsumer. Tokio: select_streams, join_with_select.
    everywhere([](runtime& rt) {
        constexpr int values = 60;
        auto left = sync::channel<int>(2);
        auto right = sync::channel<int>(0);
        std::atomic<int> sum{0};
        std::atomic<int> count{0};
        std::atomic<int> wrong{0};
        const auto consumes = [&](sync::channel_receiver<int> one,
                                  sync::channel_receiver<int> other) -> task<void> {
            bool open = true;
            while (open)
            {
                int handlers = 0;
                const auto take = [&](result<int> value) {
                    ++handlers;
                    sum += value.value_or(0);
                    count += value ? 1 : 0;
                    open = value.has_value();
                };
                co_await select(on(one.receive(), take), on(other.receive(), take));
                wrong += handlers == 1 ? 0 : 1;
            }
        };
        const auto produces = [&](int from) -> task<void> {
            for (int value = from; value < from + values; ++value)
            {
                int handlers = 0;
                const auto done = [&](result<void> sent) { handlers += sent ? 1 : 100; };
                co_await select(on(left.sender.send(value), done),
                                on(right.sender.send(value), done));
                wrong += handlers == 1 ? 0 : 1;
            }
        };
        const auto all = [&]() -> task<void> {
            co_await when_all(produces(1), produces(1001));
            while (left.receiver.size() != 0)
            {
                co_await yield();
            }
            left.sender.close();
            right.sender.close();
        };
        rt.block_on(when_all(consumes(left.receiver, right.receiver),
                             consumes(right.receiver, left.receiver),
                             consumes(left.receiver, right.receiver), all()));
        CHECK(wrong == 0);
        CHECK(count == 2 * values);
        CHECK(sum == values * (values + 1) + values * 1000);
    });
}

TEST_CASE("which selects wait, and which do not", "[select][go]")
{
    // Go: TestSelect3. A channel that is not there is a case that is switched off.
    everywhere(
        [](runtime& rt) {
            const auto waits = [&rt](auto make) {
                const auto cut = [&]() -> task<bool> {
                    const auto chosen = co_await timeout(1ms, make());
                    co_return !chosen.has_value();
                };
                return rt.block_on(cut());
            };
            const auto nothing = [] {};
            auto closed = sync::channel<int>(0);
            closed.sender.close();
            auto empty = sync::channel<int>(0);
            CHECK(waits([&] { return select(on(empty.receiver.receive(), nothing)); }));
            CHECK(waits([&] { return select(on(empty.sender.send(1), nothing)); }));
            CHECK(waits([&] {
                return select(on_if(false, closed.receiver.receive(), nothing),
                              on(empty.receiver.receive(), nothing));
            }));
            CHECK_FALSE(waits([&] { return select(on(closed.receiver.receive(), nothing)); }));
            CHECK_FALSE(waits([&] { return select(on(closed.sender.send(1), nothing)); }));
            CHECK_FALSE(waits(
                [&] { return select(on(empty.receiver.receive(), nothing), otherwise(nothing)); }));
            // Both ends of one channel: a select does not meet itself.
            CHECK(waits([&] {
                return select(on(empty.receiver.receive(), nothing),
                              on(empty.sender.send(1), nothing));
            }));
        },
        10);
}

TEST_CASE("timers end while values come", "[select][go]")
{
    // Go: TestAfterStress, TestResetStress: timers that fire while others are chosen leave nothing.
    everywhere([](runtime& rt) {
        auto [sender, receiver] = sync::channel<int>(1);
        std::atomic<int> handlers{0};
        std::atomic<int> received{0};
        constexpr int rounds = 30;
        const auto selects = [&]() -> task<void> {
            for (int round = 0; round < rounds; ++round)
            {
                co_await select(on(sleep_for(std::chrono::microseconds(200 * (round % 5))),
                                   [&] { ++handlers; }),
                                on(receiver.receive(), [&](result<int> value) {
                                    ++handlers;
                                    received += value ? 1 : 0;
                                }));
            }
        };
        int sent = 0;
        const auto sends = [&]() -> task<void> {
            for (int round = 0; round < rounds; ++round)
            {
                sent += sender.try_send(round) ? 1 : 0;
                static_cast<void>(co_await sleep_for(std::chrono::microseconds(300)));
            }
        };
        rt.block_on(when_all(selects(), selects(), sends()));
        CHECK(handlers == 2 * rounds);
        CHECK(received + static_cast<int>(receiver.size()) == sent);
        CHECK(rt.metrics().timers_armed == 0);
    });
}

TEST_CASE("a case that lost may be awaited again", "[select][tokio]")
{
    // Tokio: move_uncompleted_futures; recv() of mpsc, broadcast and watch is cancel safe.
    everywhere([](runtime& rt) {
        auto once = sync::oneshot<int>();
        auto news = sync::broadcast<int>(2);
        auto state = sync::watch<int>(0);
        int seen = 0;
        const auto waits = [&]() -> task<void> {
            for (int round = 0; round < 5; ++round)
            {
                const auto chosen =
                    co_await select(on(once.receiver.receive(), [&] { seen += 1000; }),
                                    on(news.receiver.receive(), [&] { seen += 1000; }),
                                    on(state.receiver.changed(), [&] { seen += 1000; }),
                                    on(yield_times(3), [&] { ++seen; }));
                CHECK(chosen == 3u);
            }
        };
        rt.block_on(waits());
        CHECK(seen == 5);
        CHECK(once.sender.send(1).has_value());
        CHECK(news.sender.send(2).has_value());
        CHECK(state.sender.send(3).has_value());
        const auto get = [&]() -> task<int> {
            const auto first = co_await once.receiver.receive();
            const auto second = co_await news.receiver.receive();
            const auto third = co_await state.receiver.changed();
            co_return *first * 100 + *second * 10 + (third ? *state.receiver.borrow() : 0);
        };
        const int got = rt.block_on(get());
        CHECK(got == 123);
    });
}

TEST_CASE("a select of many cases, and selects in selects", "[select][tokio]")
{
    // Tokio: many_branches, nested.
    everywhere([](runtime& rt) {
        std::array<sync::channel_ends<int>, 4> ends{sync::channel<int>(0), sync::channel<int>(0),
                                                    sync::channel<int>(0), sync::channel<int>(0)};
        std::size_t got = 99;
        const auto take = [&](std::size_t from) {
            return [&got, from](result<int>) { got = from; };
        };
        const auto inner = [&](std::size_t first) {
            return select(on(ends[first].receiver.receive(), take(first)),
                          on(ends[first + 1].receiver.receive(), take(first + 1)));
        };
        for (std::size_t which = 0; which < ends.size(); ++which)
        {
            // The two may run at the same time; only this thread checks.
            bool sent = false;
            result<std::size_t> chosen = 99;
            const auto sends = [&]() -> task<void> {
                sent = (co_await ends[which].sender.send(1)).has_value();
            };
            const auto selects = [&]() -> task<void> {
                chosen = co_await select(on(inner(0), [](result<std::size_t>) {}),
                                         on(inner(2), [](result<std::size_t>) {}));
            };
            rt.block_on(when_all(sends(), selects()));
            CHECK(sent);
            CHECK(chosen == which / 2);
            CHECK(got == which);
        }
    });
}

TEST_CASE("a deadline and the end at one moment give the end", "[timeout][tokio]")
{
    // Tokio: simultaneous_deadline_future_completion, completed_future_past_deadline,
    // deadline_future_elapses, timeout_is_not_exhausted.
    everywhere(
        [](runtime& rt) {
            auto [sender, receiver] = sync::channel<int>(1);
            CHECK(sender.try_send(1));
            const auto in_time = rt.block_on(timeout(0ms, receiver.receive()));
            CHECK(in_time == 1);
            const auto late = rt.block_on(timeout(1ms, receiver.receive()));
            CHECK(late.error() == std::errc::timed_out);
            // A deadline does not lose the value that comes with it.
            const auto sends = [&]() -> task<void> {
                static_cast<void>(co_await sleep_for(2ms));
                CHECK(sender.try_send(2));
            };
            const auto waits = [&]() -> task<int> {
                const auto got = co_await timeout(2ms, receiver.receive());
                co_return got.value_or(0);
            };
            const auto [got, sent] = rt.block_on(when_all(waits(), sends()));
            CHECK(got + receiver.try_receive().value_or(0) == 2);
        },
        30);
}

TEST_CASE("aborting a task that holds and waits for locks frees them", "[stop][tokio]")
{
    // Tokio: test_abort_wakes_task_3964, abort of a task that has ended, and what it owned is gone
    // when the join returns.
    everywhere([](runtime& rt) {
        sync::mutex first;
        sync::mutex second;
        auto held = second.try_lock();
        auto handle = rt.spawn([&]() -> task<result<void>> {
            auto mine = co_await first.lock();
            auto other = co_await second.lock();
            co_return other ? result<void>{} : fail(other.error());
        });
        const auto aborts = [&]() -> task<void> {
            while (!first.is_locked())
            {
                co_await yield();
            }
            handle.request_stop();
        };
        rt.block_on(aborts());
        const auto ended = rt.block_on(std::move(handle));
        CHECK(is_cancelled(ended.error()));
        CHECK(first.try_lock().has_value());
        held.reset();
        CHECK(second.try_lock().has_value());

        auto done = rt.spawn([]() -> task<result<void>> { co_return result<void>{}; });
        const auto wait = [&]() -> task<void> {
            while (!done.finished())
            {
                co_await yield();
            }
            done.request_stop();
        };
        rt.block_on(wait());
        CHECK(rt.block_on(std::move(done)).has_value());
    });
}

TEST_CASE("a notification that a select could not take goes to the next", "[select][tokio]")
{
    // Tokio: notify_one_after_dropped_waiter; dropping a notified waiter passes the notification on.
    everywhere([](runtime& rt) {
        sync::notify bell;
        sync::event flag;
        std::atomic<int> woken{0};
        const auto selects = [&]() -> task<void> {
            co_await select(on(bell.wait(), [&] { ++woken; }), on(flag.wait(), [] {}));
        };
        const auto rings = [&]() -> task<void> {
            co_await yield_times(10);
            bell.notify_one();
            flag.set();
            bell.notify_one();
        };
        rt.block_on(when_all(selects(), selects(), selects(), selects(), rings()));
        // Each ring woke one, or is kept (two of them as one).
        int kept = 0;
        const auto looks = [&]() -> task<void> {
            co_await select(on(bell.wait(), [&] { ++kept; }), otherwise([] {}));
        };
        rt.block_on(looks());
        CHECK(woken <= 2);
        CHECK(woken + kept >= 1);
        CHECK(woken + kept <= 2);
    });
}

TEST_CASE("a receiver that lags, and ends that close, in a select", "[select][tokio]")
{
    // Tokio: sync_broadcast.rs lagging, sync_watch.rs and sync_oneshot.rs closing while polled.
    everywhere([](runtime& rt) {
        auto news = sync::broadcast<int>(2);
        for (int value = 0; value < 5; ++value)
        {
            CHECK(news.sender.send(value).has_value());
        }
        auto once = sync::oneshot<int>();
        auto state = sync::watch<int>(0);
        std::size_t missed = 0;
        int handlers = 0;
        const auto lags = [&]() -> task<void> {
            co_await select(on(news.receiver.receive(),
                               [&](result<int> value) {
                                   ++handlers;
                                   missed = sync::missed_values(value.error());
                               }),
                            on(once.receiver.receive(), [&] { ++handlers; }));
        };
        rt.block_on(lags());
        CHECK(missed == 3);
        CHECK(handlers == 1);
        handlers = 0;
        std::error_code told;
        const auto closes = [&]() -> task<void> {
            co_await yield_times(10);
            {
                auto gone = std::move(once.sender);
            }
            {
                auto gone = std::move(state.sender);
            }
        };
        const auto waits = [&]() -> task<void> {
            co_await select(on(once.receiver.receive(),
                               [&](result<int> value) {
                                   ++handlers;
                                   told = value.error();
                               }),
                            on(state.receiver.changed(), [&](result<void> changed) {
                                ++handlers;
                                told = changed.error();
                            }));
        };
        rt.block_on(when_all(waits(), closes()));
        CHECK(handlers == 1);
        CHECK((told == io_errc::closed || told == io_errc::abandoned));
    });
}
