// The injection queue: order, batches, closing, and a run with real threads.
#include <blitzio/io/detail/injection_queue.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <latch>
#include <memory>
#include <thread>
#include <vector>

namespace
{

using blitzio::detail::injection_queue;
using blitzio::detail::runnable;

} // namespace

TEST_CASE("an injection queue is first in, first out", "[injection_queue]")
{
    std::array<runnable, 3> elements;
    injection_queue queue;
    CHECK(queue.empty());
    CHECK(queue.pop() == nullptr);
    for (runnable& item : elements)
    {
        CHECK(queue.push(&item));
    }
    CHECK(queue.count().length == 3);
    CHECK(queue.pop() == &elements[0]);
    CHECK(elements[0].next == nullptr);
    CHECK(queue.pop() == &elements[1]);
    CHECK(queue.pop() == &elements[2]);
    CHECK(queue.pop() == nullptr);
    CHECK(queue.empty());
}

TEST_CASE("a chain is appended whole and taken in batches", "[injection_queue]")
{
    std::array<runnable, 5> elements;
    for (std::size_t index = 1; index < 4; ++index)
    {
        elements[index].next = &elements[index + 1];
    }
    injection_queue queue;
    CHECK(queue.push(&elements[0]));
    CHECK(queue.push_list(&elements[1], &elements[4], 4));
    CHECK(queue.push_list(nullptr, nullptr, 0));
    CHECK(queue.count().length == 5);
    CHECK(queue.pop_batch(0).count == 0);

    const auto some = queue.pop_batch(3);
    CHECK(some.count == 3);
    CHECK(some.first == &elements[0]);
    CHECK(some.first->next == &elements[1]);
    CHECK(some.last == &elements[2]);
    CHECK(some.last->next == nullptr);
    CHECK(queue.count().length == 2);

    const auto rest = queue.pop_batch(100);
    CHECK(rest.count == 2);
    CHECK(rest.first == &elements[3]);
    CHECK(rest.last == &elements[4]);
    CHECK(queue.pop_batch(1).first == nullptr);
    // The end was found again after the queue had been empty.
    CHECK(queue.push(&elements[0]));
    CHECK(queue.push(&elements[1]));
    CHECK(queue.pop_batch(2).last == &elements[1]);
}

TEST_CASE("a closed injection queue refuses, and gives out what it has", "[injection_queue]")
{
    std::array<runnable, 2> elements;
    injection_queue queue;
    CHECK(queue.push(&elements[0]));
    CHECK_FALSE(queue.is_closed());
    CHECK(queue.close());
    CHECK_FALSE(queue.close());
    CHECK(queue.is_closed());
    CHECK_FALSE(queue.push(&elements[1]));
    CHECK(queue.count().length == 1);
    CHECK(queue.pop() == &elements[0]);
    CHECK(queue.pop() == nullptr);
}

TEST_CASE("an injection queue loses nothing between threads", "[injection_queue][stress]")
{
    constexpr std::size_t total = 100'000;
    struct counted : runnable
    {
        std::atomic<int> taken{0};
    };
    const auto elements = std::make_unique<counted[]>(2 * total);
    injection_queue queue;
    std::atomic<std::size_t> taken{0};
    std::latch start(4);
    {
        std::vector<std::jthread> threads;
        for (std::size_t me = 0; me < 2; ++me)
        {
            threads.emplace_back([&, me] {
                start.arrive_and_wait();
                for (std::size_t index = 0; index < total; ++index)
                {
                    static_cast<void>(queue.push(&elements[me * total + index]));
                }
            });
            threads.emplace_back([&] {
                start.arrive_and_wait();
                while (taken.load(std::memory_order_relaxed) < 2 * total)
                {
                    const auto batch = queue.pop_batch(7);
                    for (runnable* item = batch.first; item != nullptr; item = item->next)
                    {
                        static_cast<counted*>(item)->taken.fetch_add(1, std::memory_order_relaxed);
                    }
                    taken.fetch_add(batch.count, std::memory_order_relaxed);
                    if (batch.count == 0)
                    {
                        std::this_thread::yield();
                    }
                }
            });
        }
    }
    std::size_t wrong = 0;
    for (std::size_t index = 0; index < 2 * total; ++index)
    {
        wrong += elements[index].taken.load() != 1 ? 1 : 0;
    }
    CHECK(wrong == 0);
    CHECK(queue.empty());
}
