// One number for the process. Thread rule: any thread; nothing is published with the number.
#include "thread_budget.hpp"

#include <blitzio/compute/pool.hpp>
#include <blitzio/io/processors.hpp>

#include <algorithm>
#include <atomic>

namespace blitzio::compute::detail
{

namespace
{

std::atomic<unsigned> reserved{0};

} // namespace

unsigned threads_limit() noexcept
{
    static const unsigned limit = std::max(threads_max, 4 * usable_processors().count - 1);
    return limit;
}

unsigned reserve_threads(unsigned threads) noexcept
{
    unsigned before = reserved.load(std::memory_order_relaxed);
    do
    {
        if (threads > threads_limit() - before)
        {
            return 0;
        }
    } while (!reserved.compare_exchange_weak(before, before + threads, std::memory_order_relaxed));
    return threads;
}

void return_threads(unsigned threads) noexcept
{
    reserved.fetch_sub(threads, std::memory_order_relaxed);
}

unsigned threads_left() noexcept
{
    return threads_limit() - reserved.load(std::memory_order_relaxed);
}

} // namespace blitzio::compute::detail
