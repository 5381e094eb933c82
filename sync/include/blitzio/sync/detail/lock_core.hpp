// What decides about a sync::mutex: one word that is enough while nobody waits, and a queue.
// Thread rule: any thread. release() by whoever holds the lock, once.
#pragma once

#include <blitzio/io/detail/atomics.hpp>
#include <blitzio/io/detail/spin_lock.hpp>
#include <blitzio/sync/detail/wait_operation.hpp>
#include <blitzio/sync/detail/wait_queue.hpp>

#include <atomic>
#include <cstdint>

namespace blitzio::detail
{

// Invariants:
//   I1  word_ is `unlocked` or has the held bit. Only a compare-exchange from `unlocked` takes the
//       lock, and only one from `held` frees it, so nobody takes it or frees it over a waiter.
//   I2  outside of queue_lock_ the waited bit is set exactly while the queue is not empty. It is
//       set and cleared under queue_lock_ only, and only while the lock is held.
// First come, first served: while somebody waits the word is not `unlocked` (I1, I2), so nobody
// gets past; a release that finds the waited bit gives the lock to the head of the queue.
// A case of a select takes the lock, or enters the queue, while it holds its choice: until it is
// known which, nobody decides for another case. It never takes the lock in passing (try_case).
// No wake-up is lost: a waiter enters the queue after it has set the waited bit on a word with the
// held bit, in one step; the holder cannot free that word any more, and comes to the queue.
// Nobody touches a lock that may be gone: what frees the lock is a compare-exchange outside of
// queue_lock_ and the last access; what hands it over lets go of queue_lock_ before the heir runs.
template <class Atomics = std_atomics>
class lock_core
{
public:
    lock_core() noexcept = default;
    lock_core(const lock_core&) = delete;
    lock_core& operator=(const lock_core&) = delete;

    [[nodiscard]] bool is_held() const noexcept
    {
        return word_.load(std::memory_order_relaxed) != unlocked;
    }

    /// Takes the lock if it is free, which it never is while somebody waits.
    [[nodiscard]] bool try_acquire() noexcept
    {
        std::uint8_t expected = unlocked;
        // Looking first spares the holder the loss of its cache line.
        // Acquire: partner is the release in release().
        return !is_held() &&
               word_.compare_exchange_strong(expected, held, std::memory_order_acquire,
                                             std::memory_order_relaxed);
    }

    /// The meaning of the result is that of wait_operation's attempt().
    [[nodiscard]] bool acquire_or_enqueue(wait_node& node, attempt_mode mode) noexcept
    {
        switch (mode)
        {
        case attempt_mode::only_try: break;
        case attempt_mode::try_case: return false;
        case attempt_mode::or_wait: return enter(node);
        }
        if (!try_acquire())
        {
            return false;
        }
        node.status = wait_status::granted;
        return true;
    }

    /// For a stop request; as withdraw_node().
    [[nodiscard]] bool withdraw(wait_node& node) noexcept
    {
        spin_guard inside(queue_lock_);
        if (!withdraw_node(waiting_, node))
        {
            return false;
        }
        note_removal();
        return true;
    }

    /// Gives the lock to the one that waits longest, or frees it. The caller continues those in
    /// the chain it gets (see wake_list): the heir, and cases of selects that chose another one.
    [[nodiscard]] wait_node* release() noexcept
    {
        std::uint8_t expected = word_.load(std::memory_order_relaxed);
        // Release: partner is the acquire of who takes the lock next.
        if (expected == held &&
            word_.compare_exchange_strong(expected, unlocked, std::memory_order_release,
                                          std::memory_order_relaxed)) [[likely]]
        {
            return nullptr;
        }
        return hand_over();
    }

    /// For the holder, once each time: true every few times. Asking the worker for a piece of the
    /// task's budget costs as much as locking, so it is asked for less often.
    [[nodiscard]] bool charges_budget() noexcept
    {
        return ++times_held_ % locks_per_budget == 0;
    }

private:
    static constexpr std::uint8_t locks_per_budget = 8;
    static constexpr std::uint8_t unlocked = 0;
    static constexpr std::uint8_t held = 1;
    static constexpr std::uint8_t waited_bit = 2;

    [[nodiscard, gnu::always_inline]] bool enter(wait_node& node) noexcept
    {
        spin_guard inside(queue_lock_);
        if (node.status == wait_status::cancelled)
        {
            return true;
        }
        return node.case_number == 0 ? take_or_push(node) : take_or_push_case(node);
    }

    /// queue_lock_ held. As take_or_push().
    [[nodiscard, gnu::noinline]] bool take_or_push_case(wait_node& node) noexcept
    {
        auto& shared = choice_of<Atomics>(node);
        if (!shared.hold())
        {
            node.status = wait_status::cancelled;
            return true;
        }
        const bool taken = take_or_push(node);
        if (taken)
        {
            shared.settle(static_cast<std::size_t>(node.case_number - 1));
        }
        else
        {
            shared.let_go();
        }
        return taken;
    }

    /// Somebody waits, or did when the word was read.
    [[nodiscard]] wait_node* hand_over() noexcept
    {
        {
            spin_guard inside(queue_lock_);
            wait_node* const first = waiting_.front();
            if (first != nullptr && first->case_number == 0) [[likely]]
            {
                waiting_.remove_front(wait_status::granted);
                note_removal();
                first->next = nullptr;
                return first;
            }
        }
        return hand_over_to_cases();
    }

    [[nodiscard, gnu::noinline]] wait_node* hand_over_to_cases() noexcept
    {
        wake_list told;
        for (;;)
        {
            Atomics::expect(word_.load(std::memory_order_relaxed) != unlocked);
            {
                spin_guard inside(queue_lock_);
                if (!waiting_.empty())
                {
                    const bool inherited = told.grant_front<Atomics>(waiting_) != nullptr;
                    note_removal();
                    if (inherited)
                    {
                        return told.chain();
                    }
                }
            }
            // The last waiter was withdrawn meanwhile, or its select has chosen another case.
            std::uint8_t expected = held;
            if (word_.compare_exchange_strong(expected, unlocked, std::memory_order_release,
                                              std::memory_order_relaxed))
            {
                return told.chain();
            }
        }
    }

    /// queue_lock_ held. True: the node has the lock. False: it is in the queue.
    [[nodiscard]] bool take_or_push(wait_node& node) noexcept
    {
        std::uint8_t seen = word_.load(std::memory_order_relaxed);
        while ((seen & waited_bit) == 0)
        {
            const bool is_free = seen == unlocked;
            // Acquire: partner is the release in release(). The waited bit publishes nothing: who
            // finds it takes queue_lock_ before looking further.
            if (word_.compare_exchange_weak(seen, is_free ? held : held | waited_bit,
                                            std::memory_order_acquire, std::memory_order_relaxed))
            {
                if (is_free)
                {
                    node.status = wait_status::granted;
                    return true;
                }
                break;
            }
        }
        waiting_.push_back(node);
        return false;
    }

    /// queue_lock_ held, a node was taken out, so the word is held | waited_bit, and stays so.
    void note_removal() noexcept
    {
        if (waiting_.empty())
        {
            word_.store(held, std::memory_order_relaxed);
        }
    }

    typename Atomics::template atomic<std::uint8_t> word_{unlocked};
    basic_spin_lock<Atomics> queue_lock_;
    std::uint8_t times_held_ = 0; // the holder's
    wait_queue waiting_;
};

} // namespace blitzio::detail
