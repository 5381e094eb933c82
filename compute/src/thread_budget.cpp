// oneTBB starts only as many threads as the smallest live global_control says, whatever the arenas
// ask for; without one, a pool of 2 threads on 2 processors gets a single thread.
// Thread rule: one mutex guards the sum and the control.
#include "thread_budget.hpp"

#include <blitzio/io/processors.hpp>

#include <tbb/global_control.h>
#include <tbb/info.h>

#include <algorithm>
#include <memory>
#include <mutex>

#include <blitzio/compute/pool.hpp>

namespace blitzio::compute::detail
{

namespace
{

struct budget
{
    std::mutex mutex;
    unsigned reserved = 0;
    std::unique_ptr<tbb::global_control> control;

    /// The new control exists before the old one goes: with none at all oneTBB would fall back to
    /// its own limit for a moment and call threads away from pools that run.
    void apply()
    {
        if (reserved == 0)
        {
            control.reset();
            return;
        }
        // Room for what oneTBB would have run without us, so that parallel algorithms outside the
        // pools take no threads away from them. oneTBB counts the calling thread, hence no -1.
        const auto others = static_cast<std::size_t>(std::max(tbb::info::default_concurrency(), 1));
        auto next = std::make_unique<tbb::global_control>(
            tbb::global_control::max_allowed_parallelism, reserved + others);
        control = std::move(next);
    }
};

budget& process_budget()
{
    // Never destroyed: the default pool lives until the process ends.
    static budget* const the_one = new budget;
    return *the_one;
}

} // namespace

unsigned threads_limit() noexcept
{
    static const unsigned limit = std::max(threads_max, 4 * usable_processors().count - 1);
    return limit;
}

unsigned reserve_threads(unsigned threads)
{
    budget& all = process_budget();
    const std::lock_guard lock(all.mutex);
    if (threads > threads_limit() - all.reserved)
    {
        return 0;
    }
    all.reserved += threads;
    try
    {
        all.apply();
    }
    catch (...)
    {
        all.reserved -= threads;
        throw;
    }
    return threads;
}

void return_threads(unsigned threads) noexcept
{
    budget& all = process_budget();
    const std::lock_guard lock(all.mutex);
    all.reserved -= threads;
    try
    {
        all.apply();
    }
    catch (...)
    {
        // No memory for the smaller control: the larger one stays, which costs nothing.
    }
}

unsigned threads_left() noexcept
{
    budget& all = process_budget();
    const std::lock_guard lock(all.mutex);
    return threads_limit() - all.reserved;
}

} // namespace blitzio::compute::detail
