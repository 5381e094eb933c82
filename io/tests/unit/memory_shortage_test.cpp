// Without memory: what was promised to go on does, the rest says so, and works again later.
// Thread rule: the test's thread.
#include "cgroup_quota.hpp"
#include "driver/posix_ops.hpp"
#include "memory/buffer_shelf.hpp"
#include "scheduler/growing_queue.hpp"
#include "support/allocation_counter.hpp"
#include "support/raw_operations.hpp"
#include "unit/epoll_harness.hpp"

#include <blitzio/io.hpp>
#include <blitzio/io/detail/frame_pool.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <new>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

using namespace std::chrono_literals;
using blitzio::task;
using blitzio::test::counts_allocations;
using blitzio::test::memory_shortage;
using namespace blitzio::detail;

namespace
{

void skip_unless_memory_can_lack()
{
    if (!counts_allocations)
    {
        SKIP("allocations cannot fail here");
    }
}

} // namespace

TEST_CASE("a growing queue without memory keeps what it has", "[shortage]")
{
    skip_unless_memory_can_lack();
    std::vector<runnable> items(1000);
    growing_queue queue;
    std::size_t taken = 0;
    {
        const memory_shortage none(2048);
        while (taken < items.size() && queue.push(items[taken]))
        {
            ++taken;
        }
    }
    CHECK(taken == 256);
    REQUIRE(queue.push(items[taken]));
    for (std::size_t index = 0; index <= taken; ++index)
    {
        CHECK(queue.pop() == &items[index]);
    }
    CHECK(queue.empty());
}

TEST_CASE("a worker whose queue cannot grow runs every task all the same", "[shortage]")
{
    skip_unless_memory_can_lack();
    blitzio::runtime runtime({.io_threads = 1});
    int ran = 0;
    const auto burst = [&]() -> task<void> {
        std::vector<blitzio::join_handle<void>> handles;
        handles.reserve(2000);
        {
            const memory_shortage none(2048);
            for (int index = 0; index < 2000; ++index)
            {
                handles.push_back(runtime.spawn([&]() -> task<void> {
                    ++ran;
                    co_return;
                }));
            }
            CHECK(ran == 0);
        }
        for (auto& each : handles)
        {
            co_await std::move(each);
        }
    };
    runtime.block_on(burst());
    CHECK(ran == 2000);
    CHECK(runtime.metrics().live_tasks == 0);
}

TEST_CASE("work too large for memory is refused by spawn, and leaves nothing", "[shortage]")
{
    skip_unless_memory_can_lack();
    const auto frames = live_frames();
    {
        blitzio::runtime runtime({.io_threads = 1});
        const std::array<char, 100'000> ballast{};
        const auto work = [ballast]() -> task<int> { co_return 3 + ballast[0]; };
        {
            const memory_shortage none(100'000);
            CHECK_THROWS_AS(runtime.spawn(work), std::bad_alloc);
        }
        CHECK(runtime.block_on(work()) == 3);
        CHECK(runtime.metrics().live_tasks == 0);
    }
    CHECK(live_frames() == frames);
}

TEST_CASE("epoll: a descriptor that cannot be noted is refused, not lost", "[shortage][epoll]")
{
    skip_unless_memory_can_lack();
    testing::epoll_world world;
    int fds[2];
    REQUIRE(world.os().socket_pair(fds) == 0);
    char byte = 'x';
    {
        // The table grows by chunks.
        const memory_shortage none(4096);
        op receiving;
        CHECK(
            world.at().submit(testing::make_transfer(receiving, op_kind::recv, fds[0], &byte, 1)));
        CHECK(receiving.result == -ENOMEM);
    }
    op receiving;
    CHECK_FALSE(
        world.at().submit(testing::make_transfer(receiving, op_kind::recv, fds[0], &byte, 1)));
    REQUIRE(::write(fds[1], "y", 1) == 1);
    CHECK(testing::wait_for(world.at(), 1) == std::vector<op*>{&receiving});
    CHECK(receiving.result == 1);
    CHECK(byte == 'y');
    CHECK(world.os().close(fds[0]) == 0);
    CHECK(world.os().close(fds[1]) == 0);
}

TEST_CASE("a worker's buffers without memory are none", "[shortage]")
{
    skip_unless_memory_can_lack();
    {
        const memory_shortage none(1024);
        CHECK(buffer_shelf::create(4096, 1024) == nullptr);
    }
    // More than any address space has.
    CHECK(buffer_shelf::create(std::size_t{1} << 40, 1u << 20) == nullptr);
}

TEST_CASE("a buffer pool without memory says so and gives buffers later", "[shortage]")
{
    skip_unless_memory_can_lack();
    blitzio::buffer_pool pool({.bytes_max = std::size_t{8} << 20});
    {
        const memory_shortage none(64 * 1024);
        const auto refused = pool.lease(16 * 1024);
        REQUIRE_FALSE(refused.has_value());
        CHECK(refused.error() == std::errc::not_enough_memory);
    }
    CHECK(pool.lease(16 * 1024).has_value());
}

TEST_CASE("processors are counted without memory for the text of quotas", "[shortage][processors]")
{
    skip_unless_memory_can_lack();
    const memory_shortage none(1);
    CHECK(blitzio::usable_processors().count >= 1);
}

namespace
{

/// Allocates and frees a frame when its thread has ended so far that no cache is left.
struct late_frame
{
    ~late_frame()
    {
        void* const fresh = allocate_frame(96);
        deallocate_frame(kept, 96);
        kept = allocate_frame(96);
        deallocate_frame(fresh, 96);
        deallocate_frame(kept, 96);
        done = true;
    }

    void* kept = nullptr;
    static inline bool done = false;
};

} // namespace

TEST_CASE("frames that come and go while a thread ends are neither lost nor kept", "[frame_pool]")
{
    const auto before = live_frames();
    for (int round = 0; round < 3; ++round)
    {
        late_frame::done = false;
        std::thread([] {
            // Made before the thread's cache, so destroyed after it.
            thread_local late_frame late;
            late.kept = allocate_frame(96);
        }).join();
        CHECK(late_frame::done);
        CHECK(live_frames() == before);
    }
}
