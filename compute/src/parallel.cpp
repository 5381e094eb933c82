// The one parallel loop behind all parallel algorithms.
// Thread rule: see parallel.hpp. The group context belongs to this call alone, so that a stop or an
// exception in one call never reaches another one.
#include <blitzio/compute/parallel.hpp>

#include <blitzio/compute/detail/context.hpp>

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/partitioner.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <algorithm>
#include <atomic>

namespace blitzio::compute::detail
{

bool run_chunks(std::size_t count, const parallel_options& options, stop_token stop,
                chunk_function chunk)
{
    const std::size_t grain = std::max(options.grain, std::size_t{1});
    if (options.sequential || count <= grain)
    {
        return chunk.call(chunk.context, 0, count) == count;
    }
    tbb::task_group_context context(tbb::task_group_context::isolated);
    // oneTBB returns quietly from a cancelled loop, so whether it was complete is counted here.
    std::atomic<std::size_t> finished{0};
    const compute_context* const around = current_context();
    const auto cancel = [&context]() noexcept { context.cancel_group_execution(); };
    {
        const stop_callback on_stop(stop, cancel);
        tbb::this_task_arena::isolate([&] {
            tbb::parallel_for(
                tbb::blocked_range<std::size_t>(0, count, grain),
                [&](const tbb::blocked_range<std::size_t>& part) {
                    const context_scope inside(around);
                    // Relaxed: read after parallel_for, which orders it.
                    finished.fetch_add(chunk.call(chunk.context, part.begin(), part.end()),
                                       std::memory_order_relaxed);
                },
                tbb::auto_partitioner{}, context);
        });
    }
    return finished.load(std::memory_order_relaxed) == count;
}

} // namespace blitzio::compute::detail
