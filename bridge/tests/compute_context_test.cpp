// What a computation knows of the awaiting task: stop, deadline and task-local values, on every
// thread of a loop, and nothing once it is over.
// Thread rule: each test owns its runtime and pool.
#include "support.hpp"

#include <blitzio/compute/parallel.hpp>
#include <blitzio/io/task_local.hpp>
#include <blitzio/io/timeout.hpp>

#include <atomic>
#include <chrono>
#include <latch>
#include <ranges>
#include <string>
#include <thread>
#include <utility>

namespace bz = blitzio;

namespace
{

using namespace std::chrono_literals;

const bz::task_local<std::string> request_id;

struct seen_context
{
    bool stop_possible = false;
    bool has_deadline = false;
    std::string id;
};

const auto look = [] {
    seen_context seen;
    seen.stop_possible = bz::this_compute::stop().stop_possible();
    seen.has_deadline = bz::this_compute::deadline().has_value();
    if (const std::string* const id = bz::this_compute::local(request_id))
    {
        seen.id = *id;
    }
    return seen;
};

} // namespace

TEST_CASE("a computation sees the stop, the deadline and the locals of its task",
          "[bridge][context]")
{
    bz::compute::pool pool({.threads = 2, .name = "context"});
    auto runtime = test::make_runtime();
    const auto bare = runtime.block_on(
        [&]() -> bz::task<seen_context> { co_return *co_await bz::compute_on(pool, look); });
    CHECK(bare.id.empty());
    CHECK_FALSE(bare.has_deadline);
    const auto rich = runtime.block_on([&]() -> bz::task<seen_context> {
        co_return *co_await bz::timeout(
            1h, bz::with_local(request_id, "42", bz::compute_on(pool, look)));
    });
    CHECK(rich.id == "42");
    CHECK(rich.has_deadline);
    CHECK(rich.stop_possible);
    // Outside of every computation.
    CHECK(look().id.empty());
    CHECK_FALSE(bz::this_compute::stop().stop_possible());
}

TEST_CASE("every thread of a loop has the context", "[bridge][context]")
{
    bz::compute::pool pool({.threads = 3, .name = "context"});
    auto runtime = test::make_runtime();
    std::latch meeting(3);
    std::atomic<int> right{0};
    const auto done = runtime.block_on([&]() -> bz::task<bz::result<void>> {
        co_return co_await bz::timeout(
            1h, bz::with_local(
                    request_id, "loop", bz::parallel_map(pool, std::views::iota(0, 3), [&](int) {
                        meeting.arrive_and_wait();
                        const auto seen = look();
                        right += seen.id == "loop" && seen.has_deadline && seen.stop_possible;
                    })));
    });
    REQUIRE(done);
    CHECK(right == 3);
    // The threads have put it away: a job that nobody awaits sees nothing.
    auto handle = bz::spawn_compute(pool, look);
    const auto later =
        runtime.block_on([&]() -> bz::task<seen_context> { co_return *co_await handle.get(); });
    CHECK(later.id.empty());
    CHECK(later.stop_possible);
}

TEST_CASE("a simulated computation has the context, too", "[bridge][context][sim]")
{
    auto runtime = test::make_simulated(7);
    const auto seen = runtime.block_on([&]() -> bz::task<seen_context> {
        co_return *co_await bz::timeout(1h,
                                        bz::with_local(request_id, "sim", bz::compute_on(look)));
    });
    CHECK(seen.id == "sim");
    CHECK(seen.has_deadline);
}

TEST_CASE("block_on inside a computation of the same runtime fails at once", "[bridge][context]")
{
    bz::compute::pool pool({.threads = 1, .name = "context"});
    auto runtime = test::make_runtime();
    auto other = test::make_runtime();
    const auto code = runtime.block_on([&]() -> bz::task<std::error_code> {
        const auto tried = co_await bz::compute_on(pool, [&]() -> std::error_code {
            // Of another runtime it is an ordinary wait.
            if (other.block_on([]() -> bz::task<int> { co_return 3; }) != 3)
            {
                return std::make_error_code(std::errc::bad_message);
            }
            try
            {
                runtime.block_on([]() -> bz::task<void> { co_return; });
                return {};
            }
            catch (const std::system_error& error)
            {
                return error.code();
            }
        });
        co_return tried ? *tried : std::error_code();
    });
    CHECK(code == bz::io_errc::would_deadlock);
}
