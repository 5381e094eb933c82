// A point at which a fixed number of tasks waits for each other, again and again.
// Thread rule: arrive_and_wait() in tasks; arrive_and_drop() on any thread.
#pragma once

#include <blitzio/io/detail/assert.hpp>
#include <blitzio/io/detail/spin_lock.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/sync/detail/wait_operation.hpp>
#include <blitzio/sync/detail/wait_queue.hpp>

#include <cstddef>

namespace blitzio::sync
{

/// When as many have arrived as take part, all go on and the next round begins.
/// Lifetime: outlives everybody who waits for it.
class barrier
{
public:
    class arrive_operation;

    /// `participants` is not 0.
    explicit barrier(std::size_t participants) noexcept : participants_(participants)
    {
        BLITZIO_ASSERT(participants != 0);
    }

    barrier(const barrier&) = delete;
    barrier& operator=(const barrier&) = delete;

    /// Awaited: result<bool>, when the round is complete; true for exactly one of those who wait in
    /// it, who may do what has to be done once. No allocation.
    /// Cancellation: operation_canceled, and it is as if the task had not arrived: the round waits
    /// for somebody else, or for arrive_and_drop(). A round that was completed before counts.
    /// Errors: io_errc::closed when all participants have dropped out.
    [[nodiscard]] arrive_operation arrive_and_wait() noexcept;

    /// One participant less, in this round and in all that follow; completes the round when only
    /// its arrival was missing. To be called as often as there are participants, at most.
    void arrive_and_drop() noexcept;

    /// How many take part; may be outdated at once.
    [[nodiscard]] std::size_t participants() const noexcept;

private:
    struct node : detail::wait_node
    {
        bool chosen = false;
    };

    [[nodiscard]] bool arrive_or_enqueue(node& arriving, detail::attempt_mode mode) noexcept;
    [[nodiscard]] bool withdraw(node& arriving) noexcept;

    // Invariants while lock_ is free:
    //   W1  arrived_ is the number of those who wait, and less than participants_ unless both are 0.
    // W2 and W3 of detail/semaphore_core.hpp hold as they are; there are no cases of selects, since
    // all who wait would have to be chosen at once.
    mutable detail::spin_lock lock_;
    std::size_t participants_;
    std::size_t arrived_ = 0;
    detail::wait_queue waiting_;
};

class barrier::arrive_operation
    : public detail::wait_operation<barrier::arrive_operation, barrier::node>
{
public:
    explicit arrive_operation(barrier& awaited) noexcept : awaited_(&awaited) {}

    [[nodiscard]] result<bool> await_resume() noexcept
    {
        const auto decision = conclude();
        if (decision != detail::wait_status::granted)
        {
            return error_of(decision);
        }
        return chosen;
    }

private:
    friend detail::wait_operation<barrier::arrive_operation, barrier::node>;

    [[nodiscard]] bool attempt(detail::attempt_mode mode) noexcept
    {
        return awaited_->arrive_or_enqueue(*this, mode);
    }

    [[nodiscard]] bool withdraw() noexcept
    {
        return awaited_->withdraw(*this);
    }

    barrier* awaited_;
};

inline barrier::arrive_operation barrier::arrive_and_wait() noexcept
{
    return arrive_operation(*this);
}

} // namespace blitzio::sync
