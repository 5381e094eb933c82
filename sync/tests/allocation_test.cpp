// Waiting allocates nothing. Thread rule: one worker, so that the count belongs to what is measured.
#include "support.hpp"

#include <blitzio/io/when_all.hpp>
#include <blitzio/sync.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdint>

using namespace blitzio;
using namespace sync_tests;

namespace
{

/// Runs `body` (a coroutine that suspends in each of its rounds) and gives the allocations during
/// all but the first rounds, which warm up the runtime's queues and pools.
template <class Left, class Right>
std::uint64_t allocations_of(Left left, Right right)
{
    auto rt = threaded(1);
    std::uint64_t counted = 0;
    rt.block_on([&]() -> task<void> {
        co_await when_all(left(16), right(16));
        const auto before = allocations();
        co_await when_all(left(1000), right(1000));
        counted = allocations() - before;
    });
    return counted;
}

} // namespace

TEST_CASE("the counter counts")
{
    const auto before = allocations();
    ::operator delete(::operator new(1)); // not a new-expression, which may be left out
    REQUIRE(allocations() == before + 1);
}

TEST_CASE("waiting for a mutex allocates nothing")
{
    sync::mutex lock;
    unsigned waited = 0;
    const auto side = [&](unsigned rounds) -> task<void> {
        for (unsigned round = 0; round < rounds; ++round)
        {
            waited += lock.is_locked() ? 1 : 0;
            auto held = co_await lock.lock();
            co_await yield();
        }
    };
    REQUIRE(allocations_of(side, side) == 0);
    REQUIRE(waited > 1000);
}

TEST_CASE("waiting for a semaphore allocates nothing")
{
    sync::semaphore slots(2);
    unsigned waited = 0;
    const auto side = [&](unsigned rounds) -> task<void> {
        for (unsigned round = 0; round < rounds; ++round)
        {
            waited += slots.available() < 2 ? 1 : 0;
            auto held = co_await slots.acquire(2);
            co_await yield();
        }
    };
    REQUIRE(allocations_of(side, side) == 0);
    REQUIRE(waited > 1000);
}

TEST_CASE("waiting for an event allocates nothing")
{
    sync::event ping;
    sync::event pong;
    const auto left = [&](unsigned rounds) -> task<void> {
        for (unsigned round = 0; round < rounds; ++round)
        {
            ping.set();
            static_cast<void>(co_await pong.wait());
            pong.reset();
        }
    };
    const auto right = [&](unsigned rounds) -> task<void> {
        for (unsigned round = 0; round < rounds; ++round)
        {
            static_cast<void>(co_await ping.wait());
            ping.reset();
            pong.set();
        }
    };
    REQUIRE(allocations_of(left, right) == 0);
}

TEST_CASE("channels allocate nothing after their creation")
{
    for (const std::size_t capacity : {0u, 1u, 8u})
    {
        auto [sender, receiver] = sync::channel<std::uint64_t>(capacity);
        std::uint64_t sum = 0;
        const auto left = [&](unsigned rounds) -> task<void> {
            for (unsigned round = 0; round < rounds; ++round)
            {
                static_cast<void>(co_await sender.send(round));
            }
        };
        const auto right = [&](unsigned rounds) -> task<void> {
            for (unsigned round = 0; round < rounds; ++round)
            {
                auto value = co_await receiver.receive();
                sum += value.value();
            }
        };
        CAPTURE(capacity);
        REQUIRE(allocations_of(left, right) == 0);
        REQUIRE(sum == 15 * 16 / 2 + 999 * 1000 / 2);
    }
}

TEST_CASE("a oneshot takes its memory from the pool of frames and allocates nothing else")
{
    sync::oneshot_sender<unsigned> sender;
    sync::event made;
    unsigned right_ones = 0;
    const auto left = [&](unsigned rounds) -> task<void> {
        for (unsigned round = 0; round < rounds; ++round)
        {
            auto ends = sync::oneshot<unsigned>();
            sender = std::move(ends.sender);
            made.set();
            auto value = co_await ends.receiver;
            right_ones += value.value() == round ? 1 : 0;
        }
    };
    const auto right = [&](unsigned rounds) -> task<void> {
        for (unsigned round = 0; round < rounds; ++round)
        {
            static_cast<void>(co_await made.wait());
            made.reset();
            static_cast<void>(sender.send(round));
        }
    };
    REQUIRE(allocations_of(left, right) == 0);
    REQUIRE(right_ones == 1016);
}
