// The word that decides which case of a select takes effect.
//
// A case that waits in the queue of a synchronisation object may be granted by anybody at any time,
// and two of its cases by two threads at once. Whoever is about to grant one asks here first; all
// but one are refused, and go on to the next in their queue. Go's runtime does the same with
// sudog.isSelect and g.selectDone, but can lock all channels of a select beforehand; we cannot, so
// the case that a select is just starting is claimed together with the one that it meets by the
// protocol of Reppy, Russo and Xiao, "Parallel Concurrent ML" (ICFP 2009).
//
// Thread rule: claim() and index() on any thread; hold(), settle() and claim_both()'s `own` by the
// thread that starts the select's cases.
#pragma once

#include <blitzio/io/detail/atomics.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace blitzio::detail
{

/// Invariants:
///   C1  The word moves from `open` to the number of a case once, by a compare-exchange, and then
///       never again. So one case takes effect, and everybody who asks agrees on which.
///   C2  Between, only the starting thread puts it to `held` and back. While it is held nobody
///       decides, so what that thread does then (entering a queue, claiming another select) and the
///       decision are one step.
///   C3  Who holds one word waits for another one only if that lies at a higher address, and lets
///       go of it otherwise. So nobody waits in a circle: of all who wait, the one for the highest
///       word waits for a thread that goes on. A word is held with at most the lock of one object
///       taken, before it, and no lock is taken while it is held, so waiting for it under the lock
///       of another object is like waiting for a lock that is always taken last.
template <class Atomics = std_atomics>
class basic_choice
{
public:
    static constexpr std::size_t undecided = static_cast<std::size_t>(-1);

    enum class pair_result : std::uint8_t
    {
        both,
        own_lost,   // another case of the select that starts this one has taken effect
        other_lost, // another case of the select that was met has
    };

    basic_choice() noexcept = default;
    basic_choice(const basic_choice&) = delete;
    basic_choice& operator=(const basic_choice&) = delete;

    /// True for the one call that decides: case `index` takes effect.
    [[nodiscard]] bool claim(std::size_t index) noexcept
    {
        return move_from_open(word_of(index));
    }

    /// The same, but true as well when case `index` has been claimed before.
    [[nodiscard]] bool chooses(std::size_t index) noexcept
    {
        return claim(index) || this->index() == index;
    }

    /// The case that takes effect, or `undecided`.
    [[nodiscard]] std::size_t index() const noexcept
    {
        const std::uint8_t seen = word_.load(std::memory_order_relaxed);
        return seen < first_case ? undecided : seen - first_case;
    }

    /// Nobody decides until settle() or let_go(). False: decided before.
    [[nodiscard]] bool hold() noexcept
    {
        return move_from_open(held);
    }

    /// After hold(): case `index` takes effect.
    void settle(std::size_t index) noexcept
    {
        word_.store(word_of(index), std::memory_order_relaxed);
    }

    /// After hold(): open again.
    void let_go() noexcept
    {
        word_.store(open, std::memory_order_relaxed);
    }

    /// Case `own_index` of `own`, which is being started, and the waiting case `other_index` of
    /// `other`, another select, take effect together or not at all.
    [[nodiscard]] static pair_result claim_both(basic_choice& own, std::size_t own_index,
                                                basic_choice& other,
                                                std::size_t other_index) noexcept
    {
        const bool waits = std::less<>{}(&own, &other); // C3
        std::uint32_t round = 0;
        while (own.hold())
        {
            std::uint8_t seen = other.move_once(word_of(other_index));
            while (seen == held && waits)
            {
                Atomics::back_off(round++);
                seen = other.move_once(word_of(other_index));
            }
            if (seen == open)
            {
                own.settle(own_index);
                return pair_result::both;
            }
            own.let_go();
            if (seen != held)
            {
                return pair_result::other_lost;
            }
            Atomics::back_off(round++);
        }
        return pair_result::own_lost;
    }

private:
    // All orders are relaxed: what a decision hands over is published by the lock of the object in
    // whose queue the case waited, and by the wake-up. Only the order of changes of one word counts.
    static constexpr std::uint8_t open = 0;
    static constexpr std::uint8_t held = 1;
    static constexpr std::uint8_t first_case = 2;

    [[nodiscard]] static constexpr std::uint8_t word_of(std::size_t index) noexcept
    {
        return static_cast<std::uint8_t>(first_case + index);
    }

    /// From `open` to `wanted`, if it is open; gives what it was.
    [[nodiscard]] std::uint8_t move_once(std::uint8_t wanted) noexcept
    {
        // Looking first: who comes late does not take the cache line away from others.
        std::uint8_t seen = word_.load(std::memory_order_relaxed);
        if (seen == open)
        {
            word_.compare_exchange_strong(seen, wanted, std::memory_order_relaxed,
                                          std::memory_order_relaxed);
        }
        return seen;
    }

    [[nodiscard]] bool move_from_open(std::uint8_t wanted) noexcept
    {
        std::uint8_t seen = move_once(wanted);
        for (std::uint32_t round = 0; seen == held; ++round)
        {
            Atomics::back_off(round);
            seen = move_once(wanted);
        }
        return seen == open;
    }

    typename Atomics::template atomic<std::uint8_t> word_{open};
};

using choice = basic_choice<>;

/// An operation that asks the choice before it takes effect, if it is a case of a select: told
/// before its start, once, with the number of the case. Its waiter's context is then the choice.
template <class Operation>
concept choosable = requires(Operation& operation, choice& shared, std::size_t index) {
    { operation.join_choice(shared, index) } noexcept;
};

/// An operation whose success has no effect until await_resume() is called. forgo() is called in
/// its place when another case was chosen, and lets go of what start() made.
template <class Operation>
concept revocable = requires(Operation& operation) {
    { operation.forgo() } noexcept;
};

} // namespace blitzio::detail
