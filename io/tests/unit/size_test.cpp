// How large the things are of which programs have millions. Thread rule: none.
#include "time/timer_wheel.hpp"

#include <blitzio/io.hpp>
#include <blitzio/io/detail/spawn_cell.hpp>
#include <blitzio/io/detail/steal_queue.hpp>
#include <blitzio/io/detail/timer.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstddef>
#include <cstdint>

namespace
{

blitzio::task<void> nothing()
{
    co_return;
}

} // namespace

TEST_CASE("tasks and their parts are as small as promised", "[size]")
{
    using blitzio::task;
    // The object that a program holds is a pointer; so is a join handle until it is awaited.
    CHECK(sizeof(task<void>) == sizeof(void*));
    CHECK(sizeof(task<int>) == sizeof(void*));
    // 64 to 256 bytes for a task: the cell of a spawned one, without and with a small closure.
    const auto closure = [pointer = static_cast<void*>(nullptr)]() -> task<void> {
        static_cast<void>(pointer);
        co_return;
    };
    CHECK(sizeof(blitzio::detail::spawn_cell<task<void>>) >= 64);
    CHECK(sizeof(blitzio::detail::spawn_cell<task<void>>) <= 96);
    CHECK(sizeof(blitzio::detail::spawn_cell<decltype(closure)>) <= 104);
    // In each of them and in each combinator: a pointer and the state.
    CHECK(sizeof(blitzio::stop_source) <= 16);
    // An environment is in each of them, too; what few tasks have lies elsewhere.
    CHECK(sizeof(blitzio::task_env) <= 32);
    // What every coroutine has besides its own variables, without the two words of the compiler.
    CHECK(sizeof(task<void>::promise_type) <= 32);
    CHECK(sizeof(task<std::int64_t>::promise_type) <= 40);
    // The seed of the promises asked for 32 bytes for a future.
    CHECK(sizeof(blitzio::join_handle<int>) <= 64);
    // A worker's queue of 256 and a wheel of 6 levels.
    CHECK(sizeof(blitzio::detail::steal_queue<>) <= 64 * 1024);
    CHECK(sizeof(blitzio::detail::timer_wheel) <= 256 * 1024);
    // Not 24 bytes: a runnable, a list that any thread unlinks from in constant time, the wheel and
    // the time; in exchange nothing is allocated, neither by arming nor by firing.
    CHECK(sizeof(blitzio::detail::timer) <= 64);
}

TEST_CASE("what a spawned task takes in all is below 256 bytes", "[size]")
{
    const auto before = blitzio::detail::live_frames();
    blitzio::runtime runtime({.io_threads = 1});
    auto handle = runtime.spawn(nothing());
    // The frame and the cell.
    CHECK(blitzio::detail::live_frames() <= before + 2);
    runtime.block_on(std::move(handle));
    CHECK(blitzio::detail::live_frames() == before);
}
