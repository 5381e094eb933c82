// Channels between other threads and a runtime that runs in a loop of the program's own.
#include <blitzio/io/runtime.hpp>
#include <blitzio/sync/channel.hpp>

#include <catch2/catch_test_macros.hpp>

#include <thread>

#include <poll.h>

using namespace blitzio;

TEST_CASE("what other threads send wakes an embedded runtime", "[channel][embed]")
{
    runtime inner({.strategy = scheduling_strategy::single_threaded});
    auto [sender, receiver] = sync::channel<int>(4);
    constexpr int values = 5'000;
    long sum = 0;
    bool ended = false;
    static_cast<void>(inner.spawn([&, from = std::move(receiver)]() mutable -> task<void> {
        while (auto value = co_await from.receive())
        {
            sum += *value;
        }
        ended = true;
    }));
    std::thread other([to = std::move(sender)]() mutable {
        for (int value = 1; value <= values; ++value)
        {
            while (!to.try_send(value))
            {
                std::this_thread::yield();
            }
        }
        auto closes = std::move(to);
    });
    pollfd waits{inner.fd(), POLLIN, 0};
    bool called = true;
    while (!ended && called)
    {
        called = ::poll(&waits, 1, 20'000) == 1;
        inner.run_ready();
    }
    other.join();
    REQUIRE(ended);
    CHECK(sum == long{values} * (values + 1) / 2);
}
