// A timer as the wheels see it: an intrusive node inside an awaiter.
// Thread rule: arm_timer() on a worker; cancel_timer() on any thread.
#pragma once

#include <blitzio/io/detail/runnable.hpp>

#include <chrono>
#include <cstdint>

namespace blitzio::detail
{

class runtime_core;
class timer_wheel;

/// The base runnable is what runs on the arming worker when the time has come. While the timer is
/// armed its `next` links the timers of one slot: it is in no other queue then.
struct timer : runnable
{
    /// The pointer that points to this timer; null while it is in no list of the wheel. Where it
    /// lies says which slot becomes empty when it becomes null.
    runnable** link = nullptr;
    timer_wheel* wheel = nullptr;
    /// Expiry in the wheel's ticks, rounded up: a timer never fires early. Before the wheel has
    /// looked at the clock: the nanoseconds to wait from then on.
    std::uint64_t expiry = 0;
};

static_assert(sizeof(timer) - sizeof(runnable) == 24, "what a timer costs beyond what is queued");

/// Arms on the current worker for a point of the runtime's clock. It cannot fire before the caller
/// returns to the worker's loop. False: the worker's limit of timers is reached.
[[nodiscard]] bool arm_timer(runtime_core& runtime, timer& node,
                             std::chrono::nanoseconds deadline) noexcept;

/// The same for an amount of time, counted from the worker's next look at the clock: at the next
/// turn of its loop, or after at most limits::tick_interval continuations. Reads no clock, so
/// arming and cancelling within one turn costs a few stores.
[[nodiscard]] bool arm_timer_after(runtime_core& runtime, timer& node,
                                   std::chrono::nanoseconds duration) noexcept;

/// True: the timer was still armed and will not fire. False: it has fired, its run is on its way.
[[nodiscard]] bool cancel_timer(timer& node) noexcept;

/// `start + amount` without leaving the range of the clock.
[[nodiscard]] constexpr std::chrono::nanoseconds add_saturated(
    std::chrono::nanoseconds start, std::chrono::nanoseconds amount) noexcept
{
    std::int64_t sum = 0;
    if (__builtin_add_overflow(start.count(), amount.count(), &sum))
    {
        return amount.count() < 0 ? std::chrono::nanoseconds::min()
                                  : std::chrono::nanoseconds::max();
    }
    return std::chrono::nanoseconds(sum);
}

} // namespace blitzio::detail
