// The queues that only a worker takes from: order, growth, giving memory back.
// Thread rule: the test's thread stands for the worker.
#include "scheduler/growing_queue.hpp"
#include "scheduler/pinned_queue.hpp"

#include <catch2/catch_test_macros.hpp>

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <random>
#include <vector>

using blitzio::detail::growing_queue;
using blitzio::detail::pinned_queue;
using blitzio::detail::runnable;
using blitzio::detail::waiter;

TEST_CASE("a growing queue is first in, first out, through growth and shrinking", "[queues]")
{
    constexpr std::size_t burst = 2 * blitzio::detail::limits::run_queue_kept + 1;
    std::vector<runnable> items(burst);
    growing_queue queue;
    for (int round = 0; round < 3; ++round)
    {
        CHECK(queue.pop() == nullptr);
        for (runnable& each : items)
        {
            REQUIRE(queue.push(each));
        }
        CHECK(queue.size() == burst);
        std::size_t in_order = 0;
        while (runnable* const item = queue.pop())
        {
            in_order += item == &items[in_order] ? 1 : 0;
        }
        CHECK(in_order == burst);
        CHECK(queue.empty());
        queue.shrink();
        CHECK(queue.empty());
    }
}

TEST_CASE("a growing queue keeps its order wherever it stands when it grows", "[queues]")
{
    std::mt19937 random(7);
    std::vector<runnable> items(20'000);
    std::deque<runnable*> model;
    growing_queue queue;
    std::size_t next = 0;
    while (next < items.size() || !model.empty())
    {
        const bool pushes = next < items.size() && (model.empty() || random() % 5 < 3);
        if (pushes)
        {
            REQUIRE(queue.push(items[next]));
            model.push_back(&items[next++]);
            continue;
        }
        REQUIRE(queue.pop() == model.front());
        model.pop_front();
        REQUIRE(queue.size() == model.size());
    }
}

namespace
{

std::coroutine_handle<> nothing(void*) noexcept
{
    return std::noop_coroutine();
}

waiter numbered(std::size_t number)
{
    return {&nothing, reinterpret_cast<void*>(number)};
}

std::size_t number_of(const waiter& who)
{
    return reinterpret_cast<std::size_t>(who.context);
}

} // namespace

TEST_CASE("a pinned queue sends one message for a burst and loses no waiter", "[queues]")
{
    pinned_queue queue;
    CHECK(queue.push(numbered(1)));
    CHECK_FALSE(queue.push(numbered(2)));
    CHECK(queue.empty()); // until the message is dealt with
    queue.push_here(numbered(3));
    queue.receive();
    CHECK(queue.push(numbered(4)));
    for (const std::size_t expected : {3u, 1u, 2u})
    {
        REQUIRE_FALSE(queue.empty());
        CHECK(number_of(queue.pop()) == expected);
    }
    CHECK(queue.empty());
    queue.receive();
    CHECK(number_of(queue.pop()) == 4);
}

TEST_CASE("a pinned queue that never runs empty stays in order and does not grow for ever",
          "[queues]")
{
    pinned_queue queue;
    std::size_t pushed = 0;
    std::size_t popped = 0;
    for (; pushed < 300; ++pushed)
    {
        queue.push_here(numbered(pushed));
    }
    // As a task that gives way again and again: one behind, one in front.
    for (int round = 0; round < 100'000; ++round)
    {
        queue.push_here(numbered(pushed++));
        REQUIRE(number_of(queue.pop()) == popped++);
    }
    while (!queue.empty())
    {
        REQUIRE(number_of(queue.pop()) == popped++);
    }
    CHECK(popped == pushed);
}
