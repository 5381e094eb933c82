// What runs before, or after, a worker's ordinary queue: continuations of tasks with a priority.
// Thread rule: any thread.
#pragma once

#include <blitzio/io/detail/runnable.hpp>
#include <blitzio/io/detail/spin_lock.hpp>
#include <blitzio/io/detail/waiter.hpp>

#include <atomic>
#include <coroutine>
#include <cstddef>
#include <utility>
#include <vector>

namespace blitzio::detail
{

/// `item`, which is in no queue, as a waiter.
[[nodiscard]] inline waiter waiter_that_runs(runnable& item) noexcept
{
    return {[](void* first) noexcept -> std::coroutine_handle<> {
                auto* const task = static_cast<runnable*>(first);
                task->run(task);
                return std::noop_coroutine();
            },
            &item};
}

/// First in, first out, behind a lock: who uses priorities pays for it. The memory of a burst is kept.
///
/// Invariant, under lock_: ring_ has a power of two of slots; those from head_ to head_ + size_, taken
/// modulo their number, are the waiters, oldest first. size_ is written under lock_ only, so a look at
/// it without the lock is a hint, and exact once pushing and looking are ordered by something else.
class priority_lane
{
public:
    /// Ends the process when there is no memory: the waiter cannot be lost.
    void push(waiter who) noexcept
    {
        const spin_guard held(lock_);
        const std::size_t count = size_.load(std::memory_order_relaxed);
        if (count == ring_.size())
        {
            grow(count);
        }
        ring_[(head_ + count) & (ring_.size() - 1)] = who;
        size_.store(count + 1, std::memory_order_relaxed);
    }

    /// The oldest; false: there is none.
    [[nodiscard]] bool pop(waiter& taken) noexcept
    {
        if (looks_empty())
        {
            return false;
        }
        const spin_guard held(lock_);
        const std::size_t count = size_.load(std::memory_order_relaxed);
        if (count == 0)
        {
            return false;
        }
        taken = ring_[head_];
        head_ = (head_ + 1) & (ring_.size() - 1);
        size_.store(count - 1, std::memory_order_relaxed);
        return true;
    }

    [[nodiscard]] bool looks_empty() const noexcept
    {
        return size_.load(std::memory_order_relaxed) == 0;
    }

private:
    static constexpr std::size_t capacity_min = 16;

    void grow(std::size_t count) noexcept
    {
        std::vector<waiter> larger(count == 0 ? capacity_min : 2 * count);
        for (std::size_t index = 0; index < count; ++index)
        {
            larger[index] = ring_[(head_ + index) & (count - 1)];
        }
        ring_ = std::move(larger);
        head_ = 0;
    }

    spin_lock lock_;
    std::vector<waiter> ring_; // guarded by lock_
    std::size_t head_ = 0;     // guarded by lock_
    std::atomic<std::size_t> size_{0};
};

/// One for each priority but the normal one.
struct priority_lanes
{
    priority_lane high;
    priority_lane low;

    [[nodiscard]] priority_lane& of(bool is_high) noexcept
    {
        return is_high ? high : low;
    }

    [[nodiscard]] bool look_empty() const noexcept
    {
        return high.looks_empty() && low.looks_empty();
    }
};

} // namespace blitzio::detail
