// The jobs that wait for a thread, oldest first.
// Thread rule: any thread, every function. push() never waits for a thread of the pool, which may
// have lost its processor to the very I/O worker that pushes.
#pragma once

#include <blitzio/compute/pool.hpp>
#include <blitzio/io/detail/atomics.hpp>
#include <blitzio/io/detail/inbox.hpp>
#include <blitzio/io/detail/runnable.hpp>
#include <blitzio/io/detail/spin_lock.hpp>

#include <atomic>
#include <cstddef>
#include <type_traits>

namespace blitzio::compute::detail
{

/// Producers put jobs into the inbox, one compare-exchange each. The pool's threads share the
/// inbox's consumer side below a lock: whoever finds the ordered list empty moves the whole inbox
/// there, so that several jobs cost one transfer of its cache line.
///
/// Invariants:
///   I1  while the lock is free, every job that was pushed and not popped is in the inbox or in the
///       list, and those in the list are older;
///   I2  from before the inbox is emptied until the last job of the list is popped, some_ordered_ is
///       true. So who sees an empty inbox and then false misses no job whose push happens before:
///       either it is still in the inbox, or what has emptied the inbox is seen, and with it a true
///       that only the pop of that job ends.
/// is_empty() relies on I1, looks_empty() on I2. A thread that has told the idle set that it leaves
/// the search may use either: the pushes whose producers relied on it happen before.
template <class Atomics = blitzio::detail::std_atomics>
class basic_job_queue
{
    using runnable = blitzio::detail::runnable;
    using spin_lock = blitzio::detail::basic_spin_lock<Atomics>;
    using spin_guard = blitzio::detail::spin_guard<spin_lock>;

public:
    basic_job_queue() noexcept = default;
    basic_job_queue(const basic_job_queue&) = delete;
    basic_job_queue& operator=(const basic_job_queue&) = delete;

    void push(job& work) noexcept
    {
        // The inbox is never marked inactive: who sleeps is the idle set's business.
        static_cast<void>(inbox_.push(&work.link));
    }

    [[nodiscard]] job* pop() noexcept
    {
        const spin_guard guard(lock_);
        runnable* oldest = Atomics::load_plain(ordered_);
        if (oldest == nullptr)
        {
            if (inbox_.looks_empty())
            {
                return nullptr;
            }
            // Relaxed: whoever sees the inbox emptied acquires this with it.
            some_ordered_.store(true, std::memory_order_relaxed);
            oldest = inbox_.take_all(); // not null: nobody else takes from it meanwhile
        }
        runnable* const rest = Atomics::load_plain(oldest->next);
        Atomics::store_plain(ordered_, rest);
        // Relaxed: whoever believes that there is more looks again, and finds the truth.
        some_ordered_.store(rest != nullptr, std::memory_order_relaxed);
        return reinterpret_cast<job*>(oldest);
    }

    [[nodiscard]] bool is_empty() noexcept
    {
        const spin_guard guard(lock_);
        return Atomics::load_plain(ordered_) == nullptr && inbox_.looks_empty();
    }

    /// Without the lock, so also for whoever spins. True misses no job whose push happens before;
    /// false may be wrong for a moment. The order of the two looks matters, see I2.
    [[nodiscard]] bool looks_empty() const noexcept
    {
        return inbox_.looks_empty() && !some_ordered_.load(std::memory_order_relaxed);
    }

private:
    // pop() goes from the link to the job that it is the first member of.
    static_assert(std::is_standard_layout_v<job> && offsetof(job, link) == 0);

    alignas(64) blitzio::detail::inbox<Atomics> inbox_;
    alignas(64) spin_lock lock_;
    runnable* ordered_ = nullptr;                                 // guarded by lock_
    typename Atomics::template atomic<bool> some_ordered_{false}; // written under lock_
};

using job_queue = basic_job_queue<>;

} // namespace blitzio::compute::detail
