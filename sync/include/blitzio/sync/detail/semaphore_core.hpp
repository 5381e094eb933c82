// What decides about a sync::semaphore, and the pattern of all types of sync that wait under one
// lock: a number, a lock, and a queue.
// Thread rule: any thread.
#pragma once

#include <blitzio/io/detail/assert.hpp>
#include <blitzio/io/detail/atomics.hpp>
#include <blitzio/io/detail/spin_lock.hpp>
#include <blitzio/sync/detail/permit_node.hpp>
#include <blitzio/sync/detail/wait_operation.hpp>
#include <blitzio/sync/detail/wait_queue.hpp>

#include <cstddef>
#include <limits>

namespace blitzio::detail
{

// Invariants while the lock is free:
//   W1  Nobody waits who could be granted: the head of the queue wants more than is there. Every
//       change that could let it go on (a release, a withdrawal before it) looks again under the
//       same lock.
//   W2  A node's status is changed under the lock only; it leaves `queued` once, by whoever takes
//       it out of the queue, and that one continues it, without the lock.
//   W3  A stop request that comes before the wait leaves `cancelled` in the status, and the attempt
//       that follows does not enter the queue.
//   W4  A case of a select is granted only by who has claimed its choice, under the lock; else it
//       is taken out with `cancelled`, and the next one is looked at.
// W2 to W4 are the same in shared_mutex, event, notify, barrier, condition_variable, watch and
// broadcast, whose headers state their own W1; the model test of this core stands for them. (A wait
// at a barrier and one with a condition variable are no cases of selects.)
template <class Atomics = std_atomics>
class semaphore_core
{
public:
    explicit semaphore_core(std::size_t permits) noexcept : available_(permits) {}

    semaphore_core(const semaphore_core&) = delete;
    semaphore_core& operator=(const semaphore_core&) = delete;

    [[nodiscard]] bool try_acquire(std::size_t count) noexcept
    {
        spin_guard held(lock_);
        if (!may_take(count))
        {
            return false;
        }
        available_ -= count;
        return true;
    }

    /// The meaning of the result is that of wait_operation's attempt().
    [[nodiscard]] bool acquire_or_enqueue(permit_node& wanting, attempt_mode mode) noexcept
    {
        if (mode != attempt_mode::only_try)
        {
            return enter(wanting, mode);
        }
        if (!try_acquire(wanting.wanted))
        {
            return false;
        }
        wanting.status = wait_status::granted;
        return true;
    }

    /// For a stop request; as withdraw_node(). The caller wakes those in `granted`.
    [[nodiscard]] bool withdraw(permit_node& wanting, wake_list& granted) noexcept
    {
        spin_guard held(lock_);
        const bool was_waiting = withdraw_node(waiting_, wanting);
        // It may have been the one that wanted too much for those behind it.
        grant(granted);
        return was_waiting;
    }

    /// The caller wakes the chain that it gets, which may be null; see wake_list.
    [[nodiscard]] wait_node* release(std::size_t count) noexcept
    {
        spin_guard held(lock_);
        BLITZIO_ASSERT(count <= std::numeric_limits<std::size_t>::max() - available_);
        available_ += count;
        return waiting_.empty() ? nullptr : grant_waiting();
    }

    [[nodiscard]] std::size_t available() const noexcept
    {
        spin_guard held(lock_);
        return available_;
    }

private:
    // Apart, so that what comes before becomes part of the coroutine.
    [[nodiscard, gnu::noinline]] bool enter(permit_node& wanting, attempt_mode mode) noexcept
    {
        spin_guard held(lock_);
        if (wanting.status == wait_status::cancelled)
        {
            return true;
        }
        if (may_take(wanting.wanted))
        {
            if (decide<Atomics>(wanting, wait_status::granted))
            {
                available_ -= wanting.wanted;
            }
            return true;
        }
        if (mode == attempt_mode::or_wait)
        {
            waiting_.push_back(wanting);
        }
        return false;
    }

    /// Lock held.
    [[nodiscard]] bool may_take(std::size_t count) const noexcept
    {
        return waiting_.empty() && available_ >= count;
    }

    /// Lock held. Apart, so that a release nobody waits for stays short.
    [[nodiscard, gnu::noinline]] wait_node* grant_waiting() noexcept
    {
        wake_list granted;
        grant(granted);
        return granted.chain();
    }

    /// Lock held.
    void grant(wake_list& granted) noexcept
    {
        while (wait_node* const first = waiting_.front())
        {
            const std::size_t wanted = static_cast<permit_node*>(first)->wanted;
            if (available_ < wanted)
            {
                return;
            }
            if (granted.grant_if_chosen<Atomics>(waiting_, *first))
            {
                available_ -= wanted;
            }
        }
    }

    mutable basic_spin_lock<Atomics> lock_;
    std::size_t available_;
    wait_queue waiting_;
};

} // namespace blitzio::detail
