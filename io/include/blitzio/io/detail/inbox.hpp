// A worker's letter box: any thread puts runnables in, the worker takes them all out.
//
// It also says whether the worker sleeps. The sleep mark is a value of the same word that holds the
// list, so "there are no letters" and "wake me for the next one" are one decision, and exactly one
// producer learns that it has to wake the worker.
//
// Threading rule: push() and looks_empty() from any thread; the rest from the consumer only.
#pragma once

#include <blitzio/io/detail/atomics.hpp>
#include <blitzio/io/detail/runnable.hpp>

#include <atomic>

namespace blitzio::detail
{

// head_ is one of: null (no letters, consumer active), &asleep_ (no letters, consumer inactive), or
// the newest letter, whose chain of `next` leads to the oldest.
// Invariants:
//   I1  only the consumer turns null into &asleep_, and only a producer or the consumer itself ends
//       that state, by one atomic step; so of all pushes that follow one try_mark_inactive()
//       exactly one returns true, unless mark_active() came first, and then none does;
//   I2  a letter's `next` is written by its producer before the letter is published, and read by
//       the consumer after it took the whole chain; nobody else touches it in between.
// No letter is lost: a push either replaces null or another letter, then the consumer is active and
// will look again before it may become inactive (try_mark_inactive fails while there are letters),
// or it replaces &asleep_ and its caller wakes the consumer. There is no ABA: the producer's
// compare-exchange does not follow the pointer it compares, and the chain below an equal head value
// is the chain that belongs to it, because `next` was written from that same value.
template <class Atomics = std_atomics>
class inbox
{
public:
    inbox() noexcept = default;
    inbox(const inbox&) = delete;
    inbox& operator=(const inbox&) = delete;

    // Adds one element. True: the consumer was marked inactive, and this caller, and only it, must
    // wake it. After a false the element may be running already.
    [[nodiscard]] bool push(runnable* item) noexcept
    {
        runnable* seen = head_.load(std::memory_order_relaxed);
        for (;;)
        {
            Atomics::store_plain(item->next, seen == &asleep_ ? nullptr : seen);
            // Release: partner is the acquire in take_all(), which hands over the element. Acquire:
            // partner is the release in try_mark_inactive(), so that the one who wakes the consumer
            // sees what it set up for being woken.
            if (head_.compare_exchange_weak(seen, item, std::memory_order_acq_rel,
                                            std::memory_order_relaxed))
            {
                return seen == &asleep_;
            }
        }
    }

    // Consumer: everything that is inside, oldest first, or null. Must not be called while marked
    // inactive.
    [[nodiscard]] runnable* take_all() noexcept
    {
        // Relaxed: only a hint that spares the exchange; null is null in any order.
        if (head_.load(std::memory_order_relaxed) == nullptr)
        {
            return nullptr;
        }
        // Acquire: partner is the release of every push in the chain (each one continues the
        // release sequence of the one before). Release: partner is the acquire in looks_empty().
        runnable* newest = head_.exchange(nullptr, std::memory_order_acq_rel);
        Atomics::expect(newest != &asleep_);
        runnable* oldest = nullptr;
        while (newest != nullptr)
        {
            runnable* const older = Atomics::load_plain(newest->next);
            Atomics::store_plain(newest->next, oldest);
            oldest = newest;
            newest = older;
        }
        return oldest;
    }

    // Consumer: announces that it is about to sleep. False when there are elements: take them
    // instead.
    [[nodiscard]] bool try_mark_inactive() noexcept
    {
        runnable* expected = nullptr;
        // Release: partner is the acquire in push().
        return head_.compare_exchange_strong(expected, &asleep_, std::memory_order_release,
                                             std::memory_order_relaxed);
    }

    // Consumer, after sleeping for whatever reason: it is awake. True when the mark was still
    // there; false when a producer has replaced it, whose wake is under way or has arrived.
    bool mark_active() noexcept
    {
        runnable* expected = &asleep_;
        // Relaxed: nothing is handed over; elements are acquired by take_all().
        return head_.compare_exchange_strong(expected, nullptr, std::memory_order_relaxed,
                                             std::memory_order_relaxed);
    }

    // Any thread: whether there was nothing inside a moment ago. Whoever sees that the letters were
    // taken sees what the consumer did before it took them.
    [[nodiscard]] bool looks_empty() const noexcept
    {
        // Acquire: partner is the release in take_all().
        runnable* const seen = head_.load(std::memory_order_acquire);
        return seen == nullptr || seen == &asleep_;
    }

private:
    // Only its address is used: the mark of an inactive consumer.
    runnable asleep_{};
    typename Atomics::template atomic<runnable*> head_{nullptr};
};

} // namespace blitzio::detail
