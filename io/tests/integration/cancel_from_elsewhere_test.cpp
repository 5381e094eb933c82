// Stop requests from threads that do not own the operations. Thread rule: each test owns its runtime.
#include "support/raw_operations.hpp"
#include "support/runtimes.hpp"

#include <blitzio/io.hpp>
#include <blitzio/io/detail/descriptor.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

using blitzio::result;
using blitzio::task;
using blitzio::detail::descriptor;
using blitzio::detail::op_kind;
using blitzio::test::raw_transfer;

namespace
{

constexpr int readers = 96;

/// One socket that never has anything to read, and many that wait for it.
task<result<void>> wait_for_nothing(std::atomic<int>& started, std::atomic<int>& cancelled)
{
    auto& os = blitzio::detail::system_of(*(co_await blitzio::this_task::env())->runtime);
    int fds[2];
    if (const int made = os.socket_pair(fds); made < 0)
    {
        co_return blitzio::fail(blitzio::detail::error_from_kernel(made));
    }
    const descriptor near(os, fds[0]);
    const descriptor far(os, fds[1]);
    co_await blitzio::scope([&](blitzio::task_group& group) -> task<result<void>> {
        for (int index = 0; index < readers; ++index)
        {
            group.spawn([&]() -> task<void> {
                char byte = 0;
                started.fetch_add(1);
                const auto got = co_await raw_transfer(op_kind::recv, near.get(), &byte, 1);
                if (!got && got.error() == std::errc::operation_canceled)
                {
                    cancelled.fetch_add(1);
                }
            });
        }
        co_return {};
    });
    co_return {};
}

} // namespace

// The requests reach a worker as one heap of orders, while its neighbours look for something to steal.
TEST_CASE("many operations of one worker are cancelled at once from another thread",
          "[stop][stress]")
{
    blitzio::runtime runtime({.io_threads = 3});
    INFO("backend " << runtime.backend_name());
    for (int round = 0; round < 40; ++round)
    {
        CAPTURE(round);
        std::atomic<int> started{0};
        std::atomic<int> cancelled{0};
        auto handle = runtime.spawn(wait_for_nothing(started, cancelled));
        while (started.load() < readers)
        {
            std::this_thread::yield();
        }
        handle.request_stop();
        static_cast<void>(runtime.block_on(std::move(handle)));
        REQUIRE(cancelled.load() == readers);
    }
}
