// Giving way: to whom, and what it costs a task that is alone.
#include <blitzio/io.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using blitzio::task;

TEST_CASE("tasks of one worker that give way take turns", "[yield]")
{
    blitzio::runtime runtime({.io_threads = 1});
    std::vector<int> order;
    runtime.block_on([&]() -> task<void> {
        co_await blitzio::scope([&](blitzio::task_group& group) -> task<void> {
            for (int number = 0; number < 3; ++number)
            {
                group.spawn([&order, number]() -> task<void> {
                    for (int round = 0; round < 100; ++round)
                    {
                        order.push_back(number);
                        co_await blitzio::yield();
                    }
                });
            }
            co_return;
        });
    });
    REQUIRE(order.size() == 300);
    int out_of_turn = 0;
    for (std::size_t index = 3; index < order.size(); ++index)
    {
        out_of_turn += order[index] == order[index - 3] ? 0 : 1;
    }
    // A look around may bring somebody forward, not more.
    CHECK(out_of_turn <= 30);
}

TEST_CASE("a task that is alone and gives way hears of what comes from elsewhere", "[yield]")
{
    for (const unsigned workers : {1u, 2u})
    {
        blitzio::runtime runtime({.io_threads = workers});
        // By a timer, by an injected task, by a message to the worker.
        std::atomic<bool> injected{false};
        std::jthread other([&] {
            std::this_thread::sleep_for(20ms);
            runtime.block_on([&]() -> task<void> {
                injected = true;
                co_return;
            });
        });
        runtime.block_on([&]() -> task<void> {
            auto slept = runtime.spawn(
                []() -> task<bool> { co_return (co_await blitzio::sleep_for(5ms)).has_value(); });
            while (!slept.finished())
            {
                co_await blitzio::yield();
            }
            const bool in_time = co_await std::move(slept);
            CHECK(in_time);
            while (!injected)
            {
                co_await blitzio::yield();
            }
            auto blocking = runtime.spawn([]() -> task<int> {
                co_return (co_await blitzio::spawn_blocking([] { return 7; })).value();
            });
            while (!blocking.finished())
            {
                co_await blitzio::yield();
            }
            const int answer = co_await std::move(blocking);
            CHECK(answer == 7);
        });
    }
}
