// The io_uring driver of one worker.
//
// One ring per worker, entered by that worker only: SINGLE_ISSUER and DEFER_TASKRUN keep the kernel
// from interrupting it, and completions are made when the worker asks for them. Submissions stay in
// the ring's queue until the worker's turn ends (poll), the queue is full, or it sleeps (wait), so
// that one system call serves all operations of a turn.
//
// Thread rule: owner thread only, except wake(), kernel_entries() and construction.
#pragma once

#include "driver/blocking_offload.hpp"
#include "driver/driver.hpp"

#include <liburing.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

namespace blitzio::detail
{

class uring_driver final : public driver
{
public:
    /// Takes over a ring that was set up disabled.
    uring_driver(io_uring ring, int event_fd, int idle_event_fd, blocking_pool* file_pool) noexcept;
    ~uring_driver() override;

    void start() noexcept override;
    [[nodiscard]] bool submit(op& operation) noexcept override;
    void cancel(op& operation, ready_list& ready) noexcept override;
    void poll(ready_list& ready) noexcept override;
    void wait(ready_list& ready, std::optional<std::chrono::nanoseconds> timeout) noexcept override;
    void wake() noexcept override;
    [[nodiscard]] bool has_work() const noexcept override;
    [[nodiscard]] std::uint64_t in_flight() const noexcept override;
    [[nodiscard]] std::uint64_t kernel_entries() const noexcept override
    {
        return entries_.load(std::memory_order_relaxed);
    }

private:
    /// What the low bits of an entry's user data say about the rest of it.
    enum class tag : std::uint64_t
    {
        operation = 0,
        cancel = 1,
        wake = 2,
    };
    static constexpr std::uint64_t tag_mask = 7;

    /// Where the owner sleeps, and whether it has been told not to. One word, so that a wake-up
    /// costs a system call only if the owner sleeps, and then exactly one.
    enum class sleep_state : std::uint32_t
    {
        awake,
        notified, // the next wait() must not sleep
        in_ring,  // sleeps in io_uring_enter, woken by event_fd_
        in_event, // has nothing in flight and sleeps in a read of idle_event_fd_, which is cheaper
    };

    [[nodiscard]] io_uring_sqe& next_entry() noexcept;
    void arm_wake() noexcept;
    void sleep_in_ring(std::optional<std::chrono::nanoseconds> timeout) noexcept;
    void sleep_in_event() noexcept;
    /// True: sleep there; false: notified before.
    [[nodiscard]] bool announce_sleep(sleep_state where) noexcept;
    void reap(ready_list& ready) noexcept;
    void on_completion(std::uint64_t user_data, std::int32_t result, std::uint32_t flags,
                       ready_list& ready) noexcept;
    void collect_offloaded(ready_list& ready) noexcept;
    void count_entry() noexcept
    {
        entries_.store(entries_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    [[nodiscard]] struct statx* take_status_buffer();

    io_uring ring_;
    /// Polled by the ring. Never read back: each write is an event of its own.
    const int event_fd_;
    const int idle_event_fd_;
    bool wake_armed_ = false;
    std::atomic<sleep_state> sleep_state_{sleep_state::awake};
    std::atomic<std::uint64_t> in_flight_{0};
    std::atomic<std::uint64_t> entries_{0};
    blocking_offload offload_;
    std::vector<std::unique_ptr<struct statx>> status_buffers_;
    std::vector<struct statx*> free_status_buffers_;
};

} // namespace blitzio::detail
