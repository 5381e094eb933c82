// Which workers sleep, how many search for work, and whom a new piece of work wakes.
//
// Threading rule: should_wake, worker_to_notify and the counters from any thread; each transition
// and unpark_if_parked only by the worker it speaks of.
//
// How a worker uses it:
//   out of local work:   if (transition_worker_to_searching()) search the other queues;
//   found some:          if (transition_from_searching()) notify();
//   found none:          if (transition_to_parked(me, was_searching)) { look at every queue once
//   more;
//                        if one has work, notify(); }  then wait in the driver until woken;
//   woken:               was_searching = transition_from_parked(me);
// How a producer uses it: push first, then notify(), which is
//   if (auto chosen = worker_to_notify()) wake the driver of *chosen.
#pragma once

#include <blitzio/io/detail/atomics.hpp>

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace blitzio::detail
{

// state_ counts the searching and the unparked workers. parked_ has one bit per sleeping worker.
//
// No work is left behind: whenever work waits in a queue and a worker sleeps, somebody searches, or
// a look at the queues is still to come. Let P be the read-modify-write of state_ that follows the
// push (in should_wake or worker_to_notify), and look at the state that P finds.
//   - Nobody searches and somebody sleeps: P's caller wakes one, which then counts as searching.
//   - Somebody searches: the last searcher ends with a read-modify-write of state_ which comes
//     after P in the modification order, hence synchronises with P and sees the push. It then
//     either looks at all queues (transition_to_parked returned true) or notifies
//     (transition_from_searching did).
//   - All are unparked: whoever parks next comes after P in the same way, and whoever leaves the
//     number of searchers at zero by parking, searching itself or not, looks again.
// This is the store-then-look-at-the-other pattern (Dekker). Plain loads would not do, because a
// store may be delayed past a later load; here both sides use read-modify-writes of the same word,
// which are totally ordered, and no stand-alone fence, which ThreadSanitizer cannot follow. A
// compiler may turn the addition of zero into a fence and a load, which keeps producers off each
// other's line.
//
// Reservations: waking takes two steps, first state_ (unparked + 1), then a bit of parked_.
// Sleeping sets the bit first and then state_. So a sleeper by state_'s account has a bit, and
// these cross:
//   - A notifier (also searching + 1, so there is one at a time) takes any bit. It finds none when
//     the sleeper it counted on is waking by itself; then it takes its reservation back and looks
//     at the state again. Until then it was a searcher that does not search, and others relied on
//     it, but its new look comes after theirs in the modification order and answers for them.
//   - A worker that wakes by itself takes its own bit. It finds it gone when a notifier was faster,
//     then it takes its reservation back. Until then state_ counts one sleeper too few, but the
//     notifier that was faster has made this worker a searcher, so nobody is missing.
template <class Atomics = std_atomics, std::uint32_t MaxWorkers = 256>
class idle_set
{
    static_assert(MaxWorkers > 0 && MaxWorkers <= 0x7fff, "the counters have 16 bits each");

public:
    static constexpr std::uint32_t max_workers = MaxWorkers;

    // All workers begin unparked and not searching.
    explicit idle_set(std::uint32_t workers) noexcept
        : workers_(workers), state_(workers * one_unparked)
    {
        Atomics::expect(workers > 0 && workers <= MaxWorkers);
    }

    idle_set(const idle_set&) = delete;
    idle_set& operator=(const idle_set&) = delete;

    // Whether work that was pushed before this call needs a sleeper to be woken.
    [[nodiscard]] bool should_wake() noexcept
    {
        return wants_searcher(read_state());
    }

    // The worker that the caller must wake for work that it pushed before this call; none when
    // somebody searches already or nobody sleeps. The chosen one counts as unparked and searching
    // from here on, so losing the wake would lose work.
    [[nodiscard]] std::optional<std::uint32_t> worker_to_notify() noexcept
    {
        std::uint32_t seen = read_state();
        while (wants_searcher(seen))
        {
            // seq_cst, here and below: partner is every other read-modify-write of state_ (see
            // above). A failure reads a later value than read_state() did, whose writer comes after
            // it.
            if (!state_.compare_exchange_weak(seen, seen + reservation, std::memory_order_seq_cst,
                                              std::memory_order_seq_cst))
            {
                continue;
            }
            if (const auto chosen = take_any())
            {
                return chosen;
            }
            seen = state_.fetch_sub(reservation, std::memory_order_seq_cst) - reservation;
        }
        return std::nullopt;
    }

    // A worker without work asks to search. False when half of the workers search already; it
    // should park then. Two that ask at once may exceed the half by one, which only costs a look.
    [[nodiscard]] bool transition_worker_to_searching() noexcept
    {
        // Relaxed: a hint; transition_to_parked takes care of whoever was turned away wrongly.
        if (2 * searching_in(state_.load(std::memory_order_relaxed)) >= workers_)
        {
            return false;
        }
        // seq_cst: partner is every other read-modify-write of state_.
        state_.fetch_add(one_searching, std::memory_order_seq_cst);
        return true;
    }

    // A searcher has found work. True: it was the last searcher, and the caller must notify,
    // because producers have relied on it meanwhile.
    [[nodiscard]] bool transition_from_searching() noexcept
    {
        // seq_cst: partner is every other read-modify-write of state_.
        const std::uint32_t before = state_.fetch_sub(one_searching, std::memory_order_seq_cst);
        Atomics::expect(searching_in(before) > 0);
        return searching_in(before) == 1;
    }

    // The worker is about to sleep. True: nobody searches now, and the caller must look at every
    // queue once more and notify (possibly itself) when there is work.
    [[nodiscard]] bool transition_to_parked(std::uint32_t index, bool was_searching) noexcept
    {
        // Release: partner is the acquire in take_any(), whose caller wakes this worker.
        parked_[word_of(index)].fetch_or(bit_of(index), std::memory_order_release);
        const std::uint32_t leaving = one_unparked + (was_searching ? one_searching : 0);
        // seq_cst: partner is every other read-modify-write of state_. It also publishes the bit.
        const std::uint32_t before = state_.fetch_sub(leaving, std::memory_order_seq_cst);
        Atomics::expect(unparked_in(before) > 0);
        return searching_in(before - leaving) == 0;
    }

    // The worker stops sleeping, whatever woke it. True: a notifier chose it, and it counts as
    // searching. False: it woke by itself (its driver had something for it) and does not.
    [[nodiscard]] bool transition_from_parked(std::uint32_t index) noexcept
    {
        return !unpark_if_parked(index);
    }

    // The worker itself: if no notifier has chosen it, it counts as unparked again and the answer
    // is true. False: it was chosen, or does not sleep.
    bool unpark_if_parked(std::uint32_t index) noexcept
    {
        if (!is_parked(index))
        {
            return false;
        }
        // seq_cst: partner is every other read-modify-write of state_.
        state_.fetch_add(one_unparked, std::memory_order_seq_cst);
        if (take(index))
        {
            return true;
        }
        state_.fetch_sub(one_unparked, std::memory_order_seq_cst);
        return false;
    }

    // The worker itself: true while it sleeps by this set's account, so that after a wake for
    // nothing it may go on sleeping without any transition.
    [[nodiscard]] bool is_parked(std::uint32_t index) const noexcept
    {
        // Acquire: partner is the release in take(), so that a chosen worker sees the work for
        // which it was chosen.
        const auto bits = parked_[word_of(index)].load(std::memory_order_acquire);
        return (bits & bit_of(index)) != 0;
    }

    // For metrics and tests; stale the moment they return.
    [[nodiscard]] std::uint32_t searching() const noexcept
    {
        return searching_in(state_.load(std::memory_order_relaxed));
    }

    [[nodiscard]] std::uint32_t unparked() const noexcept
    {
        return unparked_in(state_.load(std::memory_order_relaxed));
    }

private:
    static constexpr std::uint32_t one_searching = 1;
    static constexpr std::uint32_t one_unparked = 1U << 16;
    static constexpr std::uint32_t reservation = one_searching + one_unparked;
    static constexpr std::uint32_t bits_per_word = 64;
    static constexpr std::uint32_t words = (MaxWorkers + bits_per_word - 1) / bits_per_word;

    static constexpr std::uint32_t searching_in(std::uint32_t state) noexcept
    {
        return state & (one_unparked - 1);
    }

    static constexpr std::uint32_t unparked_in(std::uint32_t state) noexcept
    {
        return state / one_unparked;
    }

    static constexpr std::size_t word_of(std::uint32_t index) noexcept
    {
        return index / bits_per_word;
    }

    static constexpr std::uint64_t bit_of(std::uint32_t index) noexcept
    {
        return std::uint64_t{1} << (index % bits_per_word);
    }

    [[nodiscard]] bool wants_searcher(std::uint32_t state) const noexcept
    {
        return searching_in(state) == 0 && unparked_in(state) < workers_;
    }

    [[nodiscard]] std::uint32_t read_state() noexcept
    {
        // seq_cst, and a read-modify-write instead of a load, on purpose: partner is every other
        // read-modify-write of state_.
        return state_.fetch_add(0, std::memory_order_seq_cst);
    }

    // True when this call cleared the bit.
    bool take(std::uint32_t index) noexcept
    {
        // Acquire: partner is the release in transition_to_parked(). Release: partner is the
        // acquire in is_parked().
        const auto before =
            parked_[word_of(index)].fetch_and(~bit_of(index), std::memory_order_acq_rel);
        return (before & bit_of(index)) != 0;
    }

    // Redeems a notifier's reservation, if there is a sleeper left. The lowest index is preferred:
    // work stays on few, warm workers.
    [[nodiscard]] std::optional<std::uint32_t> take_any() noexcept
    {
        for (std::uint32_t word = 0; word * bits_per_word < workers_; ++word)
        {
            // Relaxed: the acquire is in take(), and the reservation in state_ came after the bit.
            auto bits = parked_[word].load(std::memory_order_relaxed);
            while (bits != 0)
            {
                const std::uint32_t index =
                    word * bits_per_word + static_cast<std::uint32_t>(std::countr_zero(bits));
                if (take(index))
                {
                    return index;
                }
                bits &= bits - 1;
            }
        }
        return std::nullopt;
    }

    const std::uint32_t workers_;
    // unparked << 16 | searching
    typename Atomics::template atomic<std::uint32_t> state_;
    std::array<typename Atomics::template atomic<std::uint64_t>, words> parked_{};
};

} // namespace blitzio::detail
