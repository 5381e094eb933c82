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

TEST_CASE("waiting for a shared mutex allocates nothing")
{
    sync::shared_mutex lock;
    const auto side = [&](meter* count) -> task<void> {
        for (unsigned round = 0; round < meter::rounds; ++round)
        {
            if (count != nullptr)
            {
                count->round_begins(round);
            }
            auto writing = co_await lock.lock();
            co_await yield();
            auto reading = writing->downgrade();
            co_await yield();
        }
    };
    const auto counted =
        allocations_of([&](meter& count) { return side(&count); }, [&] { return side(nullptr); });
    REQUIRE(counted == 0);
}

TEST_CASE("meeting at a barrier allocates nothing")
{
    sync::barrier gate(2);
    unsigned chosen = 0;
    const auto side = [&](meter* count) -> task<void> {
        for (unsigned round = 0; round < meter::rounds; ++round)
        {
            if (count != nullptr)
            {
                count->round_begins(round);
            }
            auto first = co_await gate.arrive_and_wait();
            chosen += first.value() ? 1 : 0;
        }
    };
    const auto counted =
        allocations_of([&](meter& count) { return side(&count); }, [&] { return side(nullptr); });
    REQUIRE(counted == 0);
    REQUIRE(chosen == meter::rounds);
}

TEST_CASE("waiting for notifications and conditions allocates nothing")
{
    sync::notify bell;
    sync::mutex lock;
    sync::condition_variable condition;
    unsigned turn = 0;
    const auto side = [&](meter* count, unsigned id) -> task<void> {
        for (unsigned round = 0; round < meter::rounds; ++round)
        {
            if (count != nullptr)
            {
                count->round_begins(round);
            }
            auto held = co_await lock.lock();
            while (turn % 2 != id)
            {
                static_cast<void>(co_await condition.wait(*held));
            }
            ++turn;
            condition.notify_one();
            held->unlock();
            bell.notify_one();
            static_cast<void>(co_await bell.wait());
        }
    };
    const auto counted = allocations_of([&](meter& count) { return side(&count, 0); },
                                        [&] { return side(nullptr, 1); });
    REQUIRE(counted == 0);
    REQUIRE(turn == 2 * meter::rounds);
}

TEST_CASE("spsc and unbounded channels allocate nothing once they are warm")
{
    auto there = sync::spsc<unsigned>(1);
    auto back = sync::unbounded_channel<unsigned>();
    unsigned right_ones = 0;
    const auto left = [&](meter& count) -> task<void> {
        for (unsigned round = 0; round < meter::rounds; ++round)
        {
            count.round_begins(round);
            static_cast<void>(co_await there.sender.send(round));
            static_cast<void>(co_await there.sender.send(round));
            auto value = co_await back.receiver.receive();
            right_ones += value.value() == 2 * round ? 1 : 0;
        }
    };
    const auto right = [&]() -> task<void> {
        for (unsigned round = 0; round < meter::rounds; ++round)
        {
            auto first = co_await there.receiver.receive();
            auto second = co_await there.receiver.receive();
            static_cast<void>(back.sender.send(first.value() + second.value()));
        }
    };
    const auto counted = allocations_of(left, right);
    REQUIRE(counted == 0);
    REQUIRE(right_ones == meter::rounds);
}

TEST_CASE("broadcast and watch take the memory of values from the pool of frames")
{
    if (!frames_are_pooled)
    {
        SKIP("with a sanitizer the pool passes every request on");
    }
    auto news = sync::broadcast<unsigned>(4);
    auto latest = sync::watch<unsigned>(0);
    unsigned heard = 0;
    const auto left = [&](meter& count) -> task<void> {
        for (unsigned round = 0; round < meter::rounds; ++round)
        {
            count.round_begins(round);
            static_cast<void>(news.sender.send(round));
            static_cast<void>(co_await latest.receiver.changed());
        }
    };
    const auto right = [&]() -> task<void> {
        for (unsigned round = 0; round < meter::rounds; ++round)
        {
            auto value = co_await news.receiver.receive();
            heard += value.value() == round ? 1 : 0;
            static_cast<void>(latest.sender.send(round + 1));
        }
    };
    const auto counted = allocations_of(left, right);
    REQUIRE(counted == 0);
    REQUIRE(heard == meter::rounds);
}
