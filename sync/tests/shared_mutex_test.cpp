// shared_mutex and shared_guarded<T>. Thread rule: as the tests say.
#include "support.hpp"

#include <blitzio/io/race.hpp>
#include <blitzio/io/timeout.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/sync/shared_mutex.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

using namespace blitzio;
using namespace sync_tests;
using namespace std::chrono_literals;

// Tokio's sync_rwlock: read_uncontested, write_uncontested, try_write, try_read_try_write.
TEST_CASE("a shared mutex lets readers in together and a writer alone")
{
    auto rt = threaded(1);
    sync::shared_mutex lock;
    {
        auto first = rt.block_on(lock.lock_shared());
        auto second = lock.try_lock_shared();
        REQUIRE(first.has_value());
        REQUIRE(second.has_value());
        REQUIRE_FALSE(lock.try_lock().has_value());
        first->unlock();
        first->unlock();
        REQUIRE_FALSE(lock.try_lock().has_value());
        auto moved = *std::move(second);
        REQUIRE_FALSE(second->owns_lock());
        REQUIRE_FALSE(lock.try_lock().has_value());
    }
    auto writer = rt.block_on(lock.lock());
    REQUIRE(writer->owns_lock());
    REQUIRE_FALSE(lock.try_lock().has_value());
    REQUIRE_FALSE(lock.try_lock_shared().has_value());
    *writer = sync::shared_mutex::guard(); // assignment gives it back
    REQUIRE(lock.try_lock_shared().has_value());
}

namespace
{

/// What has gone in, in order.
struct entries
{
    sync::shared_mutex lock;
    std::string log;
};

task<void> read(entries& shared, char name, std::size_t turns)
{
    auto held = co_await shared.lock.lock_shared();
    shared.log += held ? name : '-';
    co_await yield_times(turns);
}

task<void> write(entries& shared, char name, std::size_t turns)
{
    auto held = co_await shared.lock.lock();
    shared.log += held ? name : '-';
    co_await yield_times(turns);
}

} // namespace

// Tokio's sync_rwlock: write_order, write_read_shared_pending. Go's rwmutex_test: TestRLocker.
TEST_CASE("a waiting writer keeps later readers out, and everybody is served in order")
{
    auto rt = threaded(1);
    entries shared;
    rt.block_on([&]() -> task<void> {
        auto reading = co_await shared.lock.lock_shared();
        auto w = rt.spawn([&] { return write(shared, 'W', 2); });
        co_await yield_times(3);
        auto a = rt.spawn([&] { return read(shared, 'a', 4); });
        auto b = rt.spawn([&] { return read(shared, 'b', 4); });
        co_await yield_times(3);
        auto x = rt.spawn([&] { return write(shared, 'X', 0); });
        co_await yield_times(3);
        auto c = rt.spawn([&] { return read(shared, 'c', 0); });
        co_await yield_times(3);
        CHECK(shared.log.empty());
        CHECK_FALSE(shared.lock.try_lock_shared().has_value()); // the writer is before
        reading->unlock();
        co_await std::move(w);
        co_await std::move(a);
        co_await std::move(b);
        co_await std::move(x);
        co_await std::move(c);
    });
    std::ranges::sort(shared.log.begin() + 1, shared.log.begin() + 3);
    REQUIRE(shared.log == "WabXc");
}

TEST_CASE("readers go on when the writer before them gives up")
{
    auto rt = threaded(1);
    entries shared;
    rt.block_on([&]() -> task<void> {
        auto reading = co_await shared.lock.lock_shared();
        auto writer = rt.spawn([&] { return write(shared, 'W', 0); });
        co_await yield_times(3);
        auto reader = rt.spawn([&] { return read(shared, 'a', 0); });
        co_await yield_times(3);
        CHECK(shared.log.empty());
        writer.request_stop();
        co_await std::move(reader); // while `reading` still holds
        co_await std::move(writer);
        CHECK(reading->owns_lock());
    });
    std::ranges::sort(shared.log);
    REQUIRE(shared.log == "-a");
}

// Tokio's RwLockWriteGuard::downgrade.
TEST_CASE("a writer that becomes a reader lets waiting readers in and no writer")
{
    auto rt = threaded(1);
    entries shared;
    rt.block_on([&]() -> task<void> {
        auto writing = co_await shared.lock.lock();
        auto reader = rt.spawn([&] { return read(shared, 'a', 0); });
        co_await yield_times(3);
        auto writer = rt.spawn([&] { return write(shared, 'W', 0); });
        co_await yield_times(3);
        auto reading = writing->downgrade();
        CHECK_FALSE(writing->owns_lock());
        co_await std::move(reader);
        co_await yield_times(3);
        CHECK(shared.log == "a");
        reading.unlock();
        co_await std::move(writer);
    });
    REQUIRE(shared.log == "aW");
}

TEST_CASE("one who waits for a shared mutex may be cancelled at every step")
{
    unsigned locked = 0;
    unsigned cancelled = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed);
        sync::shared_mutex lock;
        int readers = 0;
        int writers = 0;
        unsigned entered = 0;
        bool mixed = false;
        const auto enter = [&](bool shared) -> task<bool> {
            const auto inside = [&](int& count) -> task<void> {
                ++count;
                ++entered;
                mixed |= writers > 1 || (writers == 1 && readers > 0);
                co_await yield_times(3);
                --count;
            };
            if (shared)
            {
                auto held = co_await lock.lock_shared();
                if (held)
                {
                    co_await inside(readers);
                }
                co_return held.has_value();
            }
            auto held = co_await lock.lock();
            if (held)
            {
                co_await inside(writers);
            }
            co_return held.has_value();
        };
        auto first = rt.spawn([&] { return enter(seed % 2 == 0); });
        auto victim = rt.spawn([&] { return enter(seed % 3 == 0); });
        auto second = rt.spawn([&] { return enter(true); });
        auto last = rt.spawn([&] { return enter(false); });
        static_cast<void>(rt.spawn([&, steps = seed % 12]() -> task<void> {
            co_await yield_times(steps);
            victim.request_stop();
        }));
        rt.run();
        const bool got = rt.block_on(std::move(victim));
        (got ? locked : cancelled)++;
        CAPTURE(seed);
        REQUIRE(rt.block_on(std::move(first)));
        REQUIRE(rt.block_on(std::move(second)));
        REQUIRE(rt.block_on(std::move(last)));
        REQUIRE(entered == (got ? 4u : 3u));
        REQUIRE_FALSE(mixed);
        REQUIRE(lock.try_lock().has_value());
    }
    REQUIRE(locked > 0);
    REQUIRE(cancelled > 0);
}

TEST_CASE("a shared mutex handed over before the stop request is delivered")
{
    auto rt = threaded(1);
    const unsigned delivered = rt.block_on([&]() -> task<unsigned> {
        sync::shared_mutex lock;
        auto held = lock.try_lock();
        unsigned got = 0;
        const auto wait = [&]() -> task<void> {
            auto mine = co_await lock.lock_shared();
            got += mine.has_value() ? 1 : 0;
        };
        auto first = rt.spawn(wait);
        auto second = rt.spawn(wait);
        co_await yield_times(4);
        held->unlock(); // the one worker is in here: nobody runs before the requests
        first.request_stop();
        second.request_stop();
        co_await std::move(first);
        co_await std::move(second);
        co_return got;
    });
    REQUIRE(delivered == 2);
}

// Go's rwmutex_test: TestRWMutex (HammerRWMutex). Tokio's sync_rwlock: multithreaded.
TEST_CASE("a shared mutex keeps readers and writers apart on real threads")
{
    for (const unsigned workers : {1u, 4u})
    {
        sync::shared_guarded<std::uint64_t> value(0u);
        std::atomic<std::uint64_t> written{0};
        std::atomic<std::int64_t> activity{0}; // readers, or 10'000 for a writer
        std::atomic<bool> mixed{false};
        {
            auto rt = threaded(workers);
            for (unsigned id = 0; id < 12; ++id)
            {
                static_cast<void>(rt.spawn([&, id]() -> task<void> {
                    for (unsigned round = 0; round < 4000; ++round)
                    {
                        if ((id + round) % 4 == 0)
                        {
                            auto outcome = co_await race(value.lock(), turns(round % 7));
                            if (outcome.index() == 0 && std::get<0>(outcome).has_value())
                            {
                                mixed = mixed || activity.fetch_add(10'000) != 0;
                                ++**std::get<0>(outcome);
                                written.fetch_add(1);
                                activity.fetch_sub(10'000);
                            }
                        }
                        else
                        {
                            auto access = co_await value.lock_shared();
                            mixed = mixed || activity.fetch_add(1) >= 10'000;
                            if (round % 16 == 0)
                            {
                                co_await yield();
                            }
                            activity.fetch_sub(1);
                        }
                    }
                }));
            }
            rt.run();
        }
        CAPTURE(workers);
        REQUIRE_FALSE(mixed.load());
        REQUIRE(written > 0);
        REQUIRE(**value.try_lock_shared() == written);
    }
}

TEST_CASE("shared_guarded gives its value only with the lock")
{
    auto rt = simulated(3);
    sync::shared_guarded<std::string> text("one");
    rt.block_on([&]() -> task<void> {
        {
            auto writing = co_await text.lock();
            **writing += " two";
            auto late = co_await timeout(5ms, text.lock_shared());
            CHECK(late.error() == std::errc::timed_out);
            writing->unlock();
            auto both = co_await when_all(text.lock_shared(), text.lock_shared());
            CHECK((*std::get<0>(both))->size() == 7);
            CHECK(**std::get<1>(both) == "one two");
            CHECK_FALSE(text.try_lock().has_value());
        }
        CHECK(text.try_lock().has_value());
    });
    static_assert(std::is_same_v<decltype(**text.try_lock_shared()), const std::string&>);
}
