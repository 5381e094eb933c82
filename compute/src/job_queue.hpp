// The jobs that wait for a thread, oldest first.
// Thread rule: any thread, every function. push() never waits for a thread of the pool, which may
// have lost its processor to the very I/O worker that pushes.
#pragma once

#include <blitzio/compute/pool.hpp>
#include <blitzio/io/detail/inbox.hpp>
#include <blitzio/io/detail/spin_lock.hpp>

#include <type_traits>

namespace blitzio::compute::detail
{

/// Producers put jobs into the inbox, one compare-exchange each. The pool's threads share the
/// inbox's consumer side below a lock: whoever finds the ordered list empty moves the whole inbox
/// there, so that several jobs cost one transfer of its cache line.
///
/// Invariant, while the lock is free: every job that was pushed and not popped is in the inbox or
/// in the list, and those in the list are older. So is_empty(), which takes the lock, never misses
/// a job that is on its way from one to the other; looks_empty() may.
class job_queue
{
public:
    job_queue() noexcept = default;
    job_queue(const job_queue&) = delete;
    job_queue& operator=(const job_queue&) = delete;

    void push(job& work) noexcept
    {
        // The inbox is never marked inactive: who sleeps is the idle set's business.
        static_cast<void>(inbox_.push(&work.link));
    }

    [[nodiscard]] job* pop() noexcept
    {
        const blitzio::detail::spin_guard guard(lock_);
        if (ordered_ == nullptr)
        {
            ordered_ = inbox_.take_all();
            if (ordered_ == nullptr)
            {
                return nullptr;
            }
        }
        blitzio::detail::runnable* const oldest = ordered_;
        ordered_ = oldest->next;
        // Relaxed: a hint only.
        some_ordered_.store(ordered_ != nullptr, std::memory_order_relaxed);
        return reinterpret_cast<job*>(oldest);
    }

    [[nodiscard]] bool is_empty() noexcept
    {
        const blitzio::detail::spin_guard guard(lock_);
        return ordered_ == nullptr && inbox_.looks_empty();
    }

    /// A look for whoever spins; may be wrong for a moment.
    [[nodiscard]] bool looks_empty() const noexcept
    {
        return inbox_.looks_empty() && !some_ordered_.load(std::memory_order_relaxed);
    }

private:
    // pop() goes from the link to the job that it is the first member of.
    static_assert(std::is_standard_layout_v<job> && offsetof(job, link) == 0);

    alignas(64) blitzio::detail::inbox<> inbox_;
    alignas(64) blitzio::detail::spin_lock lock_;
    blitzio::detail::runnable* ordered_ = nullptr; // guarded by lock_
    std::atomic<bool> some_ordered_{false};        // written under lock_
};

} // namespace blitzio::compute::detail
