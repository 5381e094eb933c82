// Measures how long a worker's queue takes: a runnable that does nothing but tell how long it waited.
// Thread rule: is_due() and begin() by the owner; it may be stolen, and then runs on the thief.
#pragma once

#include "limits.hpp"

#include <blitzio/io/detail/runnable.hpp>

#include <atomic>
#include <chrono>

namespace blitzio::detail
{

/// One per worker, in its queue once a millisecond at the most, and only behind other work: a worker
/// that goes to sleep is not kept from it, and ordinary runnables carry no time stamps.
class delay_probe : public runnable
{
public:
    delay_probe() noexcept
    {
        run = &arrive;
    }

    [[nodiscard]] bool is_due(std::chrono::nanoseconds now) const noexcept
    {
        // Acquire: partner is the release in arrive(): whoever ran it is through with it.
        return now - begun_ >= limits::delay_probe_interval &&
               !on_its_way_.load(std::memory_order_acquire);
    }

    /// About to be queued.
    void begin(std::chrono::nanoseconds now) noexcept
    {
        begun_ = now;
        on_its_way_.store(true, std::memory_order_relaxed);
    }

private:
    static void arrive(runnable* item) noexcept;

    std::chrono::nanoseconds begun_{};
    std::atomic<bool> on_its_way_{false};
};

} // namespace blitzio::detail
