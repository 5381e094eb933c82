// Runs operations that would block a worker on the file pool and brings their results home. Used by
// the epoll driver for all files, by the io_uring driver for what the ring cannot do.
// Thread rule: owner thread only (the worker that owns the driver); the pool's threads appear only
// inside.
#pragma once

#include <blitzio/io/detail/inbox.hpp>
#include <blitzio/io/detail/op.hpp>
#include <blitzio/io/detail/ready_list.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace blitzio::detail
{

class blocking_pool;

/// An operation that was started belongs to the offload until collect() or try_cancel() has
/// returned it; `op.driver_data` is in use meanwhile, `op.next` and `op.run` are not touched.
///
/// Waking: the owner calls prepare_wait() before it sleeps. Only after a true is the wake function
/// called, once, by the pool thread that finishes first; while the owner is awake nobody pays for
/// a wake.
class blocking_offload
{
public:
    /// Called on a pool thread; must not call back.
    using wake_function = void (*)(void* context) noexcept;

    /// `pool` may be null: operations are then performed by start() itself, on the owner thread.
    blocking_offload(blocking_pool* pool, wake_function wake, void* context) noexcept;
    /// Nothing may be in flight.
    ~blocking_offload();
    blocking_offload(const blocking_offload&) = delete;
    blocking_offload& operator=(const blocking_offload&) = delete;

    /// True: handed to the pool, collect() will bring it back. False: it is over, op.result says
    /// how; that is so when the pool refused it (-EAGAIN: queue full, -ESHUTDOWN: shutting down, or
    /// why no thread could be started) or when there is no pool.
    [[nodiscard]] bool start(op& operation) noexcept;

    /// True: it had not begun and never will; the caller finishes it. False: the result comes
    /// through collect(). Only for operations that start() took.
    [[nodiscard]] bool try_cancel(op& operation) noexcept;

    /// Completes what the pool has finished by the rules of driver::finish(); how many there were.
    std::size_t collect(ready_list& ready) noexcept;

    /// Before the owner sleeps: false says that results are there, so collect() instead. After a
    /// true, collect() must come before the next prepare_wait().
    [[nodiscard]] bool prepare_wait() noexcept;

    /// Waits until no pool thread is inside the wake function any more. With nothing in flight this
    /// is as long as one wake takes; afterwards what the wake function uses may go.
    void await_wakes() noexcept;

    /// True when collect() would find something.
    [[nodiscard]] bool has_results() const noexcept
    {
        return !finished_.looks_empty();
    }

    /// With a pool, start() returns false only when the pool has refused.
    [[nodiscard]] bool has_pool() const noexcept
    {
        return pool_ != nullptr;
    }

    [[nodiscard]] std::size_t in_flight() const noexcept
    {
        return in_flight_;
    }

private:
    /// What the pool queues in place of the operation, whose own `run` belongs to the scheduler.
    struct job : runnable
    {
        blocking_offload* owner = nullptr;
        op* operation = nullptr;
        std::int32_t result = 0;
        job* next_free = nullptr;
    };

    static void run_job(runnable* item) noexcept;
    job* take_job() noexcept;
    void give_back(job& used) noexcept;

    blocking_pool* pool_;
    wake_function wake_;
    void* wake_context_;
    inbox<> finished_;
    bool waiting_marked_ = false;
    /// Wakes that pool threads took upon themselves, as the owner counts them, and those they have
    /// given: while the two differ, a pool thread is still using this object.
    std::uint32_t wakes_owed_ = 0;
    std::atomic<std::uint32_t> wakes_given_{0};
    std::size_t in_flight_ = 0;
    /// Jobs are kept for reuse: as many as were ever in flight at once.
    job* free_jobs_ = nullptr;
};

} // namespace blitzio::detail
