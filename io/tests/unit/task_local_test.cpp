// task_local: who sees a value, how long it lives, and that it reaches children and spawned tasks.
#include "support/runtimes.hpp"

#include <blitzio/io.hpp>
#include <blitzio/io/detail/frame_pool.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <memory>
#include <string>

using namespace std::chrono_literals;
using blitzio::task;
using blitzio::task_local;
using blitzio::with_local;
using blitzio::test::on_every_runtime;

namespace
{

const task_local<std::string> request;
const task_local<int> level;

task<std::string> read()
{
    const std::string* const text = co_await request.get();
    const int* const depth = co_await level.get();
    co_return (text == nullptr ? "-" : *text) + (depth == nullptr ? "" : std::to_string(*depth));
}

} // namespace

TEST_CASE("a task-local value is seen by what it was set for", "[task_local]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        CHECK(runtime.block_on(read()) == "-");
        CHECK(runtime.block_on(with_local(request, "a", read())) == "a");
        CHECK(runtime.block_on(with_local(request, "a", with_local(level, 1, read()))) == "a1");
        CHECK(runtime.block_on(with_local(request, "a", with_local(request, "b", read()))) == "b");
        const auto around = []() -> task<std::string> {
            const std::string before = co_await read();
            const std::string inside = co_await with_local(request, "in", read());
            co_return before + inside + co_await read();
        };
        CHECK(runtime.block_on(with_local(request, "out", around())) == "outinout");
    });
}

TEST_CASE("children of every kind see the value", "[task_local]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto all = [&]() -> task<std::string> {
            auto [one, other] = co_await blitzio::when_all(read(), blitzio::timeout(1h, read()));
            std::string seen = one + *other;
            seen += std::get<0>(co_await blitzio::race(read()));
            seen += co_await blitzio::shield(read());
            co_await blitzio::scope([&](blitzio::task_group& group) -> task<void> {
                group.spawn([&]() -> task<void> { seen += co_await read(); });
                co_return;
            });
            const auto stage = [](int) -> task<std::string> { return read(); };
            auto streamed = co_await (blitzio::streams::from_range(std::vector{1}) |
                                      blitzio::streams::map(stage) | blitzio::streams::buffer(1) |
                                      blitzio::streams::collect());
            co_return seen + streamed->front();
        };
        CHECK(runtime.block_on(with_local(request, "x", all())) == "xxxxxx");
    });
}

TEST_CASE("a spawned task sees the values of the task that spawned it, and keeps them",
          "[task_local]")
{
    const auto frames = blitzio::detail::live_frames();
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto late_read = []() -> task<std::string> {
            static_cast<void>(co_await blitzio::sleep_for(3ms));
            co_return co_await read();
        };
        const auto spawner = [&]() -> task<blitzio::join_handle<std::string>> {
            co_return co_await blitzio::this_task::spawn(late_read());
        };
        const auto whole = [&]() -> task<std::string> {
            auto handle =
                co_await with_local(request, "outlives its frame", with_local(level, 4, spawner()));
            co_return co_await std::move(handle);
        };
        CHECK(runtime.block_on(whole()) == "outlives its frame4");
        // With a callable, and without values.
        const auto plain = [&]() -> task<std::string> {
            auto handle = co_await blitzio::this_task::spawn([] { return read(); });
            co_return co_await std::move(handle);
        };
        CHECK(runtime.block_on(plain()) == "-");
        // The runtime's own spawn() knows nothing of the caller.
        const auto through_runtime = [&]() -> task<std::string> {
            co_return co_await runtime.spawn(read());
        };
        CHECK(runtime.block_on(with_local(request, "y", through_runtime())) == "-");
    });
    CHECK(blitzio::detail::live_frames() == frames);
}

TEST_CASE("a value is destroyed when the last task that sees it has ended", "[task_local]")
{
    const task_local<std::shared_ptr<int>> shared;
    on_every_runtime([&](blitzio::runtime& runtime) {
        auto value = std::make_shared<int>(1);
        const auto spawns = [&]() -> task<blitzio::join_handle<long>> {
            co_return co_await blitzio::this_task::spawn([&]() -> task<long> {
                static_cast<void>(co_await blitzio::sleep_for(2ms));
                co_return (co_await shared.get())->use_count();
            });
        };
        auto handle = runtime.block_on(with_local(shared, value, spawns()));
        CHECK(runtime.block_on(std::move(handle)) >= 2);
        runtime.run();
        CHECK(value.use_count() == 1);
    });
}
