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

/// Counts the allocations of all but the first rounds of a task that suspends in each of them: those
/// warm up the runtime's queues and pools, and the frames of the tasks themselves do not count.
class meter
{
public:
    static constexpr unsigned rounds = 1000;
    static constexpr unsigned warm_up = 16;

    void round_begins(unsigned round) noexcept
    {
        if (round == warm_up)
        {
            before_ = allocations();
        }
        if (round + 1 == rounds)
        {
            counted_ = allocations() - before_;
        }
    }

    [[nodiscard]] std::uint64_t counted() const noexcept
    {
        return counted_;
    }

private:
    std::uint64_t before_ = 0;
    std::uint64_t counted_ = static_cast<std::uint64_t>(-1);
};

/// Runs both sides, of which `left` calls the meter.
template <class Left, class Right>
std::uint64_t allocations_of(Left left, Right right)
{
    if (!counts_allocations)
    {
        SKIP("the sanitizer brings its own operator new");
    }
    auto rt = threaded(1);
    meter count;
    rt.block_on([&]() -> task<void> { co_await when_all(left(count), right()); });
    return count.counted();
}

} // namespace

TEST_CASE("the counter counts")
{
    if (!counts_allocations)
    {
        SKIP("the sanitizer brings its own operator new");
    }
    const auto before = allocations();
    ::operator delete(::operator new(1)); // not a new-expression, which may be left out
    REQUIRE(allocations() == before + 1);
}

TEST_CASE("waiting for a mutex allocates nothing")
{
    sync::mutex lock;
    unsigned waited = 0;
    const auto side = [&](meter* count) -> task<void> {
        for (unsigned round = 0; round < meter::rounds; ++round)
        {
            if (count != nullptr)
            {
                count->round_begins(round);
            }
            waited += lock.is_locked() ? 1 : 0;
            auto held = co_await lock.lock();
            co_await yield();
        }
    };
    const auto counted =
        allocations_of([&](meter& count) { return side(&count); }, [&] { return side(nullptr); });
    REQUIRE(counted == 0);
    REQUIRE(waited > 1000);
}

TEST_CASE("waiting for a semaphore allocates nothing")
{
    sync::semaphore slots(2);
    unsigned waited = 0;
    const auto side = [&](meter* count) -> task<void> {
        for (unsigned round = 0; round < meter::rounds; ++round)
        {
            if (count != nullptr)
            {
                count->round_begins(round);
            }
            waited += slots.available() < 2 ? 1 : 0;
            auto held = co_await slots.acquire(2);
            co_await yield();
        }
    };
    const auto counted =
        allocations_of([&](meter& count) { return side(&count); }, [&] { return side(nullptr); });
    REQUIRE(counted == 0);
    REQUIRE(waited > 1000);
}

TEST_CASE("waiting for an event allocates nothing")
{
    sync::event ping;
    sync::event pong;
    const auto left = [&](meter& count) -> task<void> {
        for (unsigned round = 0; round < meter::rounds; ++round)
        {
            count.round_begins(round);
            ping.set();
            static_cast<void>(co_await pong.wait());
            pong.reset();
        }
    };
    const auto right = [&]() -> task<void> {
        for (unsigned round = 0; round < meter::rounds; ++round)
        {
            static_cast<void>(co_await ping.wait());
            ping.reset();
            pong.set();
        }
    };
    const auto counted = allocations_of(left, right);
    REQUIRE(counted == 0);
}

TEST_CASE("channels allocate nothing after their creation")
{
    for (const std::size_t capacity : {0u, 1u, 8u})
    {
        auto [sender, receiver] = sync::channel<std::uint64_t>(capacity);
        std::uint64_t sum = 0;
        const auto left = [&](meter& count) -> task<void> {
            for (unsigned round = 0; round < meter::rounds; ++round)
            {
                count.round_begins(round);
                static_cast<void>(co_await sender.send(round));
            }
        };
        const auto right = [&]() -> task<void> {
            for (unsigned round = 0; round < meter::rounds; ++round)
            {
                auto value = co_await receiver.receive();
                sum += value.value();
            }
        };
        CAPTURE(capacity);
        const auto counted = allocations_of(left, right);
        REQUIRE(counted == 0);
        REQUIRE(sum == 999 * 1000 / 2);
    }
}

TEST_CASE("a oneshot takes its memory from the pool of frames and allocates nothing else")
{
    if (!frames_are_pooled)
    {
        SKIP("with a sanitizer the pool passes every request on");
    }
    sync::oneshot_sender<unsigned> sender;
    sync::event made;
    unsigned right_ones = 0;
    const auto left = [&](meter& count) -> task<void> {
        for (unsigned round = 0; round < meter::rounds; ++round)
        {
            count.round_begins(round);
            auto ends = sync::oneshot<unsigned>();
            sender = std::move(ends.sender);
            made.set();
            auto value = co_await ends.receiver;
            right_ones += value.value() == round ? 1 : 0;
        }
    };
    const auto right = [&]() -> task<void> {
        for (unsigned round = 0; round < meter::rounds; ++round)
        {
            static_cast<void>(co_await made.wait());
            made.reset();
            static_cast<void>(sender.send(round));
        }
    };
    const auto counted = allocations_of(left, right);
    REQUIRE(counted == 0);
    REQUIRE(right_ones == meter::rounds);
}
