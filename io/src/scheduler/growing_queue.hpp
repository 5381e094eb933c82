// The run queue of a worker that is alone: nobody steals, so it is a plain ring that grows.
// Thread rule: owner thread only.
#pragma once

#include "limits.hpp"

#include <blitzio/io/detail/prefetch.hpp>
#include <blitzio/io/detail/runnable.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <utility>

namespace blitzio::detail
{

/// An array and not a list: the next items' addresses are known before the items are touched, so
/// their memory can be fetched while the ones before them run.
class growing_queue
{
public:
    growing_queue() : slots_(std::make_unique<runnable*[]>(capacity_min)) {}

    /// False: it is full and there is no memory for more.
    [[nodiscard]] bool push(runnable& item) noexcept
    {
        if (tail_ - head_ == capacity_ && !grow()) [[unlikely]]
        {
            return false;
        }
        slots_[tail_++ & (capacity_ - 1)] = &item;
        return true;
    }

    /// The oldest item, or null.
    [[nodiscard]] runnable* pop() noexcept
    {
        if (head_ == tail_)
        {
            return nullptr;
        }
        // What lies there is stale when the queue is short; fetching is harmless.
        prefetch_two_lines(slots_[(head_ + fetch_ahead) & (capacity_ - 1)]);
        return slots_[head_++ & (capacity_ - 1)];
    }

    [[nodiscard]] bool empty() const noexcept
    {
        return head_ == tail_;
    }

    [[nodiscard]] std::size_t size() const noexcept
    {
        return tail_ - head_;
    }

    /// Gives back what a burst has needed, if it is much. Only while empty.
    void shrink() noexcept
    {
        if (capacity_ > capacity_kept)
        {
            if (std::unique_ptr<runnable*[]> smaller(new (std::nothrow)
                                                         runnable* [capacity_min] {});
                smaller != nullptr)
            {
                slots_ = std::move(smaller);
                capacity_ = capacity_min;
                head_ = tail_ = 0;
            }
        }
    }

private:
    static constexpr std::size_t capacity_min = 256;
    static constexpr std::size_t capacity_kept = limits::run_queue_kept;
    static constexpr std::size_t fetch_ahead = 4;

    [[gnu::noinline]] bool grow() noexcept
    {
        std::unique_ptr<runnable*[]> larger(new (std::nothrow) runnable*[2 * capacity_]{});
        if (larger == nullptr)
        {
            return false;
        }
        const std::size_t count = size();
        for (std::size_t index = 0; index < count; ++index)
        {
            larger[index] = slots_[(head_ + index) & (capacity_ - 1)];
        }
        slots_ = std::move(larger);
        capacity_ *= 2;
        head_ = 0;
        tail_ = count;
        return true;
    }

    std::unique_ptr<runnable*[]> slots_;
    std::size_t capacity_ = capacity_min;
    // Both count up for ever; the difference is the number of items.
    std::size_t head_ = 0;
    std::size_t tail_ = 0;
};

} // namespace blitzio::detail
