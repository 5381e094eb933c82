// Jobs that run callables, and ways to run many of them.
// Thread rule: used by the thread of a test; the callables run on a pool's threads.
#pragma once

#include <blitzio/compute/pool.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <barrier>
#include <cstddef>
#include <latch>
#include <memory>
#include <utility>
#include <vector>

namespace compute_test
{

template <class Function>
struct function_job : blitzio::compute::job
{
    explicit function_job(Function function) : work(std::move(function))
    {
        run = [](blitzio::compute::job* self) noexcept {
            static_cast<function_job*>(self)->work();
        };
    }

    Function work;
};

/// Runs `function` on `where` `count` times and waits until all have ended.
template <class Function>
void run_all(blitzio::compute::pool& where, std::size_t count, Function function)
{
    std::latch ended(static_cast<std::ptrdiff_t>(count));
    const auto body = [&] {
        function();
        ended.count_down();
    };
    std::vector<std::unique_ptr<function_job<decltype(body)>>> jobs;
    for (std::size_t index = 0; index < count; ++index)
    {
        jobs.push_back(std::make_unique<function_job<decltype(body)>>(body));
        REQUIRE(where.enqueue(*jobs.back()));
    }
    ended.wait();
}

/// All `count` jobs must be inside at the same time, otherwise none of them ever gets on.
inline void meet_at_barrier(blitzio::compute::pool& where, std::size_t count)
{
    std::barrier meeting(static_cast<std::ptrdiff_t>(count));
    std::atomic<unsigned> met{0};
    run_all(where, count, [&] {
        meeting.arrive_and_wait();
        met.fetch_add(1);
    });
    CHECK(met == count);
}

} // namespace compute_test
