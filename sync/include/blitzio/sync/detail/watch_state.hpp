// What the ends of one sync::watch share: the latest value, its version, and who waits for the next.
// Thread rule: any thread; everything but the counts of ends is guarded by one lock, under which
// values are neither copied nor destroyed.
#pragma once

#include <blitzio/io/detail/spin_lock.hpp>
#include <blitzio/sync/detail/channel_nodes.hpp>
#include <blitzio/sync/detail/shared_value.hpp>
#include <blitzio/sync/detail/wait_operation.hpp>
#include <blitzio/sync/detail/wait_queue.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace blitzio::detail
{

/// A wait for a change.
struct watch_node : wait_node
{
    std::uint64_t* seen = nullptr; // the receiver's version
};

// Invariants while the lock is free:
//   W1  a receiver waits only if it has seen the latest version and closed_ is not set.
// W2 to W4 of semaphore_core.hpp hold as they are.
template <class T>
class watch_state
{
public:
    /// One sender and one receiver exist. Throws std::bad_alloc.
    explicit watch_state(T&& initial) : latest_(shared_value_cell<T>::make(std::move(initial))) {}

    watch_state(const watch_state&) = delete;
    watch_state& operator=(const watch_state&) = delete;

    /// False: refused, and `sent` still has the value.
    [[nodiscard]] bool replace(value_reference<T>& sent) noexcept
    {
        return replace_if(sent, nullptr) == channel_transfer::done;
    }

    /// would_wait: the version is not `expected` any more.
    [[nodiscard]] channel_transfer replace_version(value_reference<T>& sent,
                                                   std::uint64_t expected) noexcept
    {
        return replace_if(sent, &expected);
    }

    [[nodiscard]] value_reference<T> latest(std::uint64_t& version) const noexcept
    {
        spin_guard held(lock_);
        version = version_;
        return latest_;
    }

    /// The meaning of the result is that of wait_operation's attempt().
    [[nodiscard]] bool await_change(watch_node& wanting, attempt_mode mode) noexcept
    {
        spin_guard held(lock_);
        if (wanting.status == wait_status::cancelled)
        {
            return true;
        }
        if (*wanting.seen != version_)
        {
            if (decide(wanting, wait_status::granted))
            {
                *wanting.seen = version_;
            }
            return true;
        }
        if (closed_)
        {
            static_cast<void>(decide(wanting, wait_status::closed));
            return true;
        }
        if (mode == attempt_mode::or_wait)
        {
            waiting_.push_back(wanting);
        }
        return false;
    }

    /// For a stop request; as withdraw_node().
    [[nodiscard]] bool withdraw(watch_node& wanting) noexcept
    {
        spin_guard held(lock_);
        return withdraw_node(waiting_, wanting);
    }

    void close() noexcept
    {
        wake_list told;
        {
            spin_guard held(lock_);
            closed_ = true;
            told.take_all(waiting_, wait_status::closed);
        }
        told.wake_all();
    }

    [[nodiscard]] bool is_closed() const noexcept
    {
        spin_guard held(lock_);
        return closed_;
    }

    [[nodiscard]] std::size_t receivers() const noexcept
    {
        return receivers_.load(std::memory_order_relaxed);
    }

    void add_sender() noexcept
    {
        senders_.fetch_add(1, std::memory_order_relaxed); // the caller's end keeps both > 0
        ends_.fetch_add(1, std::memory_order_relaxed);
    }

    void add_receiver() noexcept
    {
        receivers_.fetch_add(1, std::memory_order_relaxed);
        ends_.fetch_add(1, std::memory_order_relaxed); // as above
    }

    /// The state may be gone afterwards.
    void drop_sender() noexcept
    {
        // acq_rel, here and below: the last one sees all that the others did.
        if (senders_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        {
            close();
        }
        drop_end();
    }

    void drop_receiver() noexcept
    {
        receivers_.fetch_sub(1, std::memory_order_relaxed);
        drop_end();
    }

private:
    [[nodiscard]] channel_transfer replace_if(value_reference<T>& sent,
                                              const std::uint64_t* expected) noexcept
    {
        wake_list woken;
        {
            spin_guard held(lock_);
            if (closed_)
            {
                return channel_transfer::closed;
            }
            if (expected != nullptr && *expected != version_)
            {
                return channel_transfer::would_wait;
            }
            std::swap(latest_, sent); // the caller destroys the value before
            ++version_;
            while (wait_node* const first = woken.grant_front(waiting_))
            {
                *static_cast<watch_node*>(first)->seen = version_;
            }
        }
        woken.wake_all();
        return channel_transfer::done;
    }

    void drop_end() noexcept
    {
        if (ends_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        {
            delete this;
        }
    }

    mutable spin_lock lock_;
    bool closed_ = false;
    std::uint64_t version_ = 0;
    value_reference<T> latest_;
    wait_queue waiting_;
    std::atomic<std::size_t> senders_{1};
    std::atomic<std::size_t> receivers_{1};
    std::atomic<std::size_t> ends_{2};
};

} // namespace blitzio::detail
