// The idle set: the counts, whom it chooses, and a run with real threads that sleep.
#include <blitzio/io/detail/idle_set.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <latch>
#include <optional>
#include <semaphore>
#include <thread>
#include <vector>

namespace
{

using blitzio::detail::idle_set;

} // namespace

TEST_CASE("nobody is woken while all are awake", "[idle_set]")
{
    idle_set<> idle(3);
    CHECK(idle.unparked() == 3);
    CHECK(idle.searching() == 0);
    CHECK_FALSE(idle.should_wake());
    CHECK(idle.worker_to_notify() == std::nullopt);
}

TEST_CASE("one sleeper is chosen, and counts as searching", "[idle_set]")
{
    idle_set<> idle(3);
    // Nobody searches, so each of them has to look at the queues once more.
    CHECK(idle.transition_to_parked(2, false));
    CHECK(idle.transition_to_parked(1, false));
    CHECK(idle.is_parked(1));
    CHECK(idle.should_wake());
    CHECK(idle.worker_to_notify() == 1U);
    CHECK(idle.searching() == 1);
    CHECK(idle.unparked() == 2);
    // It searches, so there is no need for another one.
    CHECK_FALSE(idle.should_wake());
    CHECK(idle.worker_to_notify() == std::nullopt);
    CHECK_FALSE(idle.is_parked(1));
    CHECK(idle.transition_from_parked(1));
    // It found something: who comes next is its business.
    CHECK(idle.transition_from_searching());
    CHECK(idle.worker_to_notify() == 2U);
}

TEST_CASE("at most half of the workers search", "[idle_set]")
{
    idle_set<> idle(4);
    CHECK(idle.transition_worker_to_searching());
    CHECK(idle.transition_worker_to_searching());
    CHECK_FALSE(idle.transition_worker_to_searching());
    CHECK_FALSE(idle.transition_from_searching());
    CHECK(idle.transition_worker_to_searching());
    // The others are still searching, so the first to park need not look again.
    CHECK_FALSE(idle.transition_to_parked(0, true));
    CHECK(idle.transition_to_parked(1, true));

    idle_set<> single(1);
    CHECK(single.transition_worker_to_searching());
    CHECK_FALSE(single.transition_worker_to_searching());
}

TEST_CASE("a worker that wakes by itself is not searching", "[idle_set]")
{
    idle_set<> idle(2);
    CHECK(idle.transition_to_parked(0, false));
    CHECK_FALSE(idle.transition_from_parked(0));
    CHECK(idle.unparked() == 2);
    CHECK(idle.searching() == 0);
    CHECK(idle.worker_to_notify() == std::nullopt);
    CHECK_FALSE(idle.unpark_if_parked(0));

    CHECK(idle.transition_to_parked(0, false));
    CHECK(idle.unpark_if_parked(0));
    CHECK_FALSE(idle.is_parked(0));
    CHECK(idle.unparked() == 2);
}

TEST_CASE("workers beyond one word of bits are chosen too", "[idle_set]")
{
    idle_set<> idle(200);
    CHECK(idle.transition_to_parked(199, false));
    CHECK(idle.transition_to_parked(64, false));
    CHECK(idle.worker_to_notify() == 64U);
    CHECK(idle.transition_from_searching());
    CHECK(idle.worker_to_notify() == 199U);
    CHECK(idle.unparked() == 200);
}

TEST_CASE("no work is left while workers sleep", "[idle_set][stress]")
{
    constexpr std::uint32_t workers = 3;
    constexpr std::size_t producers = 2;
    constexpr std::uint32_t work_each = 100'000;
    idle_set<> idle(workers);
    std::array<std::counting_semaphore<>, workers> places{
        std::counting_semaphore<>{0}, std::counting_semaphore<>{0}, std::counting_semaphore<>{0}};
    std::atomic<std::uint32_t> waiting_work{0};
    std::atomic<std::uint32_t> done{0};

    const auto notify = [&] {
        if (const auto chosen = idle.worker_to_notify())
        {
            places[*chosen].release();
        }
    };
    const auto take = [&] {
        std::uint32_t seen = waiting_work.load(std::memory_order_relaxed);
        while (seen != 0)
        {
            if (waiting_work.compare_exchange_weak(seen, seen - 1, std::memory_order_relaxed))
            {
                return true;
            }
        }
        return false;
    };
    const auto finish_one = [&] {
        if (done.fetch_add(1) + 1 == producers * work_each)
        {
            for (auto& place : places)
            {
                place.release();
            }
        }
    };
    std::latch start(workers + producers);
    const auto work = [&](std::uint32_t me) {
        start.arrive_and_wait();
        bool searching = false;
        while (done.load() < producers * work_each)
        {
            searching = searching || idle.transition_worker_to_searching();
            if (searching && take())
            {
                if (idle.transition_from_searching())
                {
                    notify();
                }
                searching = false;
                finish_one();
                continue;
            }
            if (idle.transition_to_parked(me, searching) &&
                waiting_work.load(std::memory_order_relaxed) != 0)
            {
                notify();
            }
            places[me].acquire();
            searching = idle.transition_from_parked(me);
        }
        if (searching)
        {
            static_cast<void>(idle.transition_from_searching());
        }
    };
    {
        std::vector<std::jthread> threads;
        for (std::uint32_t me = 0; me < workers; ++me)
        {
            threads.emplace_back(work, me);
        }
        for (std::size_t producer = 0; producer < producers; ++producer)
        {
            threads.emplace_back([&] {
                start.arrive_and_wait();
                for (std::uint32_t count = 0; count < work_each; ++count)
                {
                    waiting_work.fetch_add(1, std::memory_order_relaxed);
                    notify();
                }
            });
        }
    }
    CHECK(done.load() == producers * work_each);
    CHECK(waiting_work.load() == 0);
    CHECK(idle.searching() == 0);
    CHECK(idle.unparked() == workers);
}
