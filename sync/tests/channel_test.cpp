// channel<T>: order, bounds, closing, hand-over. Thread rule: as the tests say.
#include "support.hpp"

#include <blitzio/io/race.hpp>
#include <blitzio/io/task_group.hpp>
#include <blitzio/io/timeout.hpp>
#include <blitzio/io/try.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/sync/channel.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

using namespace blitzio;
using namespace sync_tests;
using namespace std::chrono_literals;

TEST_CASE("the try forms fill, refuse, empty and refuse again")
{
    auto [sender, receiver] = sync::channel<std::string>(3);
    REQUIRE(sender.capacity() == 3);
    // Around the ring several times.
    for (unsigned round = 0; round < 5; ++round)
    {
        REQUIRE(receiver.try_receive().error() == std::errc::resource_unavailable_try_again);
        REQUIRE(sender.try_send("a").has_value());
        REQUIRE(receiver.try_receive().value() == "a");
        REQUIRE(sender.try_send("b").has_value());
        REQUIRE(sender.try_send("c").has_value());
        REQUIRE(sender.try_send("d").has_value());
        REQUIRE(sender.size() == 3);
        std::string refused = "kept";
        REQUIRE(sender.try_send(std::move(refused)).error() ==
                std::errc::resource_unavailable_try_again);
        REQUIRE(refused == "kept");
        REQUIRE(receiver.try_receive().value() == "b");
        REQUIRE(receiver.try_receive().value() == "c");
        REQUIRE(receiver.try_receive().value() == "d");
        REQUIRE(receiver.size() == 0);
    }
}

TEST_CASE("values arrive in order and never more than fit are under way")
{
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        const std::size_t capacity = seed % 5; // 0: every send meets its receive
        auto rt = simulated(seed, 1 + seed % 4);
        auto [sender, receiver] = sync::channel<unsigned>(capacity);
        std::size_t sent = 0;
        std::size_t received = 0;
        std::size_t most = 0;
        static_cast<void>(rt.spawn([&, mine = std::move(sender)]() mutable -> task<void> {
            for (unsigned value = 0; value < 40; ++value)
            {
                const auto accepted = co_await mine.send(value);
                CHECK(accepted.has_value());
                ++sent;
                most = std::max(most, mine.size());
                co_await yield_times((seed + value) % 3);
            }
            auto dropped = std::move(mine);
        }));
        rt.block_on([&]() -> task<void> {
            unsigned expected = 0;
            while (auto value = co_await receiver.receive())
            {
                CHECK(*value == expected);
                ++expected;
                ++received;
                co_await yield_times((seed * 3 + *value) % 4);
            }
        });
        CAPTURE(seed);
        REQUIRE(sent == 40);
        REQUIRE(received == 40);
        REQUIRE(most <= capacity);
        REQUIRE(receiver.is_closed());
    }
}

TEST_CASE("waiting receivers are served in the order in which they came")
{
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed, 1 + seed % 4);
        auto [sender, receiver] = sync::channel<unsigned>(2);
        std::vector<unsigned> arrived;
        std::vector<unsigned> got(6, 99);
        for (unsigned id = 0; id < 6; ++id)
        {
            static_cast<void>(rt.spawn([&, id]() -> task<void> {
                arrived.push_back(id);
                auto value = co_await receiver.receive();
                got[id] = value.value();
            }));
        }
        rt.block_on([&]() -> task<void> {
            while (arrived.size() != 6)
            {
                co_await yield();
            }
            for (unsigned value = 0; value < 6; ++value)
            {
                CHECK(sender.try_send(value).has_value()); // six fit in two places: handed over
            }
            CHECK(sender.size() == 0);
        });
        rt.run();
        CAPTURE(seed);
        for (unsigned position = 0; position < 6; ++position)
        {
            REQUIRE(got[arrived[position]] == position);
        }
    }
}

TEST_CASE("waiting senders are served in the order in which they came")
{
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed, 1 + seed % 4);
        auto [sender, receiver] = sync::channel<unsigned>(seed % 3);
        std::vector<unsigned> arrived;
        std::vector<unsigned> received;
        for (unsigned id = 0; id < 6; ++id)
        {
            static_cast<void>(rt.spawn([&, id]() -> task<void> {
                arrived.push_back(id);
                const auto accepted = co_await sender.send(id);
                CHECK(accepted.has_value());
            }));
        }
        rt.block_on([&]() -> task<void> {
            while (arrived.size() != 6)
            {
                co_await yield();
            }
            for (unsigned turn = 0; turn < 6; ++turn)
            {
                auto value = co_await receiver.receive();
                received.push_back(value.value());
            }
        });
        rt.run();
        CAPTURE(seed);
        REQUIRE(received == arrived);
    }
}

TEST_CASE("closing wakes both sides, and what is inside can still be received")
{
    for (const bool by_receiver : {false, true})
    {
        auto rt = simulated(by_receiver ? 2 : 3);
        auto [sender, receiver] = sync::channel<std::string>(1);
        std::string kept = "kept";
        result<void> waited;
        static_cast<void>(rt.spawn([&]() -> task<void> {
            const auto accepted = co_await sender.send("inside");
            CHECK(accepted.has_value());
            waited = co_await sender.send_from(kept);
        }));
        rt.block_on([&]() -> task<void> {
            co_await yield_times(5);
            by_receiver ? receiver.close() : sender.close();
            by_receiver ? receiver.close() : sender.close();
            auto inside = co_await receiver.receive();
            CHECK(inside.value() == "inside");
            auto end = co_await receiver.receive();
            CHECK(end.error() == io_errc::closed);
            CHECK(receiver.try_receive().error() == io_errc::closed);
            auto late = co_await sender.send("late");
            CHECK(late.error() == io_errc::closed);
            CHECK(sender.try_send("late").error() == io_errc::closed);
        });
        rt.run();
        REQUIRE(waited.error() == io_errc::closed);
        REQUIRE(kept == "kept");
        REQUIRE(sender.is_closed());
    }
}

TEST_CASE("the last handle of a side closes the channel, not an earlier one")
{
    auto rt = simulated(4);
    auto ends = sync::channel<int>(2);
    {
        auto copy = ends.sender;
        auto moved = std::move(ends.sender);
        copy = moved;
        REQUIRE_FALSE(ends.receiver.is_closed());
        ends.sender = copy;
    }
    REQUIRE_FALSE(ends.receiver.is_closed());
    REQUIRE(ends.sender.try_send(1).has_value());
    auto waiting = rt.spawn([receiver = ends.receiver]() mutable -> task<int> {
        int sum = 0;
        while (auto value = co_await receiver.receive())
        {
            sum += *value;
        }
        co_return sum;
    });
    ends.receiver = {};
    rt.block_on([&]() -> task<void> {
        co_await yield_times(4);
        CHECK_FALSE(ends.sender.is_closed()); // the task has a receiver
        CHECK(ends.sender.try_send(2).has_value());
        ends.sender = {};
        const auto given = co_await std::move(waiting);
        CHECK(given == 3);
    });
}

TEST_CASE("values that nobody can receive any more are destroyed with the last receiver")
{
    auto ends = sync::channel<tracked>(3);
    REQUIRE(ends.sender.try_send(tracked(1)).has_value());
    REQUIRE(ends.sender.try_send(tracked(2)).has_value());
    REQUIRE(tracked::live() == 2);
    ends.receiver = {};
    REQUIRE(tracked::live() == 0);
    REQUIRE(ends.sender.is_closed());
    tracked refused(3);
    REQUIRE(ends.sender.try_send(std::move(refused)).error() == io_errc::closed);
    REQUIRE(refused.has_value());
}

TEST_CASE("a value handed to a receiver before the stop request is delivered")
{
    auto rt = threaded(1);
    const unsigned got = rt.block_on([&]() -> task<unsigned> {
        auto [sender, receiver] = sync::channel<unsigned>(1);
        auto waiting = rt.spawn([&receiver]() -> task<unsigned> {
            auto value = co_await receiver.receive();
            co_return value.value_or(0);
        });
        co_await yield_times(4);
        CHECK(sender.try_send(17u).has_value());
        CHECK(sender.size() == 0); // it is in the receiver's frame
        waiting.request_stop();    // the one worker is in here: the receiver has not run since
        co_return co_await std::move(waiting);
    });
    REQUIRE(got == 17);
}

TEST_CASE("a send that was taken before the stop request has succeeded")
{
    auto rt = threaded(1);
    const bool succeeded = rt.block_on([&]() -> task<bool> {
        auto [sender, receiver] = sync::channel<unsigned>(0);
        auto waiting = rt.spawn([&sender]() -> task<bool> {
            auto outcome = co_await sender.send(3);
            co_return outcome.has_value();
        });
        co_await yield_times(4);
        CHECK(receiver.try_receive().value() == 3);
        waiting.request_stop();
        co_return co_await std::move(waiting);
    });
    REQUIRE(succeeded);
}

TEST_CASE("channel operations work inside timeout, race, when_all and try_")
{
    auto rt = simulated(21);
    auto [sender, receiver] = sync::channel<std::unique_ptr<int>>(1);
    const auto outcome = rt.block_on([&]() -> task<result<void>> {
        auto none = co_await timeout(5ms, receiver.receive());
        CHECK(none.error() == std::errc::timed_out);
        co_await try_(sender.send(std::make_unique<int>(1)));
        auto full = co_await timeout(5ms, sender.send(std::make_unique<int>(2)));
        CHECK(full.error() == std::errc::timed_out);
        auto value = std::make_unique<int>(3);
        auto raced = co_await race(sender.send_from(value), turns(3));
        CHECK(raced.index() == 1);
        CHECK(*value == 3);
        auto both = co_await when_all(receiver.receive(), sender.send_from(value));
        CHECK(*std::get<0>(both).value() == 1);
        CHECK(std::get<1>(both).has_value());
        CHECK(value == nullptr);
        auto last = co_await try_(receiver.receive());
        CHECK(*last == 3);
        sender.close();
        co_await try_(receiver.receive());
        FAIL("try_ went on after an error");
        co_return result<void>{};
    });
    REQUIRE(outcome.error() == io_errc::closed);
}

TEST_CASE("a task that never suspends in a channel gives others a turn")
{
    auto rt = threaded(1);
    bool other_ran = false;
    rt.block_on([&]() -> task<void> {
        auto [sender, receiver] = sync::channel<int>(1);
        auto other = rt.spawn([&]() -> task<void> {
            other_ran = true;
            co_return;
        });
        // With no limit this would never end: every operation is ready at once.
        while (!other_ran)
        {
            const auto accepted = co_await sender.send(1);
            CHECK(accepted.has_value());
            const auto given = co_await receiver.receive();
            CHECK(given.has_value());
        }
        co_await std::move(other);
    });
    REQUIRE(other_ran);
}
