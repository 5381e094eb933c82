// channel<T>: every value has exactly one owner at any time, whatever is cancelled and whoever runs
// where. Thread rule: as the tests say.
#include "support.hpp"

#include <blitzio/io/race.hpp>
#include <blitzio/io/timeout.hpp>
#include <blitzio/sync/channel.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

using namespace blitzio;
using namespace sync_tests;
using namespace std::chrono_literals;

namespace
{

/// Who has sent and received what.
class ledger
{
public:
    explicit ledger(std::size_t values) : seen_(values) {}

    void received(const tracked& value) noexcept
    {
        seen_[value.id()].fetch_add(1, std::memory_order_relaxed);
    }

    [[nodiscard]] bool each_exactly_once() const
    {
        return std::ranges::all_of(seen_, [](const auto& count) { return count.load() == 1; });
    }

private:
    std::vector<std::atomic<unsigned>> seen_;
};

/// Sends [first, first + count), each until it is accepted; gives up waiting now and then.
task<void> send_all(sync::channel_sender<tracked> sender, std::uint64_t first, std::uint64_t count,
                    std::uint64_t salt, std::atomic<unsigned>& given_up)
{
    for (std::uint64_t offset = 0; offset < count; ++offset)
    {
        tracked value(first + offset);
        for (;;)
        {
            // A child of its own: a race would drop what its loser obtained, a stop request of the
            // task is what is wanted here.
            auto outcome = co_await timeout(std::chrono::milliseconds((salt + offset) % 3),
                                            sender.send_from(value));
            if (outcome)
            {
                break;
            }
            given_up.fetch_add(1, std::memory_order_relaxed);
        }
        co_await yield_times((salt + offset) % 4 == 0 ? 1 : 0);
    }
}

task<void> receive_all(sync::channel_receiver<tracked> receiver, ledger& book, std::uint64_t salt,
                       std::atomic<unsigned>& given_up)
{
    for (std::uint64_t turn = 0;; ++turn)
    {
        auto outcome =
            co_await timeout(std::chrono::milliseconds((salt + turn) % 3), receiver.receive());
        if (outcome)
        {
            book.received(*outcome);
            co_await yield_times((salt + turn) % 5 == 0 ? 2 : 0);
        }
        else if (outcome.error() == io_errc::closed)
        {
            co_return;
        }
        else
        {
            given_up.fetch_add(1, std::memory_order_relaxed);
        }
    }
}

/// Four senders and four receivers until everything has arrived.
unsigned exchange(runtime& rt, std::size_t capacity, std::uint64_t per_sender, std::uint64_t salt,
                  ledger& book)
{
    std::atomic<unsigned> given_up{0};
    {
        auto ends = sync::channel<tracked>(capacity);
        for (std::uint64_t id = 0; id < 4; ++id)
        {
            static_cast<void>(
                rt.spawn(send_all(ends.sender, id * per_sender, per_sender, salt + id, given_up)));
            static_cast<void>(rt.spawn(receive_all(ends.receiver, book, salt + id, given_up)));
        }
    }
    rt.run();
    return given_up;
}

} // namespace

TEST_CASE("no value is lost or doubled in any simulated order, with waits that run out")
{
    unsigned given_up = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed, 1 + seed % 4);
        ledger book(4 * 20);
        given_up += exchange(rt, seed % 4, 20, seed, book);
        CAPTURE(seed);
        REQUIRE(book.each_exactly_once());
        REQUIRE(tracked::live() == 0);
    }
    REQUIRE(given_up > 0);
}

TEST_CASE("no value is lost or doubled on real threads, with waits that run out")
{
    for (const unsigned workers : {1u, 4u})
    {
        for (const std::size_t capacity : {0u, 1u, 16u})
        {
            auto rt = threaded(workers);
            ledger book(4 * 5000);
            static_cast<void>(exchange(rt, capacity, 5000, capacity, book));
            CAPTURE(workers, capacity);
            REQUIRE(book.each_exactly_once());
            REQUIRE(tracked::live() == 0);
        }
    }
}

TEST_CASE("a receiver and a sender may be cancelled at every step, and the value is in one place")
{
    unsigned received = 0;
    unsigned left = 0;
    unsigned unsent = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed);
        auto [sender, receiver] = sync::channel<tracked>(seed % 2);
        tracked value(seed);
        result<void> sent;
        result<tracked> got = fail(io_errc::closed);
        auto sending = rt.spawn([&]() -> task<void> {
            co_await yield_times(2);
            sent = co_await sender.send_from(value);
        });
        auto receiving = rt.spawn([&]() -> task<void> {
            co_await yield_times(3);
            got = co_await receiver.receive();
        });
        static_cast<void>(rt.spawn([&, steps = seed % 9, which = seed / 9 % 3]() -> task<void> {
            co_await yield_times(steps);
            if (which != 0)
            {
                sending.request_stop();
            }
            if (which != 1)
            {
                receiving.request_stop();
            }
            // Whoever is still there must not wait for the other for ever.
            co_await yield_times(20);
            sender.close();
        }));
        rt.run();
        CAPTURE(seed);
        REQUIRE(tracked::live() == 1);
        REQUIRE(sent.has_value() == !value.has_value());
        if (got)
        {
            ++received;
            REQUIRE(got->id() == seed);
            REQUIRE(sent.has_value());
        }
        else if (sent)
        {
            ++left;
            REQUIRE(receiver.try_receive().value().id() == seed);
        }
        else
        {
            ++unsent;
            REQUIRE(value.id() == seed);
        }
    }
    REQUIRE(received > 0);
    REQUIRE(left > 0);
    REQUIRE(unsent > 0);
}

TEST_CASE("requests to stop from other threads lose no value")
{
    auto rt = threaded(4);
    unsigned delivered = 0;
    unsigned cancelled = 0;
    for (unsigned round = 0; round < 4000; ++round)
    {
        auto [sender, receiver] = sync::channel<tracked>(1);
        auto receiving = rt.spawn(
            [&receiver]() -> task<result<tracked>> { co_return co_await receiver.receive(); });
        auto sending = rt.spawn([&sender, round]() -> task<bool> {
            co_await yield_times(round % 3);
            auto outcome = co_await sender.send(tracked(round));
            co_return outcome.has_value();
        });
        receiving.request_stop();
        bool sent = false;
        auto outcome = rt.block_on([&]() -> task<result<tracked>> {
            sent = co_await std::move(sending);
            co_return co_await std::move(receiving);
        });
        REQUIRE(sent);
        ++(outcome.has_value() ? delivered : cancelled);
        if (!outcome)
        {
            outcome = receiver.try_receive();
        }
        REQUIRE(outcome.value().id() == round);
    }
    REQUIRE(cancelled > 0);
    REQUIRE(delivered + cancelled == 4000);
}

TEST_CASE("threads outside the runtime send and receive with the try forms")
{
    constexpr std::uint64_t count = 20000;
    auto rt = threaded(2);
    ledger book(2 * count);
    auto inward = sync::channel<tracked>(8);
    auto outward = sync::channel<tracked>(8);
    std::thread feeding([&, sender = inward.sender] mutable {
        for (std::uint64_t id = 0; id < count; ++id)
        {
            tracked value(id);
            while (!sender.try_send(std::move(value)))
            {
                std::this_thread::yield();
            }
        }
    });
    std::thread draining([&, receiver = outward.receiver] mutable {
        for (;;)
        {
            auto value = receiver.try_receive();
            if (value)
            {
                book.received(*value);
            }
            else if (value.error() == io_errc::closed)
            {
                return;
            }
            else
            {
                std::this_thread::yield();
            }
        }
    });
    inward.sender = {};
    static_cast<void>(
        rt.spawn([&book, receiver = std::move(inward.receiver)]() mutable -> task<void> {
            while (auto value = co_await receiver.receive())
            {
                book.received(*value);
            }
        }));
    static_cast<void>(rt.spawn([sender = std::move(outward.sender)]() mutable -> task<void> {
        for (std::uint64_t id = count; id < 2 * count; ++id)
        {
            static_cast<void>(co_await sender.send(tracked(id)));
        }
    }));
    rt.run();
    feeding.join();
    draining.join();
    REQUIRE(book.each_exactly_once());
    REQUIRE(tracked::live() == 0);
}
