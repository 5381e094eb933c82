// Pools, shelves and leases: sizes, limits, counters, and who frees what.
// Thread rule: the test's thread and those it starts.
#include "memory/buffer_pool.hpp"
#include "memory/buffer_shelf.hpp"
#include "memory/worker_buffers.hpp"

#include <blitzio/io/buffer_pool.hpp>
#include <blitzio/io/lease_buffer.hpp>
#include <blitzio/io/runtime.hpp>
#include <blitzio/io/task.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

using namespace blitzio;
using detail::buffer_shelf;

namespace
{

leased_buffer lease_of(buffer_pool& pool, std::size_t bytes)
{
    auto lent = pool.lease(bytes);
    REQUIRE(lent.has_value());
    return *std::move(lent);
}

/// Ends with the test, whatever is still out.
struct shelf_owner
{
    explicit shelf_owner(std::size_t bytes, unsigned count)
        : shelf(*buffer_shelf::create(bytes, count))
    {
        shelf.adopt();
    }

    ~shelf_owner()
    {
        shelf.end();
    }

    shelf_owner(const shelf_owner&) = delete;
    shelf_owner& operator=(const shelf_owner&) = delete;

    std::optional<leased_buffer> lease()
    {
        const auto slot = shelf.take();
        if (!slot)
        {
            return std::nullopt;
        }
        return leased_buffer(shelf.lend(*slot), shelf.buffer_bytes());
    }

    buffer_shelf& shelf;
};

} // namespace

TEST_CASE("a lease has at least what was asked for, of the smallest size that fits", "[buffer]")
{
    buffer_pool pool;
    const std::pair<std::size_t, std::size_t> sizes[] = {
        {1, 1024},      {1024, 1024},   {1025, 4096},       {4096, 4096},
        {16384, 16384}, {16385, 65536}, {200'000, 262'144}, {1 << 20, 1 << 20}};
    for (const auto& [asked, capacity] : sizes)
    {
        INFO(asked);
        auto lent = lease_of(pool, asked);
        CHECK(static_cast<bool>(lent));
        CHECK(lent.capacity() == capacity);
        CHECK(lent.size() == 0);
        CHECK(lent.empty());
        std::memset(lent.room().data(), 0x5a, lent.room().size());
        lent.resize(asked);
        CHECK(lent.size() == asked);
        CHECK(lent.bytes().size() == asked);
        lent.resize(capacity + 1);
        CHECK(lent.size() == capacity);
    }
    CHECK(pool.metrics().buffers_leased == 0);
    CHECK(pool.lease(0).error() == std::errc::invalid_argument);
    CHECK(pool.lease((1 << 20) + 1).error() == std::errc::invalid_argument);
}

TEST_CASE("a lease moves, ends once, and the last one back is the next one out", "[buffer]")
{
    buffer_pool pool;
    auto first = lease_of(pool, 4096);
    const void* const place = first.room().data();
    leased_buffer second(std::move(first));
    CHECK_FALSE(static_cast<bool>(first));
    CHECK(first.room().empty());
    CHECK(pool.metrics().buffers_leased == 1);
    auto other = lease_of(pool, 4096);
    CHECK(other.room().data() != place);
    other = std::move(second); // gives back what it had
    CHECK(pool.metrics().buffers_leased == 1);
    CHECK(other.room().data() == place);
    other.release();
    other.release();
    CHECK(pool.metrics().buffers_leased == 0);
    CHECK(lease_of(pool, 4096).room().data() == place);
}

TEST_CASE("a pool takes memory when it is needed, up to its limit, and counts", "[buffer]")
{
    buffer_pool pool({.bytes_max = 1 << 20});
    CHECK(pool.metrics().bytes_reserved == 0);
    std::vector<leased_buffer> all;
    std::set<const void*> places;
    for (;;)
    {
        auto lent = pool.lease(64 * 1024);
        if (!lent)
        {
            CHECK(lent.error() == io_errc::limit_reached);
            break;
        }
        places.insert(lent->room().data());
        all.push_back(*std::move(lent));
        REQUIRE(all.size() <= 16);
    }
    CHECK(all.size() == 16);
    CHECK(places.size() == 16);
    auto now = pool.metrics();
    CHECK(now.bytes_reserved == 1 << 20);
    CHECK(now.bytes_leased == 1 << 20);
    CHECK(now.buffers_leased == 16);
    CHECK(now.leases == 16);
    CHECK(now.refusals == 1);
    all.pop_back();
    CHECK(pool.lease(64 * 1024).has_value());
    // The memory of one size is not that of another.
    CHECK(pool.lease(1024).error() == io_errc::limit_reached);
    all.clear();
    now = pool.metrics();
    CHECK(now.bytes_leased == 0);
    CHECK(now.bytes_leased_peak == 1 << 20);
    CHECK(now.bytes_reserved == 1 << 20);
}

TEST_CASE("a limit below a slab is used as far as it goes", "[buffer]")
{
    buffer_pool pool({.bytes_max = 10'000});
    auto first = lease_of(pool, 4096);
    auto second = lease_of(pool, 4096);
    CHECK(pool.lease(4096).error() == io_errc::limit_reached);
    CHECK(pool.metrics().bytes_reserved == 8192);
}

TEST_CASE("leases outlive their pool", "[buffer]")
{
    auto pool = std::make_unique<buffer_pool>();
    auto first = lease_of(*pool, 4096);
    auto second = lease_of(*pool, 1024);
    pool.reset();
    std::memset(first.room().data(), 1, first.capacity());
    std::memset(second.room().data(), 1, second.capacity());
    first.release();
    second.room()[0] = std::byte{2};
}

TEST_CASE("threads share a pool", "[buffer]")
{
    buffer_pool pool({.bytes_max = 4 << 20});
    std::vector<std::thread> threads;
    std::atomic<int> mixed_up{0};
    for (int number = 1; number <= 4; ++number)
    {
        threads.emplace_back([&, number] {
            for (int round = 0; round < 2000; ++round)
            {
                auto lent = pool.lease(std::size_t{512} << (round % 8));
                if (!lent)
                {
                    continue;
                }
                const auto room = lent->room();
                room.front() = room.back() = static_cast<std::byte>(number);
                if (round % 64 == 0)
                {
                    std::this_thread::yield();
                }
                mixed_up += room.front() != static_cast<std::byte>(number) ||
                            room.back() != static_cast<std::byte>(number);
            }
        });
    }
    for (auto& each : threads)
    {
        each.join();
    }
    CHECK(mixed_up == 0);
    CHECK(pool.metrics().buffers_leased == 0);
    CHECK(pool.metrics().bytes_leased == 0);
}

TEST_CASE("a shelf lends as many as it has, and uses no more than are out", "[buffer]")
{
    shelf_owner owner(4096, 16);
    for (int round = 0; round < 100; ++round)
    {
        auto one = owner.lease();
        auto two = owner.lease();
        REQUIRE((one && two));
        CHECK(one->room().data() != two->room().data());
    }
    CHECK(owner.shelf.used() == 2);
    std::vector<leased_buffer> all;
    while (auto lent = owner.lease())
    {
        std::memset(lent->room().data(), 0x77, lent->capacity());
        all.push_back(*std::move(lent));
    }
    CHECK(all.size() == 16);
    CHECK(owner.shelf.out() == 16);
    all.pop_back();
    CHECK(owner.lease().has_value());
}

TEST_CASE("what other threads give back to a shelf is lent again", "[buffer]")
{
    shelf_owner owner(512, 16);
    std::atomic<int> mixed_up{0};
    for (int round = 0; round < 200; ++round)
    {
        std::vector<leased_buffer> all;
        while (auto lent = owner.lease())
        {
            lent->bytes().front() = static_cast<std::byte>(all.size());
            all.push_back(*std::move(lent));
        }
        REQUIRE(all.size() == 16);
        std::thread other(
            [&, half = std::vector<leased_buffer>(std::make_move_iterator(all.begin() + 8),
                                                  std::make_move_iterator(all.end()))]() mutable {
                for (std::size_t index = 0; index < half.size(); ++index)
                {
                    mixed_up += half[index].bytes().front() != static_cast<std::byte>(index + 8);
                }
            });
        all.clear();
        other.join();
    }
    CHECK(mixed_up == 0);
    owner.shelf.collect();
    CHECK(owner.shelf.out() == 0);
}

TEST_CASE("a shelf ends while other threads hold its buffers", "[buffer]")
{
    for (int round = 0; round < 300; ++round)
    {
        auto owner = std::make_unique<shelf_owner>(1024, 8);
        std::vector<std::thread> threads;
        std::atomic<bool> go{false};
        for (int number = 0; number < 3; ++number)
        {
            threads.emplace_back([&go, first = owner->lease(), second = owner->lease()]() mutable {
                while (!go.load())
                {
                }
                first->bytes().front() = std::byte{1};
                first.reset();
                second->bytes().back() = std::byte{1};
                second.reset();
            });
        }
        go.store(true);
        owner.reset();
        for (auto& each : threads)
        {
            each.join();
        }
    }
}

TEST_CASE("a task leases from its runtime's pool, and the lease outlives the runtime", "[buffer]")
{
    leased_buffer kept;
    {
        runtime_config config;
        config.io_threads = 1;
        config.buffer_pool_bytes_max = 64 * 1024;
        runtime own(config);
        own.block_on([&kept]() -> task<void> {
            auto lent = co_await lease_buffer(10'000);
            CHECK(lent.has_value());
            kept = *std::move(lent);
            std::vector<leased_buffer> all;
            std::error_code refused;
            for (int count = 0; count < 100 && !refused; ++count)
            {
                auto more = co_await lease_buffer(16 * 1024);
                if (more)
                {
                    all.push_back(*std::move(more));
                }
                else
                {
                    refused = more.error();
                }
            }
            CHECK(all.size() == 3);
            CHECK(refused == io_errc::limit_reached);
        });
    }
    CHECK(kept.capacity() == 16 * 1024);
    std::memset(kept.room().data(), 3, kept.capacity());
}
