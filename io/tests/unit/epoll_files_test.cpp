// What the epoll driver hands to the file pool: results, errors, cancelling, refusals, waking.
#include "driver/blocking_offload.hpp"

#include "unit/epoll_harness.hpp"
#include "unit/test_directory.hpp"

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <cerrno>
#include <deque>
#include <latch>
#include <string>
#include <thread>

#include <fcntl.h>
#include <unistd.h>

namespace
{

using namespace blitzio::detail;
using namespace blitzio::detail::testing;
using ops = std::vector<op*>;

/// Keeps one thread of a pool busy until it is released.
struct pool_blocker : runnable
{
    explicit pool_blocker(blocking_pool& pool)
    {
        run = [](runnable* self) noexcept {
            auto& mine = *static_cast<pool_blocker*>(self);
            mine.inside.count_down();
            mine.gate.wait();
            mine.done.count_down();
        };
        if (!pool.submit(*this))
        {
            std::abort();
        }
        inside.wait();
    }

    ~pool_blocker()
    {
        release();
        done.wait();
    }

    void release()
    {
        if (!released)
        {
            released = true;
            gate.count_down();
        }
    }

    std::latch inside{1};
    std::latch gate{1};
    std::latch done{1};
    bool released = false;
};

TEST_CASE("epoll files: every file operation", "[epoll][files]")
{
    epoll_world world;
    test_directory directory;
    driver& io = world.at();
    const std::string path = directory.path("file");
    op operation;
    const std::int32_t fd =
        run(io, make_path(operation, op_kind::open, path.c_str(),
                          open_flags::read | open_flags::write | open_flags::create, 0600));
    REQUIRE(fd >= 0);
    const std::string text = "contents of the file";
    const auto size = static_cast<std::int32_t>(text.size());
    CHECK(run(io, make_transfer(operation, op_kind::write_at, fd, text.data(), text.size())) ==
          size);
    std::string buffer(100, '\0');
    CHECK(run(io, make_transfer(operation, op_kind::read_at, fd, buffer.data(), 100)) == size);
    CHECK(buffer.substr(0, text.size()) == text);
    CHECK(run(io, make_transfer(operation, op_kind::read_at, fd, buffer.data(), 100, 1000)) == 0);
    // At the descriptor's position: regular files go to the pool, epoll would refuse them.
    CHECK(run(io, make_transfer(operation, op_kind::read, fd, buffer.data(), 8)) == 8);
    CHECK(run(io, make_transfer(operation, op_kind::read, fd, buffer.data(), 100)) == size - 8);
    CHECK(run(io, make_transfer(operation, op_kind::write, fd, "++", 2)) == 2);
    CHECK(run(io, make_simple(operation, op_kind::sync, fd)) == 0);
    file_status status;
    CHECK(run(io, make_stat(operation, path.c_str(), &status)) == 0);
    CHECK(status.size == text.size() + 2);
    CHECK(run(io, make_simple(operation, op_kind::close, fd)) == 0);
    CHECK(fcntl(fd, F_GETFD) == -1);

    const std::string moved = directory.path("moved");
    CHECK(run(io, make_rename(operation, path.c_str(), moved.c_str(), false)) == 0);
    CHECK(run(io, make_path(operation, op_kind::make_directory, path.c_str())) == 0);
    const std::int32_t listing =
        run(io, make_path(operation, op_kind::open, directory.path().c_str(),
                          open_flags::read | open_flags::directory));
    REQUIRE(listing >= 0);
    directory_batch batch;
    CHECK(run(io, make_read_directory(operation, listing, &batch)) == 2);
    CHECK(batch.at_end);
    CHECK(run(io, make_simple(operation, op_kind::close, listing)) == 0);
    CHECK(run(io, make_path(operation, op_kind::unlink, path.c_str(),
                            open_flags::remove_directory)) == 0);
    CHECK(run(io, make_path(operation, op_kind::unlink, moved.c_str())) == 0);
    CHECK(io.in_flight() == 0);
}

TEST_CASE("epoll files: errors come back as results", "[epoll][files]")
{
    epoll_world world;
    test_directory directory;
    driver& io = world.at();
    op operation;
    CHECK(run(io, make_path(operation, op_kind::open, directory.path("none").c_str(),
                            open_flags::read)) == -ENOENT);
    CHECK(run(io, make_path(operation, op_kind::open, directory.path().c_str(),
                            open_flags::write)) == -EISDIR);
    CHECK(run(io, make_path(operation, op_kind::unlink, directory.path().c_str())) == -EISDIR);
    CHECK(run(io, make_path(operation, op_kind::make_directory, directory.path().c_str())) ==
          -EEXIST);
    file_status status;
    CHECK(run(io, make_stat(operation, directory.path("none").c_str(), &status)) == -ENOENT);
    const std::int32_t fd =
        run(io, make_path(operation, op_kind::open, directory.path().c_str(), open_flags::read));
    REQUIRE(fd >= 0);
    char byte = 0;
    CHECK(run(io, make_transfer(operation, op_kind::read, fd, &byte, 1)) == -EISDIR);
    CHECK(run(io, make_transfer(operation, op_kind::read_at, fd, &byte, 1)) == -EISDIR);
    CHECK(run(io, make_simple(operation, op_kind::close, fd)) == 0);
    CHECK(run(io, make_simple(operation, op_kind::close, fd)) == -EBADF);
}

TEST_CASE("epoll files: the result wakes a driver that sleeps", "[epoll][files]")
{
    epoll_world world(1, {.threads_max = 1});
    test_directory directory;
    file_status status;
    for (int round = 0; round < 200; ++round)
    {
        op operation;
        pool_blocker blocker(world.pool);
        const std::string path = directory.path();
        REQUIRE_FALSE(world.at().submit(make_stat(operation, path.c_str(), &status)));
        CHECK(world.at().in_flight() == 1);
        std::thread releasing([&blocker] { blocker.release(); });
        ready_list ready;
        while (ready.empty())
        {
            world.at().wait(ready, std::nullopt); // a lost wake hangs here
        }
        CHECK(drain(ready) == ops{&operation});
        releasing.join();
    }
}

TEST_CASE("epoll files: cancelling", "[epoll][files]")
{
    epoll_world world(1, {.threads_max = 1});
    test_directory directory;
    const std::string path = directory.path();
    file_status status;
    op operation;
    make_stat(make_cancellable(operation), path.c_str(), &status);
    ready_list ready;

    SECTION("before it has begun")
    {
        pool_blocker blocker(world.pool);
        REQUIRE_FALSE(world.at().submit(operation));
        REQUIRE(operation.state.request_cancel());
        world.at().cancel(operation, ready);
        CHECK(drain(ready) == ops{&operation});
        CHECK(operation.result == -ECANCELED);
        CHECK(world.at().in_flight() == 0);
        CHECK(world.pool.snapshot().queued == 0);
    }
    SECTION("after it has been done, before it was collected")
    {
        REQUIRE_FALSE(world.at().submit(operation));
        REQUIRE(operation.state.request_cancel());
        while (world.pool.snapshot().completed == 0)
        {
            std::this_thread::yield();
        }
        world.at().cancel(operation, ready);
        CHECK(drain(ready).empty()); // its result is on the way
        CHECK(wait_for(world.at(), 1) == ops{&operation});
        CHECK(operation.result == 0);
    }
    SECTION("after it was collected")
    {
        REQUIRE_FALSE(world.at().submit(operation));
        REQUIRE(operation.state.request_cancel());
        while (!operation.state.is_terminal())
        {
            world.at().wait(ready, 1s);
        }
        CHECK(ready.empty());
        world.at().cancel(operation, ready);
        CHECK(drain(ready) == ops{&operation});
        CHECK(operation.result == 0);
    }
    SECTION("a close is done all the same")
    {
        const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        op closing;
        make_simple(make_cancellable(closing), op_kind::close, fd);
        {
            pool_blocker blocker(world.pool);
            REQUIRE_FALSE(world.at().submit(closing));
            REQUIRE(closing.state.request_cancel());
            world.at().cancel(closing, ready);
            CHECK(drain(ready).empty());
        }
        CHECK(wait_for(world.at(), 1) == ops{&closing});
        CHECK(closing.result == 0);
        CHECK(fcntl(fd, F_GETFD) == -1);
    }
}

TEST_CASE("epoll files: a pool that refuses", "[epoll][files]")
{
    test_directory directory;
    const std::string path = directory.path();
    file_status status;
    op operation;
    make_stat(operation, path.c_str(), &status);
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    op closing;
    make_simple(closing, op_kind::close, fd);

    SECTION("because its queue is full")
    {
        epoll_world world(1, {.queue_length_max = 0});
        REQUIRE(world.at().submit(operation));
        CHECK(operation.result == -EAGAIN);
        // The descriptor must not leak.
        REQUIRE(world.at().submit(closing));
        CHECK(closing.result == 0);
        CHECK(world.at().in_flight() == 0);
    }
    SECTION("because it is shut down")
    {
        epoll_world world;
        world.pool.shutdown();
        REQUIRE(world.at().submit(operation));
        CHECK(operation.result == -ESHUTDOWN);
        REQUIRE(world.at().submit(closing));
        CHECK(closing.result == 0);
    }
    SECTION("because it has no thread and gets none")
    {
        epoll_world world(1, {.stack_bytes = std::size_t{1} << 56});
        REQUIRE(world.at().submit(operation));
        CHECK(operation.result < 0);
        REQUIRE(world.at().submit(closing));
        CHECK(closing.result == 0);
    }
    CHECK(fcntl(fd, F_GETFD) == -1);
}

TEST_CASE("epoll files: without a pool they block", "[epoll][files]")
{
    auto io = make_epoll_backend({});
    REQUIRE(io);
    auto lone = (*io)->create_driver(0);
    REQUIRE(lone);
    test_directory directory;
    const std::string path = directory.path();
    file_status status;
    op operation;
    REQUIRE((*lone)->submit(make_stat(operation, path.c_str(), &status)));
    CHECK(operation.result == 0);
    CHECK(status.type == file_type::directory);
}

TEST_CASE("blocking_offload: wakes once, and only an owner that waits", "[epoll][files]")
{
    std::atomic<int> wakes{0};
    blocking_pool pool({.threads_max = 1});
    blocking_offload offload(
        &pool,
        [](void* counter) noexcept { static_cast<std::atomic<int>*>(counter)->fetch_add(1); },
        &wakes);
    file_status status;
    std::deque<op> operations(4);
    ready_list ready;
    const auto until_done = [&](std::uint64_t count) {
        while (pool.snapshot().completed < count)
        {
            std::this_thread::yield();
        }
    };
    REQUIRE(offload.start(make_stat(operations[0], "/", &status)));
    until_done(1);
    CHECK(wakes.load() == 0);
    CHECK(offload.has_results());
    CHECK_FALSE(offload.prepare_wait());
    CHECK(offload.collect(ready) == 1);

    REQUIRE(offload.prepare_wait());
    for (std::size_t index = 1; index < 4; ++index)
    {
        REQUIRE(offload.start(make_stat(operations[index], "/", &status)));
    }
    until_done(4);
    CHECK(wakes.load() == 1);
    CHECK(offload.collect(ready) == 3);
    CHECK(offload.in_flight() == 0);
    CHECK(drain(ready) == ops{&operations[0], &operations[1], &operations[2], &operations[3]});
}

} // namespace
