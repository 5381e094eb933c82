// A counter that tasks wait for to reach zero, once.
// Thread rule: wait() in tasks; everything else on any thread.
#pragma once

#include <blitzio/io/result.hpp>
#include <blitzio/sync/event.hpp>

#include <atomic>
#include <cstddef>

namespace blitzio::sync
{

/// Opens when it was counted down `expected` times, and stays open.
/// Lifetime: outlives everybody who waits for it, and every count_down() but the last; after a
/// wait() that succeeded it may be destroyed.
class latch
{
public:
    explicit latch(std::size_t expected) noexcept : remaining_(expected), opened_(expected == 0) {}

    latch(const latch&) = delete;
    latch& operator=(const latch&) = delete;

    /// `count` is not more than what remains.
    void count_down(std::size_t count = 1) noexcept;

    [[nodiscard]] bool is_open() const noexcept
    {
        return opened_.is_set();
    }

    /// Awaited: result<void>, once the counter has reached zero. No allocation.
    /// Cancellation: gives operation_canceled; the counter does not change.
    [[nodiscard]] event::wait_operation wait() noexcept
    {
        return opened_.wait();
    }

    /// Counts down now, whatever becomes of the waiting, and waits when awaited.
    [[nodiscard]] event::wait_operation arrive_and_wait(std::size_t count = 1) noexcept
    {
        count_down(count);
        return wait();
    }

private:
    std::atomic<std::size_t> remaining_;
    event opened_;
};

} // namespace blitzio::sync
