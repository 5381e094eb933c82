// The bounded spin before sleeping. Thread rule: see the header.
#include "brief_wait.hpp"

#include <blitzio/io/detail/atomics.hpp>
#include <blitzio/io/detail/runtime_access.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace blitzio::detail
{

namespace
{

/// Less than half of what it saves when it succeeds.
constexpr std::chrono::nanoseconds spin_time_max{3000};
/// Looks at the hand-off between two looks at the clock.
constexpr int looks_per_clock = 16;
constexpr std::uint32_t skips_max = 1024;

/// What this worker has experienced lately.
struct experience
{
    std::uint32_t to_skip = 0;
    std::uint32_t next_skips = 1;
};
constinit thread_local experience lately;

/// Until the hand-off is finished, or there is something else to do for this worker: of many
/// computations in flight another one ends first.
bool spin_until_there_is_work(const oneshot_state<>& hand_off) noexcept
{
    const auto end = std::chrono::steady_clock::now() + spin_time_max;
    do
    {
        for (int look = 0; look < looks_per_clock; ++look)
        {
            if (hand_off.is_finished())
            {
                return true;
            }
            std_atomics::pause();
        }
        if (!about_to_park())
        {
            return true;
        }
    } while (std::chrono::steady_clock::now() < end);
    return false;
}

} // namespace

void wait_briefly(const compute::pool& pool, const oneshot_state<>& hand_off) noexcept
{
    if (pool.idle_spin() == std::chrono::nanoseconds(0) || !about_to_park() || !consume_budget())
    {
        return;
    }
    if (lately.to_skip != 0)
    {
        --lately.to_skip;
        return;
    }
    if (spin_until_there_is_work(hand_off))
    {
        lately.next_skips = 1;
        return;
    }
    lately.to_skip = lately.next_skips;
    lately.next_skips = std::min(2 * lately.next_skips, skips_max);
}

} // namespace blitzio::detail
