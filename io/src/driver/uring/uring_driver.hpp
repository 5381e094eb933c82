// The io_uring driver of one worker.
//
// One ring per worker, entered by that worker only: SINGLE_ISSUER and DEFER_TASKRUN keep the kernel
// from interrupting it, and completions are made when the worker asks for them. Submissions stay in
// the ring's queue until the worker's turn ends (poll), the queue is full, or it sleeps (wait), so
// that one system call serves all operations of a turn.
//
// Thread rule: owner thread only, except wake(), kernel_entries() and construction.
#pragma once

#include "driver/backend.hpp"
#include "driver/blocking_offload.hpp"
#include "driver/driver.hpp"
#include "driver/loop_timer.hpp"
#include "driver/notes.hpp"
#include "driver/uring/provided_buffers.hpp"
#include "driver/uring/registered_files.hpp"
#include "driver/uring/registered_slabs.hpp"
#include "driver/uring/uring_features.hpp"
#include "memory/worker_buffers.hpp"

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
    struct parts
    {
        /// Set up disabled, with `setup_flags`.
        io_uring ring;
        unsigned setup_flags;
        int event_fd;
        int idle_event_fd;
        /// The worker's number, and what it shares with the others; null without registered files.
        unsigned index = 0;
        file_registry* registry = nullptr;
    };

    /// Takes over the parts. `notes` and a seam outlive the driver.
    uring_driver(const parts& taken, const backend_options& options, driver_notes& notes) noexcept;
    ~uring_driver() override;

    void start() noexcept override;
    [[nodiscard]] bool submit(op& operation) noexcept override;
    void cancel(op& operation, ready_list& ready) noexcept override;
    void poll(ready_list& ready) noexcept override;
    void wait(ready_list& ready, std::optional<std::chrono::nanoseconds> timeout) noexcept override;
    void wake() noexcept override;
    [[nodiscard]] bool has_work() const noexcept override;
    [[nodiscard]] std::uint64_t in_flight() const noexcept override;
    [[nodiscard]] std::uint64_t registered_files() const noexcept override
    {
        return files_.count();
    }
    [[nodiscard]] result<int> descriptor() noexcept override;
    [[nodiscard]] bool rest(ready_list& ready,
                            std::optional<std::chrono::nanoseconds> until) noexcept override;
    void end_rest(ready_list& ready) noexcept override;
    void call_again() noexcept override;
    [[nodiscard]] read_buffer_counters read_buffers() const noexcept override
    {
        return buffers_.counters();
    }
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

    // What op::driver_flags says: where the operation is.
    static constexpr std::uint8_t in_ring = 0;
    static constexpr std::uint8_t offloaded = 1; // the file pool has it
    static constexpr std::uint8_t selecting = 2; // a leased read: the kernel chooses the buffer
    static constexpr std::uint8_t polling = 3;   // a leased read that waits for readiness

    /// Where the owner sleeps, and whether it has been told not to. One word, so that a wake-up
    /// costs a system call only if the owner sleeps, and then exactly one.
    enum class sleep_state : std::uint32_t
    {
        awake,
        notified, // the next wait() must not sleep
        in_uring, // sleeps in io_uring_enter, woken by event_fd_
        in_event, // sleeps in a read of idle_event_fd_, which is cheaper but only for a ring that has
                  // nothing in flight; or rests in somebody else's loop
    };

    [[nodiscard]] bool has(std::uint32_t feature) const noexcept
    {
        return (without_ & feature) == 0;
    }
    /// Null: the kernel takes no more at the moment, although its completions were taken.
    [[nodiscard]] io_uring_sqe* next_entry() noexcept;
    [[nodiscard]] int hand_over() noexcept;
    [[nodiscard]] bool submit_to_ring(op& operation) noexcept;
    void prepare_transfer(op& operation, io_uring_sqe& entry) noexcept;
    void name_by_slot(const op& operation, io_uring_sqe& entry) noexcept;
    void complete(op& operation, std::int32_t result, ready_list& ready) noexcept;
    void wait_on_thread(op& operation, ready_list& ready) noexcept;
    void set_up_leases() noexcept;
    [[nodiscard]] bool submit_leased(op& operation) noexcept;
    [[nodiscard]] bool poll_for_lease(op& operation) noexcept;
    void on_leased(op& operation, std::int32_t result, std::uint32_t flags,
                   ready_list& ready) noexcept;
    void submit_again(ready_list& ready) noexcept;
    void take_early(ready_list& ready) noexcept;
    void arm_wake() noexcept;
    void sleep_in_ring(std::optional<std::chrono::nanoseconds> timeout) noexcept;
    void sleep_in_event() noexcept;
    [[nodiscard]] result<void> open_loop_set() noexcept;
    void close_loop_set() noexcept;
    void drain_loop_set() noexcept;
    [[nodiscard]] bool is_called() noexcept;
    /// True: sleep there; false: notified before.
    [[nodiscard]] bool announce_sleep(sleep_state where) noexcept;
    void reap(ready_list& ready) noexcept;
    void reap_into(ready_list& ready) noexcept;
    void on_completion(std::uint64_t user_data, std::int32_t result, std::uint32_t flags,
                       ready_list& ready) noexcept;
    void collect_offloaded(ready_list& ready) noexcept;
    void count_entry() noexcept
    {
        entries_.store(entries_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    [[nodiscard]] struct statx* take_status_buffer();
    void give_back_status(op& operation) noexcept;

    io_uring ring_;
    driver_notes& notes_;
    uring_test_seam* const seam_;
    /// uring_features that are missing.
    std::uint32_t without_;
    /// The kernel defers work until it is entered and says nothing about it.
    bool defers_silently_ = false;
    bool has_set_up_leases_ = false;
    /// Polled by the ring. Never read back: each write is an event of its own.
    const int event_fd_;
    const int idle_event_fd_;
    bool wake_armed_ = false;
    std::atomic<sleep_state> sleep_state_{sleep_state::awake};
    std::atomic<std::uint64_t> in_flight_{0};
    std::atomic<std::uint64_t> entries_{0};
    worker_buffers buffers_;
    provided_buffers provided_;
    registered_slabs slabs_;
    class registered_files files_;
    /// Operations to be submitted once more.
    ready_list repeats_;
    /// Cancel nodes of operations whose cancel request found the queue full.
    ready_list starved_cancels_;
    /// Taken out of the ring to make room while something was submitted.
    ready_list early_;
    blocking_offload offload_;
    /// For somebody else's loop: an epoll instance with all that ends a rest, each as an edge. -1
    /// without one.
    int loop_set_ = -1;
    /// Written by the kernel when the ring has something: registered with it.
    int completion_fd_ = -1;
    loop_timer loop_timer_;
    bool calls_again_ = false;
    /// The offload's mark was set for the rest that is going on.
    bool offload_rests_ = false;
    std::vector<std::unique_ptr<struct statx>> status_buffers_;
    std::vector<struct statx*> free_status_buffers_;
};

} // namespace blitzio::detail
