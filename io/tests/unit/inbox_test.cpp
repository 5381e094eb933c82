// The inbox: order, the sleep mark, and a run with real threads.
#include <blitzio/io/detail/inbox.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <latch>
#include <memory>
#include <semaphore>
#include <thread>
#include <vector>

namespace
{

using blitzio::detail::inbox;
using blitzio::detail::runnable;

} // namespace

TEST_CASE("an inbox gives everything back, oldest first", "[inbox]")
{
    std::array<runnable, 3> letters;
    inbox<> box;
    CHECK(box.looks_empty());
    CHECK(box.take_all() == nullptr);
    for (runnable& letter : letters)
    {
        CHECK_FALSE(box.push(&letter));
    }
    CHECK_FALSE(box.looks_empty());
    runnable* const first = box.take_all();
    REQUIRE(first == &letters[0]);
    CHECK(first->next == &letters[1]);
    CHECK(first->next->next == &letters[2]);
    CHECK(first->next->next->next == nullptr);
    CHECK(box.looks_empty());
    CHECK(box.take_all() == nullptr);
}

TEST_CASE("only the first push after the mark has to wake", "[inbox]")
{
    std::array<runnable, 3> letters;
    inbox<> box;
    REQUIRE(box.try_mark_inactive());
    CHECK(box.looks_empty());
    CHECK(box.push(&letters[0]));
    CHECK_FALSE(box.push(&letters[1]));
    CHECK_FALSE(box.mark_active());
    runnable* const first = box.take_all();
    REQUIRE(first == &letters[0]);
    CHECK(first->next == &letters[1]);
    CHECK(letters[1].next == nullptr);
    // The mark has to be set anew.
    CHECK_FALSE(box.push(&letters[2]));
    CHECK(box.take_all() == &letters[2]);
}

TEST_CASE("an inbox with letters refuses the mark", "[inbox]")
{
    runnable letter;
    inbox<> box;
    CHECK_FALSE(box.push(&letter));
    CHECK_FALSE(box.try_mark_inactive());
    CHECK(box.take_all() == &letter);
    CHECK(box.try_mark_inactive());
    CHECK(box.mark_active());
    CHECK_FALSE(box.mark_active());
    CHECK_FALSE(box.push(&letter));
    CHECK(box.take_all() == &letter);
}

TEST_CASE("no letter and no wake is lost between threads", "[inbox][stress]")
{
    constexpr std::size_t producers = 3;
    constexpr std::size_t letters_each = 100'000;
    struct numbered : runnable
    {
        std::size_t producer = 0;
        std::size_t number = 0;
    };
    const auto letters = std::make_unique<numbered[]>(producers * letters_each);
    inbox<> box;
    std::counting_semaphore<> sleeping_place{0};
    std::atomic<std::size_t> wakes{0};

    std::latch start(producers + 1);
    const auto produce = [&](std::size_t me) {
        start.arrive_and_wait();
        for (std::size_t number = 0; number < letters_each; ++number)
        {
            numbered& letter = letters[me * letters_each + number];
            letter.producer = me;
            letter.number = number;
            if (box.push(&letter))
            {
                wakes.fetch_add(1, std::memory_order_relaxed);
                sleeping_place.release();
            }
        }
    };
    std::size_t received = 0;
    std::size_t out_of_order = 0;
    std::size_t sleeps = 0;
    {
        std::vector<std::jthread> threads;
        for (std::size_t me = 0; me < producers; ++me)
        {
            threads.emplace_back(produce, me);
        }
        std::array<std::size_t, producers> next_number{};
        start.arrive_and_wait();
        while (received < producers * letters_each)
        {
            for (runnable* item = box.take_all(); item != nullptr; item = item->next)
            {
                const auto* letter = static_cast<numbered*>(item);
                out_of_order += letter->number != next_number[letter->producer] ? 1 : 0;
                ++next_number[letter->producer];
                ++received;
            }
            if (received < producers * letters_each && box.try_mark_inactive())
            {
                ++sleeps;
                sleeping_place.acquire();
                CHECK_FALSE(box.mark_active());
            }
        }
    }
    CHECK(received == producers * letters_each);
    CHECK(out_of_order == 0);
    CHECK(wakes.load() == sleeps);
}
