// The global run queue: takes what comes from outside the workers and what overflows their queues.
//
// An intrusive list below a mutex, with the length kept next to it in an atomic so that workers can
// see an empty queue without touching the mutex. It is the slow path of the scheduler: workers
// visit it rarely and then take a batch, so a lock is cheaper here than cleverness.
//
// Threading rule: any thread, every function.
#pragma once

#include <blitzio/io/detail/runnable.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>

namespace blitzio::detail
{

// A linked chain of runnables; the last one's `next` is null.
struct runnable_list
{
    runnable* first = nullptr;
    runnable* last = nullptr;
    std::size_t count = 0;
};

// Invariant, while the mutex is free: length_ is the number of elements reachable from first_,
// last_ is the end of that chain, and both pointers are null exactly when length_ is 0. After
// closed_ is set nothing is added.
class injection_queue
{
public:
    injection_queue() noexcept = default;
    injection_queue(const injection_queue&) = delete;
    injection_queue& operator=(const injection_queue&) = delete;

    // Appends one element. False when the queue is closed: the caller keeps the element.
    [[nodiscard]] bool push(runnable* item) noexcept
    {
        return push_list(item, item, 1);
    }

    // Appends a chain of `count` elements from `first` to `last` in one go. False when the queue is
    // closed: the caller keeps the chain.
    [[nodiscard]] bool push_list(runnable* first, runnable* last, std::size_t count) noexcept
    {
        if (count == 0)
        {
            return true;
        }
        last->next = nullptr;
        const std::lock_guard guard(mutex_);
        if (closed_)
        {
            return false;
        }
        if (last_ == nullptr)
        {
            first_ = first;
        }
        else
        {
            last_->next = first;
        }
        last_ = last;
        set_length(length_.load(std::memory_order_relaxed) + count);
        pushed_total_.store(pushed_total() + count, std::memory_order_relaxed);
        return true;
    }

    // The oldest element, or null when the queue is empty.
    [[nodiscard]] runnable* pop() noexcept
    {
        return pop_batch(1).first;
    }

    // At most `limit` of the oldest elements, in order.
    [[nodiscard]] runnable_list pop_batch(std::size_t limit) noexcept
    {
        if (limit == 0 || empty())
        {
            return {};
        }
        const std::lock_guard guard(mutex_);
        if (first_ == nullptr)
        {
            return {};
        }
        runnable_list taken{.first = first_, .last = first_, .count = 1};
        while (taken.count < limit && taken.last->next != nullptr)
        {
            taken.last = taken.last->next;
            ++taken.count;
        }
        first_ = std::exchange(taken.last->next, nullptr);
        if (first_ == nullptr)
        {
            last_ = nullptr;
        }
        set_length(length_.load(std::memory_order_relaxed) - taken.count);
        return taken;
    }

    // How many elements there are, or were a moment ago. It never takes the mutex. Acquire: partner
    // is the release in set_length(), so whoever sees a length sees what happened before that push.
    // The scheduler's last look before parking needs more than this pair: there the idle set orders
    // the push before the look.
    [[nodiscard]] std::size_t size() const noexcept
    {
        return length_.load(std::memory_order_acquire);
    }

    [[nodiscard]] bool empty() const noexcept
    {
        return size() == 0;
    }

    // Elements that were ever added; for statistics.
    [[nodiscard]] std::uint64_t pushed_total() const noexcept
    {
        return pushed_total_.load(std::memory_order_relaxed);
    }

    // Refuses elements from now on; what is inside can still be popped. True for the call that
    // closed.
    bool close() noexcept
    {
        const std::lock_guard guard(mutex_);
        return !std::exchange(closed_, true);
    }

    [[nodiscard]] bool is_closed() const noexcept
    {
        const std::lock_guard guard(mutex_);
        return closed_;
    }

private:
    void set_length(std::size_t length) noexcept
    {
        // Only the holder of the mutex writes. Release: partner is the acquire in size().
        length_.store(length, std::memory_order_release);
    }

    mutable std::mutex mutex_;
    runnable* first_ = nullptr;                  // guarded by mutex_
    runnable* last_ = nullptr;                   // guarded by mutex_
    bool closed_ = false;                        // guarded by mutex_
    std::atomic<std::size_t> length_{0};         // written under mutex_
    std::atomic<std::uint64_t> pushed_total_{0}; // likewise
};

} // namespace blitzio::detail
