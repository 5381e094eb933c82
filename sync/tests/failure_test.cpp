// What these types do without memory, with handles that are assigned to, and what their errors say.
// Thread rule: as the tests say.
#include "support.hpp"

#include <blitzio/io/sleep.hpp>
#include <blitzio/io/timeout.hpp>
#include <blitzio/sync/broadcast.hpp>
#include <blitzio/sync/channel.hpp>
#include <blitzio/sync/condition_variable.hpp>
#include <blitzio/sync/mutex.hpp>
#include <blitzio/sync/once_cell.hpp>
#include <blitzio/sync/oneshot.hpp>
#include <blitzio/sync/semaphore.hpp>
#include <blitzio/sync/shared_mutex.hpp>
#include <blitzio/sync/watch.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <atomic>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>

using namespace blitzio;
using namespace sync_tests;
using namespace std::chrono_literals;

namespace
{

/// Larger than any frame of the pool, so that each of them is an allocation.
constexpr std::size_t large_bytes = 64 * 1024;

struct large
{
    explicit large(int given) : name(std::make_unique<int>(given)) {}
    large(const large& other) : name(std::make_unique<int>(*other.name)) {}
    large(large&&) noexcept = default;
    large& operator=(large&&) noexcept = default;

    std::unique_ptr<int> name;
    std::array<char, large_bytes> room{};
};

} // namespace

TEST_CASE("a send for which there is no memory keeps the value, and the next one works")
{
    if (!counts_allocations)
    {
        SKIP("allocations cannot fail here");
    }
    auto rt = threaded(1);
    auto [growing, reader] = sync::unbounded_channel<large>();
    auto [caster, listener] = sync::broadcast<large>(4);
    auto [setter, watcher] = sync::watch<large>(large(0));
    large value(7);
    {
        const memory_shortage none(large_bytes);
        CHECK(growing.send(std::move(value)).error() == std::errc::not_enough_memory);
        REQUIRE(value.name != nullptr);
        CHECK(caster.send(std::move(value)).error() == std::errc::not_enough_memory);
        REQUIRE(value.name != nullptr);
        CHECK(setter.send(std::move(value)).error() == std::errc::not_enough_memory);
        REQUIRE(value.name != nullptr);
        CHECK_THROWS_AS(setter.modify([](large&) {}), std::bad_alloc);
    }
    CHECK(*setter.borrow()->name == 0);
    CHECK(growing.send(large(*value.name)).has_value());
    CHECK(caster.send(large(*value.name)) == 1u);
    CHECK(setter.send(std::move(value)).has_value());
    CHECK(*rt.block_on(reader.receive())->name == 7);
    CHECK(*rt.block_on(listener.receive())->name == 7);
    CHECK(*setter.borrow()->name == 7);
}

TEST_CASE("a once_cell without memory for its initialiser stays empty")
{
    if (!counts_allocations)
    {
        SKIP("allocations cannot fail here");
    }
    auto rt = threaded(1);
    sync::once_cell<int> cell;
    const std::array<char, large_bytes> ballast{};
    const auto initialiser = [ballast]() -> task<int> { co_return 5 + ballast[0]; };
    const auto asks = [&]() -> task<bool> {
        const memory_shortage none(large_bytes);
        try
        {
            static_cast<void>(co_await cell.get_or_init(initialiser));
            co_return false;
        }
        catch (const std::bad_alloc&)
        {
            co_return true;
        }
    };
    CHECK(rt.block_on(asks()));
    CHECK(cell.get() == nullptr);
    const auto made = rt.block_on(cell.get_or_init([]() -> task<int> { co_return 6; }));
    REQUIRE(made.has_value());
    CHECK(**made == 6);
}

TEST_CASE("a permit and a guard that are assigned to give back what they had")
{
    auto rt = threaded(1);
    sync::semaphore slots(5);
    auto two = rt.block_on(slots.acquire(2)).value();
    auto one = slots.try_acquire(1).value();
    CHECK(slots.available() == 2);
    two = std::move(one);
    CHECK(two.count() == 1);
    CHECK(slots.available() == 4);
    auto& same = two;
    two = std::move(same);
    CHECK(two.count() == 1);
    two = {};
    CHECK(slots.available() == 5);

    sync::shared_mutex first;
    sync::shared_mutex second;
    auto reading = rt.block_on(first.lock_shared()).value();
    auto other = rt.block_on(second.lock_shared()).value();
    CHECK_FALSE(first.try_lock().has_value());
    reading = std::move(other);
    CHECK(first.try_lock().has_value());
    CHECK_FALSE(second.try_lock().has_value());
    auto& itself = reading;
    reading = std::move(itself);
    CHECK_FALSE(second.try_lock().has_value());
    auto writing = first.try_lock().value();
    reading = {};
    CHECK(second.try_lock().has_value());
    writing = second.try_lock().value();
    CHECK(first.try_lock().has_value());
    CHECK_FALSE(second.try_lock_shared().has_value());
}

TEST_CASE("an oneshot's value comes back when the receiver leaves while it is sent")
{
    // The window between the look at the receiver and the hand-over is a few instructions.
    std::size_t returned = 0;
    for (int round = 0; round < 20'000; ++round)
    {
        auto [sender, receiver] = sync::oneshot<tracked>();
        std::atomic<bool> go{false};
        auto leaving = std::make_unique<decltype(receiver)>(std::move(receiver));
        std::thread other;
        if (round % 200 == 0)
        {
            other = std::thread([&] {
                while (!go.load())
                {
                }
                leaving.reset();
            });
        }
        else
        {
            leaving.reset();
        }
        tracked value(static_cast<std::uint64_t>(round));
        go.store(true);
        const auto sent = std::move(sender).send(std::move(value));
        if (!sent)
        {
            CHECK(sent.error() == io_errc::closed);
            CHECK(value.has_value());
            ++returned;
        }
        if (other.joinable())
        {
            other.join();
        }
    }
    CHECK(returned >= 19'900);
    CHECK(tracked::live() == 0);
}

TEST_CASE("a wait of a condition variable that is stopped before it begins keeps the mutex")
{
    for (std::uint64_t seed = 1; seed <= 50; ++seed)
    {
        auto rt = simulated(seed);
        sync::mutex lock;
        sync::condition_variable changed;
        const auto body = [&]() -> task<void> {
            auto held = (co_await lock.lock()).value();
            const auto waited = co_await timeout(1ms, changed.wait(held));
            CHECK(waited.error() == std::errc::timed_out);
            CHECK(held.owns_lock());
            CHECK_FALSE(lock.try_lock().has_value());
        };
        rt.block_on(body());
        // Stopped already: not even a queue is entered.
        const auto stopped = [&]() -> task<void> {
            auto held = lock.try_lock().value();
            const auto waited = co_await changed.wait(held);
            CHECK(is_cancelled(waited.error()));
            CHECK(held.owns_lock());
            CHECK_FALSE(lock.try_lock().has_value());
        };
        auto handle = rt.spawn(stopped());
        handle.request_stop();
        const auto join = [&]() -> task<void> { co_await std::move(handle); };
        rt.block_on(join());
        CHECK(lock.try_lock().has_value());
    }
}

TEST_CASE("a lagging receiver is told how much it missed, in words as well")
{
    auto rt = threaded(1);
    auto [sender, receiver] = sync::broadcast<int>(2);
    for (int value = 0; value < 5; ++value)
    {
        REQUIRE(sender.send(value).has_value());
    }
    const auto received = rt.block_on(receiver.receive());
    REQUIRE_FALSE(received.has_value());
    CHECK(sync::missed_values(received.error()) == 3);
    CHECK(received.error().message() == "the receiver lagged behind and missed 3 values");
    CHECK(std::string(received.error().category().name()) == "blitzio.lagged");
    CHECK(std::error_code(1, received.error().category()).message() ==
          "the receiver lagged behind and missed 1 value");
    CHECK(sync::missed_values(std::make_error_code(std::errc::io_error)) == 0);
}

TEST_CASE("modify of a watch is repeated when somebody was faster")
{
    auto [sender, receiver] = sync::watch<int>(1);
    int calls = 0;
    const auto change = [&](int& value) {
        if (++calls == 1)
        {
            CHECK(sender.send(10).has_value());
        }
        value += 5;
    };
    CHECK(sender.modify(change).has_value());
    CHECK(calls == 2);
    CHECK(*sender.borrow() == 15);
    CHECK_THROWS_AS(sender.modify([](int&) { throw std::logic_error("on purpose"); }),
                    std::logic_error);
    CHECK(*sender.borrow() == 15);
    sender.close();
    const auto refused = sender.modify([](int& value) { ++value; });
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error() == io_errc::closed);
    CHECK(*receiver.borrow() == 15);
}
