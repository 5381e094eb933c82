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

/// The base runnable is what runs on the arming worker when the time has come.
struct timer : runnable
{
    /// The pointer that points to this timer; null while it is in no slot.
    timer** link = nullptr;
    timer* following = nullptr;
    timer_wheel* wheel = nullptr;
    /// Expiry in the wheel's ticks, rounded up: a timer never fires early.
    std::uint64_t expiry_tick = 0;
    /// Where in the wheel it is.
    std::uint8_t level = 0;
    std::uint8_t slot = 0;
};

/// Arms on the current worker. It cannot fire before the caller returns to the worker's loop.
/// False: the runtime's limit of timers is reached.
[[nodiscard]] bool arm_timer(runtime_core& runtime, timer& node,
                             std::chrono::nanoseconds deadline) noexcept;

/// True: the timer was still armed and will not fire. False: it has fired, its run is on its way.
[[nodiscard]] bool cancel_timer(timer& node) noexcept;

} // namespace blitzio::detail
