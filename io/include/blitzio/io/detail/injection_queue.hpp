// The global run queue: takes what comes from outside the workers and what overflows their queues.
//
// Single elements come by one compare-exchange, because who brings them may have been given less of the processor than
// the workers (a pool's thread that gives way) and must not hold a lock that a worker wants. Workers share the other
// side below a lock: whoever finds nothing in order moves all that has come there, so several elements cost one
// transfer of its cache line.
//
// Threading rule: any thread, every function.
#pragma once

#include <blitzio/io/detail/atomics.hpp>
#include <blitzio/io/detail/runnable.hpp>
#include <blitzio/io/detail/spin_lock.hpp>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
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

// incoming_ is one of: null, the newest element that has come, whose chain of `next` leads to the oldest, or &closed_.
// Invariants, while the lock is free:
//   I1  every element that was pushed and not popped is in incoming_ or in ordered_, and those in ordered_ are older;
//   I2  ordered_ is a chain of count_ elements up to ordered_last_, and some_ordered_ says whether there are any.
// And at any time:
//   I3  whoever finds nothing in incoming_ because it was moved sees some_ordered_ set, or what came after: it is set
//       before the exchange that moves. So empty() never says yes of an element whose push it could see, unless that
//       element was popped.
// There is no ABA, for the reasons that inbox.hpp gives.
template <class Atomics = std_atomics>
class basic_injection_queue
{
public:
    basic_injection_queue() noexcept = default;
    basic_injection_queue(const basic_injection_queue&) = delete;
    basic_injection_queue& operator=(const basic_injection_queue&) = delete;

    // Appends one element. False when the queue is closed: the caller keeps the element. Never waits.
    [[nodiscard]] bool push(runnable* item) noexcept
    {
        runnable* seen = incoming_.load(std::memory_order_relaxed);
        do
        {
            if (seen == &closed_)
            {
                return false;
            }
            Atomics::store_plain(item->next, seen);
            // Release: partner is the acquire in collect(), which hands over the element.
        } while (!incoming_.compare_exchange_weak(seen, item, std::memory_order_release,
                                                  std::memory_order_relaxed));
        return true;
    }

    // Appends a chain of `count` elements from `first` to `last` in one go. False when the queue is
    // closed: the caller keeps the chain.
    [[nodiscard]] bool push_list(runnable* first, runnable* last, std::size_t count) noexcept
    {
        if (count == 0)
        {
            return true;
        }
        Atomics::store_plain(last->next, nullptr);
        const spin_guard guard(lock_);
        if (is_closed())
        {
            return false;
        }
        collect(nullptr);
        append({.first = first, .last = last, .count = count});
        return true;
    }

    // The oldest element, or null when the queue is empty.
    [[nodiscard]] runnable* pop() noexcept
    {
        return pop_batch(1).first;
    }

    // At most `limit` of the oldest elements, in order. Fewer than there are when some came after those that are in
    // order: they are the next batch.
    [[nodiscard]] runnable_list pop_batch(std::size_t limit) noexcept
    {
        return pop_share(1, limit);
    }

    // The same, but no more than a share of what is at hand, when there are `among` who take, and one.
    [[nodiscard]] runnable_list pop_share(std::size_t among, std::size_t limit) noexcept
    {
        if (limit == 0 || empty())
        {
            return {};
        }
        const spin_guard guard(lock_);
        if (count_ == 0)
        {
            collect(nullptr);
        }
        return take(std::min({limit, count_ / among + 1, count_}));
    }

    // Whether there was nothing inside a moment ago; takes no lock. The scheduler's last look before parking needs more
    // than I3: there the idle set orders the push before the look.
    [[nodiscard]] bool empty() const noexcept
    {
        // Acquire: partner is the release in collect().
        runnable* const seen = incoming_.load(std::memory_order_acquire);
        // Relaxed: ordered by the load before, see I3.
        return (seen == nullptr || seen == &closed_) &&
               !some_ordered_.load(std::memory_order_relaxed);
    }

    struct figures
    {
        std::size_t length = 0;
        // Elements that were ever added.
        std::uint64_t pushed_total = 0;
    };
    [[nodiscard]] figures count() noexcept
    {
        const spin_guard guard(lock_);
        collect(nullptr);
        return {.length = count_, .pushed_total = pushed_total_};
    }

    // Refuses elements from now on; what is inside can still be popped. True for the call that
    // closed.
    bool close() noexcept
    {
        const spin_guard guard(lock_);
        if (is_closed())
        {
            return false;
        }
        collect(&closed_);
        return true;
    }

    [[nodiscard]] bool is_closed() const noexcept
    {
        return incoming_.load(std::memory_order_relaxed) == &closed_;
    }

private:
    // With the lock: what has come becomes ordered, and incoming_ becomes `left_behind`.
    void collect(runnable* left_behind) noexcept
    {
        // Relaxed: what is not seen here yet is found by whoever looks next.
        runnable* newest = incoming_.load(std::memory_order_relaxed);
        if (newest == &closed_ || (newest == nullptr && left_behind == nullptr))
        {
            return;
        }
        // Before the exchange: see I3.
        some_ordered_.store(true, std::memory_order_relaxed);
        // Acquire: partner is the release of every push in the chain. Release: partner is the acquire in empty().
        newest = incoming_.exchange(left_behind, std::memory_order_acq_rel);
        runnable_list came{.first = nullptr, .last = newest, .count = 0};
        while (newest != nullptr)
        {
            runnable* const older = Atomics::load_plain(newest->next);
            Atomics::store_plain(newest->next, came.first);
            came.first = newest;
            ++came.count;
            newest = older;
        }
        append(came);
    }

    // With the lock.
    void append(const runnable_list& chain) noexcept
    {
        if (chain.count != 0)
        {
            if (count_ == 0)
            {
                ordered_ = chain.first;
            }
            else
            {
                Atomics::store_plain(ordered_last_->next, chain.first);
            }
            ordered_last_ = chain.last;
            count_ += chain.count;
            pushed_total_ += chain.count;
        }
        some_ordered_.store(count_ != 0, std::memory_order_relaxed);
    }

    // With the lock: `wanted` elements, which are there.
    [[nodiscard]] runnable_list take(std::size_t wanted) noexcept
    {
        if (wanted == 0)
        {
            return {};
        }
        runnable_list taken{.first = ordered_, .last = ordered_, .count = wanted};
        for (std::size_t index = 1; index < wanted; ++index)
        {
            taken.last = Atomics::load_plain(taken.last->next);
        }
        ordered_ = Atomics::load_plain(taken.last->next);
        Atomics::store_plain(taken.last->next, nullptr);
        count_ -= wanted;
        if (count_ == 0)
        {
            some_ordered_.store(false, std::memory_order_relaxed);
        }
        return taken;
    }

    // Only its address is used.
    runnable closed_{};
    alignas(64) typename Atomics::template atomic<runnable*> incoming_{nullptr};
    alignas(64) basic_spin_lock<Atomics> lock_;
    typename Atomics::template atomic<bool> some_ordered_{false}; // written under lock_
    runnable* ordered_ = nullptr;                                 // guarded by lock_
    runnable* ordered_last_ = nullptr;                            // likewise
    std::size_t count_ = 0;                                       // likewise
    std::uint64_t pushed_total_ = 0;                              // likewise
};

using injection_queue = basic_injection_queue<>;

} // namespace blitzio::detail
