// select over channels, locks and timers: no value is lost or taken twice, whatever happens at the
// same moment. The cases that Go's select tests and Tokio's notes on cancel safety name.
// Thread rule: the test's thread.
#include "support.hpp"

#include <blitzio/io/select.hpp>
#include <blitzio/io/sleep.hpp>
#include <blitzio/io/stream_stages.hpp>
#include <blitzio/io/timeout.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/sync.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstdint>
#include <vector>

using namespace blitzio;
using namespace sync_tests;
using namespace std::chrono_literals;

namespace
{

/// Every value that was sent arrives once, although each send meets several receivers, and receivers
/// stop waiting for it all the time.
task<void> receive_all(sync::channel_receiver<int>& first, sync::channel_receiver<int>& second,
                       std::vector<int>& seen)
{
    int open = 2;
    bool first_open = true;
    bool second_open = true;
    while (open > 0)
    {
        const auto take = [&](bool& still_open) {
            return [&](result<int> value) {
                if (value)
                {
                    seen.push_back(*value);
                }
                else if (value.error() == io_errc::closed)
                {
                    still_open = false;
                    --open;
                }
            };
        };
        const auto decided = co_await select(
            on_if(first_open, first.receive(), take(first_open)),
            on_if(second_open, second.receive(), take(second_open)), on(sleep_for(1ms), [] {}));
        if (!decided)
        {
            co_return;
        }
    }
}

task<void> send_range(sync::channel_sender<int> sender, int from, int to)
{
    for (int value = from; value < to; ++value)
    {
        if (value % 7 == 0)
        {
            static_cast<void>(co_await sleep_for(1ms));
        }
        static_cast<void>(co_await sender.send(value));
    }
}

void check_nothing_lost(blitzio::runtime runtime, std::size_t capacity, int values)
{
    auto [left_in, left_out] = sync::channel<int>(capacity);
    auto [right_in, right_out] = sync::channel<int>(capacity);
    std::vector<int> seen;
    runtime.block_on(when_all(send_range(std::move(left_in), 0, values),
                              send_range(std::move(right_in), 1000, 1000 + values),
                              receive_all(left_out, right_out, seen)));
    // Each channel's values in order, and all of them.
    int next_left = 0;
    int next_right = 1000;
    for (const int value : seen)
    {
        int& next = value < 1000 ? next_left : next_right;
        CHECK(value == next);
        ++next;
    }
    CHECK(next_left == values);
    CHECK(next_right == 1000 + values);
}

} // namespace

TEST_CASE("select over two channels and a timer loses nothing", "[select]")
{
    for (std::uint64_t seed = 1; seed <= 300; ++seed)
    {
        INFO("seed " << seed);
        check_nothing_lost(simulated(seed, 1 + seed % 3), seed % 3, 40);
    }
    for (const unsigned workers : {1u, 2u, 4u})
    {
        INFO("workers " << workers);
        for (const std::size_t capacity : {0u, 1u, 8u})
        {
            check_nothing_lost(threaded(workers), capacity, 300);
        }
    }
}

TEST_CASE("a send that lost has either sent or still has its value", "[select]")
{
    for (std::uint64_t seed = 1; seed <= 300; ++seed)
    {
        INFO("seed " << seed);
        auto runtime = simulated(seed, 1 + seed % 3);
        auto [sender, receiver] = sync::channel<int>(seed % 2);
        int sent = 0;
        int received = 0;
        auto send = [&, out = std::move(sender)]() mutable -> task<void> {
            for (int round = 0; round < 30; ++round)
            {
                int value = round;
                const auto count = [&](result<void> outcome) { sent += outcome ? 1 : 0; };
                static_cast<void>(
                    co_await select(on(out.send_from(value), count), on(sleep_for(1ms), [] {})));
            }
            out.close();
        };
        const auto receive = [&]() -> task<void> {
            while (co_await receiver.receive())
            {
                ++received;
                if (received % 5 == 0)
                {
                    static_cast<void>(co_await sleep_for(2ms));
                }
            }
        };
        runtime.block_on(when_all(send(), receive()));
        CHECK(sent == received);
    }
}

TEST_CASE("a ready channel that was not chosen keeps its value", "[select]")
{
    for (std::uint64_t seed = 1; seed <= 50; ++seed)
    {
        auto runtime = simulated(seed);
        auto [left_in, left_out] = sync::channel<int>(1);
        auto [right_in, right_out] = sync::channel<int>(1);
        REQUIRE(left_in.try_send(1));
        REQUIRE(right_in.try_send(2));
        int handled = 0;
        const auto count = [&](result<int>) { ++handled; };
        const auto first =
            runtime.block_on(select(on(left_out.receive(), count), on(right_out.receive(), count)));
        REQUIRE(first.has_value());
        CHECK(handled == 1);
        CHECK(left_out.size() == *first);
        CHECK(right_out.size() == 1 - *first);
    }
}

TEST_CASE("a select may meet itself on a channel", "[select]")
{
    // Go: TestSelfSelect: both ends of one channel without room, in two tasks that select on both.
    for (std::uint64_t seed = 1; seed <= 100; ++seed)
    {
        INFO("seed " << seed);
        auto runtime = simulated(seed, 1 + seed % 3);
        auto [sender, receiver] = sync::channel<int>(seed % 2 == 0 ? 0 : 10);
        int sent = 0;
        int received = 0;
        const auto both = [&]() -> task<void> {
            for (int round = 0; round < 20; ++round)
            {
                const auto outcome = co_await timeout(
                    5ms,
                    select(on(sender.send(round), [&](result<void> done) { sent += done ? 1 : 0; }),
                           on(receiver.receive(),
                              [&](result<int> value) { received += value ? 1 : 0; })));
                static_cast<void>(outcome);
            }
        };
        runtime.block_on(when_all(both(), both()));
        CHECK(sent == received + static_cast<int>(receiver.size()));
    }
}

TEST_CASE("channels are sources of streams", "[stream]")
{
    for (std::uint64_t seed = 1; seed <= 50; ++seed)
    {
        INFO("seed " << seed);
        auto runtime = simulated(seed, 1 + seed % 3);
        auto [sender, receiver] = sync::channel<int>(2);
        int total = 0;
        const auto consume = [&]() -> task<void> {
            const auto ended =
                co_await (streams::repeat([&] { return receiver.receive(); }) | streams::buffer(3) |
                          streams::for_each([&](int value) { total += value; }));
            CHECK(ended.has_value());
        };
        runtime.block_on(when_all(send_range(std::move(sender), 0, 50), consume()));
        CHECK(total == 49 * 25);
    }
}
