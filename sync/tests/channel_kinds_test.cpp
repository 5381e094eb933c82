// The channels beside the bounded one with many on both sides: spsc, mpsc, unbounded.
// Thread rule: as the tests say.
#include "support.hpp"

#include <blitzio/io/race.hpp>
#include <blitzio/io/timeout.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/sync/channel.hpp>
#include <blitzio/sync/spsc.hpp>

#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <type_traits>
#include <vector>

using namespace blitzio;
using namespace sync_tests;
using namespace std::chrono_literals;

namespace
{

struct as_spsc
{
    template <class T>
    static auto make(std::size_t capacity)
    {
        return sync::spsc<T>(capacity);
    }
};

struct as_mpsc
{
    template <class T>
    static auto make(std::size_t capacity)
    {
        return sync::mpsc<T>(capacity);
    }
};

} // namespace

TEST_CASE("the types say how many owners there may be")
{
    static_assert(!std::is_copy_constructible_v<sync::spsc_sender<int>>);
    static_assert(!std::is_copy_constructible_v<sync::spsc_receiver<int>>);
    static_assert(!std::is_copy_assignable_v<sync::spsc_sender<int>>);
    static_assert(!std::is_copy_constructible_v<sync::mpsc_receiver<int>>);
    static_assert(!std::is_copy_assignable_v<sync::mpsc_receiver<int>>);
    static_assert(std::is_copy_constructible_v<sync::channel_sender<int>>);
    static_assert(std::is_copy_constructible_v<sync::unbounded_sender<int>>);
    static_assert(std::is_copy_assignable_v<sync::unbounded_receiver<int>>);
    static_assert(std::is_nothrow_move_assignable_v<sync::spsc_sender<int>>);
    SUCCEED();
}

// Tokio's sync_mpsc: try_send_fail, try_recv_bounded, try_recv_close_while_empty_bounded.
// Go's chan_test: TestChan's non-blocking part.
TEMPLATE_TEST_CASE("the try forms of one receiver's channels fill, refuse, empty and close", "",
                   as_spsc, as_mpsc)
{
    auto [sender, receiver] = TestType::template make<std::unique_ptr<int>>(2);
    REQUIRE(sender.capacity() == 2);
    REQUIRE(receiver.try_receive().error() == std::errc::resource_unavailable_try_again);
    for (int round = 0; round < 5; ++round)
    {
        REQUIRE(sender.try_send(std::make_unique<int>(1)).has_value());
        REQUIRE(sender.try_send(std::make_unique<int>(2)).has_value());
        auto kept = std::make_unique<int>(3);
        REQUIRE(sender.try_send(std::move(kept)).error() ==
                std::errc::resource_unavailable_try_again);
        REQUIRE(*kept == 3);
        REQUIRE(receiver.size() == 2);
        REQUIRE(**receiver.try_receive() == 1);
        REQUIRE(**receiver.try_receive() == 2);
        REQUIRE(receiver.size() == 0);
    }
    REQUIRE(sender.try_send(std::make_unique<int>(4)).has_value());
    sender.close();
    sender.close();
    REQUIRE(receiver.is_closed());
    auto kept = std::make_unique<int>(5);
    REQUIRE(sender.try_send(std::move(kept)).error() == io_errc::closed);
    REQUIRE(*kept == 5);
    REQUIRE(**receiver.try_receive() == 4);
    REQUIRE(receiver.try_receive().error() == io_errc::closed);
}

// Tokio's sync_mpsc: tx_close_gets_none, recv_close_gets_none_idle, dropping_rx_closes_channel,
// unconsumed_messages_are_dropped.
TEMPLATE_TEST_CASE("either side of one receiver's channels may go first", "", as_spsc, as_mpsc)
{
    auto rt = simulated(6);
    rt.block_on([&]() -> task<void> {
        {
            auto ends = TestType::template make<tracked>(2);
            auto receiving = rt.spawn([receiver = std::move(ends.receiver)]() mutable -> task<int> {
                int count = 0;
                while (auto value = co_await receiver.receive())
                {
                    ++count;
                }
                co_return count;
            });
            for (std::uint64_t id = 0; id < 5; ++id)
            {
                auto sent = co_await ends.sender.send(tracked(id));
                CHECK(sent.has_value());
            }
            {
                auto last = std::move(ends.sender);
            }
            const int received = co_await std::move(receiving);
            CHECK(received == 5);
        }
        auto ends = TestType::template make<tracked>(2);
        for (std::uint64_t id = 0; id < 2; ++id)
        {
            CHECK(ends.sender.try_send(tracked(id)).has_value());
        }
        auto sending = rt.spawn([sender = std::move(ends.sender)]() mutable -> task<bool> {
            tracked kept(7);
            auto refused = co_await sender.send_from(kept);
            CHECK(refused.error() == io_errc::closed);
            co_return kept.has_value() && sender.is_closed();
        });
        co_await yield_times(5);
        {
            auto last = std::move(ends.receiver);
        }
        const bool kept_value = co_await std::move(sending);
        CHECK(kept_value);
    });
    REQUIRE(tracked::live() == 0);
}

// Go's chan_test: TestChan sends 100 numbers through every capacity and expects them in order.
TEMPLATE_TEST_CASE("values of one sender arrive in order through every capacity", "", as_spsc,
                   as_mpsc)
{
    for (std::uint64_t seed = 1; seed <= seeds / 4; ++seed)
    {
        auto rt = simulated(seed);
        auto ends = TestType::template make<std::uint64_t>(1 + seed % 5);
        std::vector<std::uint64_t> seen;
        static_cast<void>(rt.spawn([&]() -> task<void> {
            for (std::uint64_t value = 0; value < 100; ++value)
            {
                co_await yield_times((value + seed) % 3 == 0 ? seed % 4 : 0);
                auto sent = co_await ends.sender.send(value);
                CHECK(sent.has_value());
            }
            ends.sender.close();
        }));
        rt.block_on([&]() -> task<void> {
            while (auto value = co_await ends.receiver.receive())
            {
                seen.push_back(*value);
                co_await yield_times((*value + seed) % 5 == 0 ? seed % 6 : 0);
            }
        });
        rt.run();
        REQUIRE(seen.size() == 100);
        for (std::uint64_t value = 0; value < 100; ++value)
        {
            REQUIRE(seen[value] == value);
        }
    }
}

TEMPLATE_TEST_CASE("both sides may be cancelled at every step, and the value is in one place", "",
                   as_spsc, as_mpsc)
{
    unsigned received = 0;
    unsigned left = 0;
    unsigned unsent = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed);
        auto [sender, receiver] = TestType::template make<tracked>(1);
        const bool full = seed % 2 == 0;
        if (full)
        {
            REQUIRE(sender.try_send(tracked(0)).has_value());
        }
        tracked value(seed);
        result<void> sent = fail(io_errc::closed);
        unsigned taken = 0;
        auto sending = rt.spawn([&]() -> task<void> {
            co_await yield_times(2);
            sent = co_await sender.send_from(value);
        });
        auto receiving = rt.spawn([&]() -> task<void> {
            co_await yield_times(3);
            for (auto got = co_await receiver.receive(); got; got = co_await receiver.receive())
            {
                ++taken;
                CHECK((got->id() == seed || full));
            }
        });
        auto stopper = rt.spawn([&, steps = seed % 9, which = seed / 9 % 3]() -> task<void> {
            co_await yield_times(steps);
            if (which != 0)
            {
                sending.request_stop();
            }
            if (which != 1)
            {
                receiving.request_stop();
            }
        });
        rt.block_on([&]() -> task<void> {
            co_await std::move(stopper);
            co_await timeout(1s, std::move(sending));
            sender.close();
            co_await std::move(receiving);
        });
        rt.run();
        CAPTURE(seed);
        REQUIRE(sent.has_value() == !value.has_value());
        unsigned inside = 0;
        while (auto rest = receiver.try_receive())
        {
            ++inside;
        }
        REQUIRE(taken + inside == (full ? 1u : 0u) + (sent ? 1u : 0u));
        (sent ? (inside == 0 ? received : left) : unsent)++;
    }
    REQUIRE(received > 0);
    REQUIRE(left > 0);
    REQUIRE(unsent > 0);
    REQUIRE(tracked::live() == 0);
}

// A receive that waits has its value when the sender has sent it, not only when it is looked at.
TEMPLATE_TEST_CASE("a waiting receive makes room by itself, a waiting send is done by the receiver",
                   "", as_spsc, as_mpsc)
{
    auto rt = simulated(8);
    auto [sender, receiver] = TestType::template make<int>(1);
    rt.block_on([&]() -> task<void> {
        const auto send_three = [&]() -> task<bool> {
            for (int value = 1; value <= 2; ++value)
            {
                auto sent = co_await sender.send(value);
                CHECK(sent.has_value());
            }
            co_return true;
        };
        // The received value lies in the operation until both have ended.
        auto both = co_await when_all(receiver.receive(), send_three());
        CHECK(std::get<0>(both).value() == 1);
        const auto receive_two = [&]() -> task<int> {
            auto second = co_await receiver.receive();
            auto third = co_await receiver.receive();
            co_return *second * 10 + *third;
        };
        auto other = co_await when_all(sender.send(3), receive_two());
        CHECK(std::get<0>(other).has_value());
        CHECK(std::get<1>(other) == 23);
    });
}

TEMPLATE_TEST_CASE("one receiver's channels lose nothing on real threads, with waits that run out",
                   "", as_spsc, as_mpsc)
{
    for (const unsigned workers : {1u, 4u})
    {
        for (const std::size_t capacity : {1u, 7u})
        {
            auto rt = threaded(workers);
            auto [sender, receiver] = TestType::template make<tracked>(capacity);
            constexpr std::uint64_t total = 20000;
            std::uint64_t expected = 0;
            bool in_order = true;
            static_cast<void>(rt.spawn([&, &to = sender]() -> task<void> {
                for (std::uint64_t id = 0; id < total; ++id)
                {
                    tracked value(id);
                    while (value.has_value())
                    {
                        static_cast<void>(
                            co_await timeout(id % 3 == 0 ? 20us : 10s, to.send_from(value)));
                    }
                }
                to.close();
            }));
            rt.block_on([&, &from = receiver]() -> task<void> {
                for (std::uint64_t round = 0;; ++round)
                {
                    auto value = co_await timeout(round % 3 == 1 ? 20us : 10s, from.receive());
                    if (value)
                    {
                        in_order &= value->id() == expected++;
                    }
                    else if (value.error() == io_errc::closed)
                    {
                        co_return;
                    }
                }
            });
            rt.run();
            CAPTURE(workers, capacity);
            REQUIRE(in_order);
            REQUIRE(expected == total);
            REQUIRE(tracked::live() == 0);
        }
    }
}

TEST_CASE("two threads pass values with the try forms of spsc")
{
    auto [sender, receiver] = sync::spsc<std::uint64_t>(8);
    constexpr std::uint64_t total = 50'000;
    std::thread other([&to = sender] {
        for (std::uint64_t value = 0; value < total;)
        {
            value += to.try_send(value).has_value() ? 1 : 0;
        }
        to.close();
    });
    std::uint64_t expected = 0;
    bool in_order = true;
    for (;;)
    {
        auto value = receiver.try_receive();
        if (value)
        {
            in_order &= *value == expected++;
        }
        else if (value.error() == io_errc::closed)
        {
            break;
        }
    }
    other.join();
    REQUIRE(in_order);
    REQUIRE(expected == total);
}

// Tokio's sync_mpsc: send_recv_unbounded, try_recv_unbounded, no_t_bounds_buffer.
TEST_CASE("an unbounded channel takes any number of values and gives them back in order")
{
    auto rt = threaded(1);
    auto [sender, receiver] = sync::unbounded_channel<std::unique_ptr<std::uint64_t>>();
    constexpr std::uint64_t total = 100'000;
    for (std::uint64_t value = 0; value < total; ++value)
    {
        REQUIRE(sender.send(std::make_unique<std::uint64_t>(value)).has_value());
    }
    REQUIRE(receiver.size() == total);
    std::uint64_t expected = 0;
    bool in_order = true;
    rt.block_on([&, &from = receiver]() -> task<void> {
        for (; expected < total / 2; ++expected)
        {
            auto value = co_await from.receive();
            in_order &= **value == expected;
        }
    });
    while (auto value = receiver.try_receive())
    {
        in_order &= **value == expected++;
    }
    REQUIRE(in_order);
    REQUIRE(expected == total);
    REQUIRE(receiver.try_receive().error() == std::errc::resource_unavailable_try_again);
    auto kept = std::make_unique<std::uint64_t>(1);
    receiver.close();
    REQUIRE(sender.send(std::move(kept)).error() == io_errc::closed);
    REQUIRE(*kept == 1);
    REQUIRE(receiver.try_receive().error() == io_errc::closed);
}

TEST_CASE("values that are left in an unbounded channel are destroyed with the last receiver")
{
    auto [sender, receiver] = sync::unbounded_channel<tracked>();
    for (std::uint64_t id = 0; id < 500; ++id)
    {
        REQUIRE(sender.send(tracked(id)).has_value());
    }
    {
        auto copy = receiver;
        auto last = std::move(receiver);
        REQUIRE(copy.try_receive()->id() == 0);
        REQUIRE(tracked::live() == 499);
    }
    REQUIRE(tracked::live() == 0);
    REQUIRE(sender.is_closed());
}

TEST_CASE("an unbounded channel loses nothing on real threads, with waits that run out")
{
    for (const unsigned workers : {1u, 4u})
    {
        auto rt = threaded(workers);
        std::atomic<std::uint64_t> refused{0};
        std::atomic<std::uint64_t> received{0};
        std::atomic<std::uint64_t> sum{0};
        constexpr std::uint64_t per_sender = 5000;
        {
            auto [sender, receiver] = sync::unbounded_channel<tracked>();
            for (std::uint64_t id = 0; id < 4; ++id)
            {
                static_cast<void>(rt.spawn([&refused, to = sender, id]() mutable -> task<void> {
                    for (std::uint64_t index = 0; index < per_sender; ++index)
                    {
                        refused.fetch_add(to.send(tracked(id * per_sender + index)) ? 0 : 1);
                        if (index % 64 == 0)
                        {
                            co_await yield();
                        }
                    }
                }));
                static_cast<void>(rt.spawn([&, from = receiver]() mutable -> task<void> {
                    for (std::uint64_t round = 0;; ++round)
                    {
                        auto value = co_await timeout(round % 4 == 0 ? 10us : 10s, from.receive());
                        if (value)
                        {
                            received.fetch_add(1);
                            sum.fetch_add(value->id());
                        }
                        else if (value.error() == io_errc::closed)
                        {
                            co_return;
                        }
                    }
                }));
            }
        }
        rt.run();
        constexpr std::uint64_t total = 4 * per_sender;
        CAPTURE(workers);
        REQUIRE(refused == 0);
        REQUIRE(received == total);
        REQUIRE(sum == total * (total - 1) / 2);
        REQUIRE(tracked::live() == 0);
    }
}
