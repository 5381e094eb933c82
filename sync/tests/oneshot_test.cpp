// oneshot<T>. Thread rule: as the tests say.
#include "support.hpp"

#include <blitzio/io/race.hpp>
#include <blitzio/io/timeout.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/sync/oneshot.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

using namespace blitzio;
using namespace sync_tests;
using namespace std::chrono_literals;

TEST_CASE("a value that was sent is received without suspending")
{
    auto rt = threaded(1);
    auto [sender, receiver] = sync::oneshot<std::string>();
    REQUIRE_FALSE(receiver.finished());
    REQUIRE(receiver.try_receive().error() == std::errc::resource_unavailable_try_again);
    REQUIRE_FALSE(sender.is_closed());
    REQUIRE(sender.send("hello").has_value());
    REQUIRE(receiver.finished());
    auto outcome = rt.block_on(receiver.receive());
    REQUIRE(outcome.value() == "hello");
    REQUIRE_FALSE(receiver.valid());
    REQUIRE(rt.block_on(std::move(receiver)).error() == io_errc::closed);
    std::string again = "again";
    REQUIRE(sender.send(std::move(again)).error() == io_errc::closed);
    REQUIRE(again == "again");
}

TEST_CASE("a waiting receiver gets the value, or learns that there will be none")
{
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed, 1 + seed % 4);
        auto ends = sync::oneshot<tracked>();
        const bool sends = seed % 2 == 0;
        static_cast<void>(
            rt.spawn([sends, seed, sender = std::move(ends.sender)]() mutable -> task<void> {
                co_await yield_times(seed % 5);
                if (sends)
                {
                    static_cast<void>(sender.send(tracked(seed)));
                }
                auto dropped = std::move(sender);
            }));
        auto outcome = rt.block_on(std::move(ends.receiver));
        rt.run();
        CAPTURE(seed);
        REQUIRE(outcome.has_value() == sends);
        if (sends)
        {
            REQUIRE(outcome->id() == seed);
        }
        else
        {
            REQUIRE(outcome.error() == io_errc::abandoned);
        }
    }
    REQUIRE(tracked::live() == 0);
}

TEST_CASE("a refused value stays with the sender")
{
    auto ends = sync::oneshot<std::unique_ptr<int>>();
    ends.receiver.close();
    REQUIRE(ends.sender.is_closed());
    auto value = std::make_unique<int>(7);
    REQUIRE(ends.sender.send(std::move(value)).error() == io_errc::closed);
    REQUIRE(value != nullptr);
    REQUIRE(*value == 7);
}

TEST_CASE("a value that was sent and not received dies with the receiver")
{
    {
        auto ends = sync::oneshot<tracked>();
        REQUIRE(ends.sender.send(tracked(1)).has_value());
        REQUIRE(tracked::live() == 1);
        auto receiver = std::move(ends.receiver);
        REQUIRE(tracked::live() == 1);
        receiver = sync::oneshot<tracked>().receiver;
        REQUIRE(tracked::live() == 0);
    }
    REQUIRE(tracked::live() == 0);
}

TEST_CASE("a receiver that was cut short can be awaited again")
{
    auto rt = simulated(11);
    auto [sender, receiver] = sync::oneshot<int>();
    rt.block_on([&]() -> task<void> {
        auto early = co_await timeout(5ms, receiver.receive());
        CHECK(early.error() == std::errc::timed_out);
        auto sending = rt.spawn([&]() -> task<void> {
            co_await yield_times(3);
            CHECK(sender.send(42).has_value());
        });
        auto outcome = co_await receiver;
        CHECK(outcome.value() == 42);
        co_await std::move(sending);
    });
}

TEST_CASE("a receiver may be cancelled at every step, and a value that was sent is delivered")
{
    unsigned received = 0;
    unsigned cancelled = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed);
        auto [sender, receiver] = sync::oneshot<int>();
        auto waiting = rt.spawn([&receiver]() -> task<result<int>> {
            co_await yield();
            co_return co_await receiver;
        });
        bool sent_first = false;
        bool stopped = false;
        static_cast<void>(rt.spawn([&]() -> task<void> {
            co_await yield_times(4);
            sent_first = !stopped;
            CHECK(sender.send(5).has_value());
        }));
        static_cast<void>(rt.spawn([&, steps = seed % 9]() -> task<void> {
            co_await yield_times(steps);
            stopped = true;
            waiting.request_stop();
        }));
        rt.run();
        auto outcome =
            rt.block_on([&]() -> task<result<int>> { co_return co_await std::move(waiting); });
        CAPTURE(seed);
        if (outcome.has_value())
        {
            ++received;
        }
        else
        {
            ++cancelled;
            REQUIRE(is_cancelled(outcome.error()));
            REQUIRE_FALSE(sent_first);
            REQUIRE(receiver.try_receive().value() == 5); // still there
        }
    }
    REQUIRE(received > 0);
    REQUIRE(cancelled > 0);
}

TEST_CASE(
    "sending, cancelling and dropping meet on different threads, and each value has one owner")
{
    for (const unsigned workers : {1u, 4u})
    {
        auto rt = threaded(workers);
        std::atomic<unsigned> received{0};
        std::atomic<unsigned> refused{0};
        std::atomic<unsigned> dropped{0};
        constexpr unsigned rounds = 20000;
        std::atomic<sync::oneshot_sender<tracked>*> next{nullptr};
        std::atomic<bool> done{false};
        std::thread outside([&] {
            while (!done)
            {
                auto* const sender = next.exchange(nullptr);
                if (sender == nullptr)
                {
                    std::this_thread::yield();
                    continue;
                }
                tracked value(1);
                if (!sender->send(std::move(value)))
                {
                    if (value.has_value())
                    {
                        ++refused;
                    }
                }
                delete sender;
            }
        });
        rt.block_on([&]() -> task<void> {
            for (unsigned round = 0; round < rounds; ++round)
            {
                auto [sender, receiver] = sync::oneshot<tracked>();
                while (next.load() != nullptr)
                {
                    std::this_thread::yield();
                }
                next.store(new sync::oneshot_sender<tracked>(std::move(sender)));
                if (round % 4 == 0)
                {
                    auto outcome = co_await receiver;
                    received += outcome.has_value() ? 1u : 0u;
                    continue;
                }
                auto outcome = co_await race(receiver.receive(), turns(round % 64));
                if (outcome.index() == 0)
                {
                    received += std::get<0>(outcome).has_value() ? 1u : 0u;
                }
                else
                {
                    ++dropped; // the receiver goes, with what it may hold
                }
            }
        });
        while (next.load() != nullptr)
        {
            std::this_thread::yield();
        }
        done = true;
        outside.join();
        CAPTURE(workers);
        REQUIRE(received + dropped == rounds);
        REQUIRE(refused <= dropped);
        REQUIRE(received >= rounds / 4);
        REQUIRE(dropped > 0);
        REQUIRE(tracked::live() == 0);
    }
}

TEST_CASE("a value that comes after the stop request and before the receiver runs is delivered")
{
    auto rt = threaded(1);
    const auto got = rt.block_on([&]() -> task<result<int>> {
        auto ends = sync::oneshot<int>();
        auto waiting =
            rt.spawn([&ends]() -> task<result<int>> { co_return co_await ends.receiver; });
        co_await yield_times(4);
        waiting.request_stop(); // the one worker is in here: the receiver has not run since
        CHECK(ends.sender.send(8).has_value());
        co_return co_await std::move(waiting);
    });
    REQUIRE(got.value() == 8);
}

TEST_CASE("a receiver that is cancelled by another thread gets the value later at the latest")
{
    auto rt = threaded(4);
    unsigned cut_short = 0;
    constexpr unsigned rounds = 4000;
    for (unsigned round = 0; round < rounds; ++round)
    {
        auto [sender, receiver] = sync::oneshot<unsigned>();
        auto waiting =
            rt.spawn([&receiver]() -> task<result<unsigned>> { co_return co_await receiver; });
        auto sending = rt.spawn([&sender, round]() -> task<bool> {
            co_await yield_times(round % 3);
            co_return sender.send(round).has_value();
        });
        waiting.request_stop(); // while the wait begins, waits, or ends
        auto outcome = rt.block_on([&]() -> task<result<unsigned>> {
            auto first = co_await std::move(waiting);
            const auto sent = co_await std::move(sending);
            CHECK(sent);
            co_return first;
        });
        if (!outcome)
        {
            ++cut_short;
            REQUIRE(is_cancelled(outcome.error()));
            outcome = receiver.try_receive();
        }
        REQUIRE(outcome.value() == round);
    }
    REQUIRE(cut_short > 0);
}

TEST_CASE("oneshots work inside when_all and block_on")
{
    auto rt = simulated(9);
    auto left = sync::oneshot<int>();
    auto right = sync::oneshot<std::string>();
    static_cast<void>(rt.spawn([&]() -> task<void> {
        co_await yield();
        static_cast<void>(left.sender.send(1));
        co_await yield();
        static_cast<void>(right.sender.send("two"));
    }));
    auto both = rt.block_on(when_all(std::move(left.receiver), std::move(right.receiver)));
    REQUIRE(std::get<0>(both).value() == 1);
    REQUIRE(std::get<1>(both).value() == "two");
}
