// The steal queue: order, halves, overflow, batches, and a run with real threads.
#include <blitzio/io/detail/steal_queue.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

namespace
{

using blitzio::detail::runnable;
using blitzio::detail::std_atomics;
using blitzio::detail::steal_queue;

template <std::uint32_t Capacity>
using queue = steal_queue<std_atomics, Capacity>;

// Fails the test when something overflows that should not.
constexpr auto no_overflow = [](runnable*, runnable*, std::size_t) { FAIL("unexpected overflow"); };

// The indices, within `elements`, of what is popped until the queue is empty.
template <class Queue, std::size_t Size>
std::vector<std::ptrdiff_t> drain(Queue& from, const std::array<runnable, Size>& elements)
{
    std::vector<std::ptrdiff_t> order;
    while (runnable* const item = from.pop())
    {
        order.push_back(item - elements.data());
    }
    return order;
}

} // namespace

TEST_CASE("a steal queue gives back what it got, oldest first", "[steal_queue]")
{
    std::array<runnable, 3> elements;
    queue<4> local;
    CHECK(local.empty());
    CHECK(local.pop() == nullptr);
    CHECK(local.free_slots() == 4);
    for (runnable& item : elements)
    {
        local.push_back_or_overflow(&item, no_overflow);
    }
    CHECK(local.size() == 3);
    CHECK(local.free_slots() == 1);
    CHECK(drain(local, elements) == std::vector<std::ptrdiff_t>{0, 1, 2});
    CHECK(local.empty());
}

TEST_CASE("a steal queue keeps its order around the ring", "[steal_queue]")
{
    std::array<runnable, 3> elements;
    queue<4> local;
    for (int round = 0; round < 50; ++round)
    {
        for (runnable& item : elements)
        {
            local.push_back_or_overflow(&item, no_overflow);
        }
        REQUIRE(drain(local, elements) == std::vector<std::ptrdiff_t>{0, 1, 2});
    }
}

TEST_CASE("a full steal queue hands its older half and the new element on", "[steal_queue]")
{
    std::array<runnable, 5> elements;
    queue<4> local;
    for (std::size_t index = 0; index < 4; ++index)
    {
        local.push_back_or_overflow(&elements[index], no_overflow);
    }
    std::vector<std::ptrdiff_t> overflowed;
    std::size_t announced = 0;
    local.push_back_or_overflow(&elements[4],
                                [&](runnable* first, runnable* last, std::size_t count) {
                                    announced = count;
                                    for (runnable* item = first; item != nullptr; item = item->next)
                                    {
                                        overflowed.push_back(item - elements.data());
                                    }
                                    CHECK(last == &elements[4]);
                                });
    CHECK(announced == 3);
    CHECK(overflowed == std::vector<std::ptrdiff_t>{0, 1, 4});
    CHECK(drain(local, elements) == std::vector<std::ptrdiff_t>{2, 3});
}

TEST_CASE("a batch is taken as far as it fits", "[steal_queue]")
{
    std::array<runnable, 6> elements;
    for (std::size_t index = 0; index + 1 < elements.size(); ++index)
    {
        elements[index].next = &elements[index + 1];
    }
    queue<4> local;
    CHECK(local.push_batch(nullptr) == nullptr);
    CHECK(local.push_batch(&elements[0]) == &elements[4]);
    CHECK(local.size() == 4);
    CHECK(local.push_batch(&elements[4]) == &elements[4]);
    CHECK(local.pop() == &elements[0]);
    CHECK(local.pop() == &elements[1]);
    CHECK(local.push_batch(&elements[4]) == nullptr);
    CHECK(drain(local, elements) == std::vector<std::ptrdiff_t>{2, 3, 4, 5});
}

TEST_CASE("a thief gets half, rounded up", "[steal_queue]")
{
    std::array<runnable, 8> elements;
    queue<8> victim;
    queue<8> thief;
    CHECK(victim.steal_into(thief) == nullptr);
    for (std::size_t index = 0; index < 5; ++index)
    {
        victim.push_back_or_overflow(&elements[index], no_overflow);
    }
    // Three of five: two into the ring, in order, and the last to run.
    CHECK(victim.steal_into(thief) == &elements[2]);
    CHECK(victim.size() == 2);
    CHECK(drain(thief, elements) == std::vector<std::ptrdiff_t>{0, 1});
    CHECK(victim.steal_into(thief) == &elements[3]);
    CHECK(thief.empty());
    CHECK(victim.steal_into(thief) == &elements[4]);
    CHECK(victim.steal_into(thief) == nullptr);
    CHECK(victim.empty());
}

TEST_CASE("a thief without room for half a ring takes nothing", "[steal_queue]")
{
    std::array<runnable, 8> elements;
    queue<4> victim;
    queue<4> thief;
    for (std::size_t index = 0; index < 3; ++index)
    {
        thief.push_back_or_overflow(&elements[index], no_overflow);
        victim.push_back_or_overflow(&elements[4 + index], no_overflow);
    }
    CHECK(victim.steal_into(thief) == nullptr);
    CHECK(victim.size() == 3);
    CHECK(drain(thief, elements) == std::vector<std::ptrdiff_t>{0, 1, 2});
    CHECK(victim.steal_into(thief) == &elements[5]);
    CHECK(drain(thief, elements) == std::vector<std::ptrdiff_t>{4});
    CHECK(drain(victim, elements) == std::vector<std::ptrdiff_t>{6});
}

TEST_CASE("each element is taken once while threads rob each other", "[steal_queue][stress]")
{
    constexpr std::size_t total = 500'000;
    constexpr std::size_t thieves = 2;
    struct counted : runnable
    {
        std::atomic<int> taken{0};
    };
    const auto elements = std::make_unique<counted[]>(total);
    queue<16> victim;
    std::array<queue<16>, thieves> booty;
    std::atomic<std::size_t> taken_in_all{0};
    const auto take = [&](runnable* item) {
        static_cast<counted*>(item)->taken.fetch_add(1, std::memory_order_relaxed);
        taken_in_all.fetch_add(1, std::memory_order_relaxed);
    };
    std::latch start(thieves + 1);
    const auto rob = [&](std::size_t me) {
        start.arrive_and_wait();
        while (taken_in_all.load(std::memory_order_relaxed) < total)
        {
            queue<16>& from = taken_in_all.load(std::memory_order_relaxed) % 3 == 0
                                  ? booty[(me + 1) % thieves]
                                  : victim;
            if (runnable* const item = from.steal_into(booty[me]))
            {
                take(item);
            }
            while (runnable* const item = booty[me].pop())
            {
                take(item);
            }
            std::this_thread::yield();
        }
    };
    {
        std::vector<std::jthread> threads;
        for (std::size_t me = 0; me < thieves; ++me)
        {
            threads.emplace_back(rob, me);
        }
        start.arrive_and_wait();
        for (std::size_t index = 0; index < total; ++index)
        {
            victim.push_back_or_overflow(&elements[index],
                                         [&](runnable* first, runnable*, std::size_t) {
                                             while (first != nullptr)
                                             {
                                                 runnable* const next = first->next;
                                                 take(first);
                                                 first = next;
                                             }
                                         });
            if (index % 3 == 0)
            {
                if (runnable* const item = victim.pop())
                {
                    take(item);
                }
            }
        }
        while (runnable* const item = victim.pop())
        {
            take(item);
        }
    }
    std::size_t wrong = 0;
    for (std::size_t index = 0; index < total; ++index)
    {
        wrong += elements[index].taken.load() != 1 ? 1 : 0;
    }
    CHECK(wrong == 0);
    CHECK(taken_in_all.load() == total);
}
