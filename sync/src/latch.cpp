// Counting down. Thread rule: any thread.
#include <blitzio/sync/latch.hpp>

namespace blitzio::sync
{

void latch::count_down(std::size_t count) noexcept
{
    if (count == 0)
    {
        return;
    }
    // acq_rel: all that was done before any count-down is seen by those who go on after the last;
    // partners are the other count-downs. Only the last may find the latch gone afterwards, and it
    // touches nothing but the event, which stays until those who wait for it were continued.
    const std::size_t before = remaining_.fetch_sub(count, std::memory_order_acq_rel);
    BLITZIO_ASSERT(before >= count);
    if (before == count)
    {
        opened_.set();
    }
}

} // namespace blitzio::sync
