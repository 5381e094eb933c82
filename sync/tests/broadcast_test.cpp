// broadcast. Thread rule: as the tests say.
#include "support.hpp"

#include <blitzio/io/timeout.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/sync/broadcast.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

using namespace blitzio;
using namespace sync_tests;
using namespace std::chrono_literals;

namespace
{

/// A value that counts its copies.
struct counted
{
    explicit counted(int number) noexcept : value(number) {}
    counted(const counted& other) noexcept : value(other.value)
    {
        ++copies;
    }
    counted(counted&& other) noexcept : value(std::exchange(other.value, -1)) {}
    counted& operator=(const counted&) = delete;
    ~counted() = default;

    int value;
    static inline std::atomic<int> copies{0};
};

} // namespace

// Tokio's sync_broadcast: send_recv_bounded, send_two_recv_bounded, single_capacity_recvs.
TEST_CASE("every receiver sees every value, and the last one without a copy")
{
    auto [sender, first] = sync::broadcast<counted>(4);
    auto second = sender.subscribe();
    REQUIRE(sender.receivers() == 2);
    counted::copies = 0;
    REQUIRE(sender.send(counted(1)).value() == 2);
    REQUIRE(sender.send(counted(2)).value() == 2);
    auto third = second.subscribe();
    REQUIRE(first.size() == 2);
    REQUIRE(third.size() == 0);
    REQUIRE(first.try_receive()->value == 1);
    REQUIRE(counted::copies == 1);
    REQUIRE(second.try_receive()->value == 1);
    REQUIRE(counted::copies == 1);
    REQUIRE(second.try_receive()->value == 2);
    REQUIRE(first.try_receive()->value == 2);
    REQUIRE(counted::copies == 2);
    REQUIRE(third.try_receive().error() == std::errc::resource_unavailable_try_again);
}

// Tokio's sync_broadcast: lagging_rx, receiver_len_with_lagged, lagging_receiver_recovers.
TEST_CASE("a receiver that lags behind is told how many values it missed, once")
{
    auto [sender, slow] = sync::broadcast<int>(3);
    auto quick = sender.subscribe();
    for (int value = 0; value < 10; ++value)
    {
        REQUIRE(sender.send(value).has_value());
        REQUIRE(quick.try_receive().value() == value);
    }
    REQUIRE(slow.size() == 3);
    const auto late = slow.try_receive();
    REQUIRE(late.error().category() == sync::lagged_category());
    REQUIRE(sync::missed_values(late.error()) == 7);
    REQUIRE(late.error().message() == "the receiver lagged behind and missed 7 values");
    for (int value = 7; value < 10; ++value)
    {
        REQUIRE(slow.try_receive().value() == value);
    }
    const auto empty = slow.try_receive();
    REQUIRE(empty.error() == std::errc::resource_unavailable_try_again);
    REQUIRE(sync::missed_values(empty.error()) == 0);
    REQUIRE(sync::missed_values({}) == 0);
    REQUIRE(std::string(sync::lagged_category().name()) == "blitzio.lagged");
    REQUIRE(sync::missed_values(sync::broadcast_detail::lagged_error(1ULL << 40)) ==
            std::numeric_limits<int>::max());
}

// Tokio's sync_broadcast: lagging_receiver_recovers_after_wrap_closed_1.
TEST_CASE("a receiver that lagged gets what is left after the end, and then the end")
{
    auto [sender, receiver] = sync::broadcast<int>(1);
    REQUIRE(sender.send(1).has_value());
    REQUIRE(sender.send(2).has_value());
    {
        auto last = std::move(sender);
    }
    REQUIRE(receiver.is_closed());
    REQUIRE(sync::missed_values(receiver.try_receive().error()) == 1);
    REQUIRE(receiver.try_receive().value() == 2);
    REQUIRE(receiver.try_receive().error() == io_errc::closed);
}

// Tokio's sync_broadcast: send_no_rx, dropping_sender, dropping_tx_drops_value.
TEST_CASE("values without receivers are refused, values that nobody will see are destroyed")
{
    auto ends = sync::broadcast<std::shared_ptr<int>>(4);
    auto value = std::make_shared<int>(1);
    {
        auto unread = std::move(ends.receiver);
        REQUIRE(ends.sender.send(value).value() == 1);
        REQUIRE(value.use_count() == 2);
    }
    REQUIRE(value.use_count() == 1); // gone with the only one who would have seen it
    auto refused = value;
    REQUIRE(ends.sender.send(std::move(refused)).error() == io_errc::closed);
    REQUIRE(refused == value);
    refused.reset();
    auto again = ends.sender.subscribe();
    auto other = ends.sender.subscribe();
    REQUIRE(ends.sender.send(value).value() == 2);
    REQUIRE(again.try_receive().value() == value);
    REQUIRE(value.use_count() == 2);
    REQUIRE(other.try_receive().value() == value);
    REQUIRE(value.use_count() == 1); // all have seen it
    ends.sender.close();
    REQUIRE(ends.sender.send(value).error() == io_errc::closed);
    REQUIRE(again.try_receive().error() == io_errc::closed);
}

TEST_CASE("waiting receivers all get the value, and the end")
{
    for (std::uint64_t seed = 1; seed <= seeds / 4; ++seed)
    {
        auto rt = simulated(seed, 1 + seed % 4);
        auto ends = sync::broadcast<int>(2);
        auto [sender, receiver] = std::move(ends);
        unsigned complete = 0;
        for (int id = 0; id < 4; ++id)
        {
            static_cast<void>(rt.spawn([&, from = sender.subscribe(), id]() mutable -> task<void> {
                int next = 0;
                for (auto value = co_await from.receive();
                     value || sync::missed_values(value.error()) != 0;
                     value = co_await from.receive())
                {
                    if (!value)
                    {
                        next += static_cast<int>(sync::missed_values(value.error()));
                        continue;
                    }
                    CHECK(*value == next);
                    ++next;
                    co_await yield_times(static_cast<std::size_t>(id));
                }
                complete += next == 20 ? 1 : 0;
            }));
        }
        rt.block_on([&, &to = sender]() -> task<void> {
            for (int value = 0; value < 20; ++value)
            {
                CHECK(to.send(value).value() == 5);
                co_await yield_times(seed % 3);
            }
            to.close();
        });
        rt.run();
        CAPTURE(seed);
        REQUIRE(complete == 4);
        REQUIRE(sync::missed_values(receiver.try_receive().error()) == 18);
    }
}

TEST_CASE("a receive of a broadcast may be cancelled at every step, and the value is still seen")
{
    unsigned received = 0;
    unsigned seen_later = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed);
        auto [sender, receiver] = sync::broadcast<std::uint64_t>(2);
        result<std::uint64_t> got = fail(io_errc::closed);
        auto receiving =
            rt.spawn([&, &from = receiver]() -> task<void> { got = co_await from.receive(); });
        static_cast<void>(rt.spawn([&, steps = seed % 7]() -> task<void> {
            co_await yield_times(steps);
            receiving.request_stop();
        }));
        rt.block_on([&, &to = sender]() -> task<void> {
            co_await yield_times(seed / 7 % 7);
            CHECK(to.send(seed).value() == 1);
        });
        rt.run();
        CAPTURE(seed);
        if (got)
        {
            ++received;
            REQUIRE(*got == seed);
            REQUIRE(receiver.try_receive().error() == std::errc::resource_unavailable_try_again);
        }
        else
        {
            ++seen_later;
            REQUIRE(is_cancelled(got.error()));
            REQUIRE(receiver.try_receive().value() == seed);
        }
    }
    REQUIRE(received > 0);
    REQUIRE(seen_later > 0);
}

TEST_CASE("receivers of a broadcast count all values on real threads, seen or missed")
{
    for (const unsigned workers : {1u, 4u})
    {
        auto rt = threaded(workers);
        std::atomic<unsigned> refused{0};
        constexpr std::uint64_t per_sender = 4000;
        std::atomic<std::uint64_t> accounted{0};
        std::atomic<bool> disordered{false};
        {
            auto [sender, receiver] = sync::broadcast<std::string>(16);
            for (unsigned id = 0; id < 4; ++id)
            {
                static_cast<void>(rt.spawn([&, from = receiver.subscribe(),
                                            id]() mutable -> task<void> {
                    std::vector<std::uint64_t> last(2, 0);
                    for (std::uint64_t round = 0;; ++round)
                    {
                        auto value = co_await timeout(round % 5 == id ? 10us : 10s, from.receive());
                        if (value)
                        {
                            const auto number = std::stoull(value->substr(2));
                            auto& before = last[(*value)[0] == 'a' ? 0 : 1];
                            disordered = disordered || number <= before;
                            before = number;
                            accounted.fetch_add(1);
                        }
                        else if (value.error() == io_errc::closed)
                        {
                            co_return;
                        }
                        accounted.fetch_add(value ? 0 : sync::missed_values(value.error()));
                    }
                }));
            }
            for (const char* const name : {"a ", "b "})
            {
                static_cast<void>(rt.spawn([&refused, to = sender, name]() mutable -> task<void> {
                    for (std::uint64_t number = 1; number <= per_sender; ++number)
                    {
                        // Long enough to be allocated: a copy under way while the slot is replaced.
                        const auto sent =
                            to.send(name + std::to_string(number) + std::string(40, ' '));
                        refused.fetch_add(sent ? 0 : 1);
                        if (number % 8 == 0)
                        {
                            co_await yield();
                        }
                    }
                }));
            }
        }
        rt.run();
        CAPTURE(workers);
        REQUIRE(refused == 0);
        REQUIRE_FALSE(disordered.load());
        REQUIRE(accounted == 4 * 2 * per_sender);
    }
}
