// Completions over readiness: each operation is tried at once, and repeated by the owner of the
// descriptor when the kernel reports an edge. One epoll instance and one eventfd per worker.
// Thread rule: owner thread only, except wake() and forget().
//
// A descriptor is registered once, edge-triggered for everything, with the first driver that has to
// wait for it. An operation submitted to another driver waits there too and completes there; the
// descriptor's mutex decides who takes it out of its queue: the owner's edge, a cancel on the
// operation's home worker, or a close. Lock order: a descriptor's mutex is never held together with
// another one's.
//
// poll() and wait() serve operations of other workers as well, so a worker has to keep calling them
// even when its own in_flight() is 0.
#pragma once

#include "driver/blocking_offload.hpp"
#include "driver/driver.hpp"
#include "driver/epoll/descriptor_table.hpp"
#include "driver/loop_timer.hpp"

#include <blitzio/io/detail/inbox.hpp>
#include <blitzio/io/result.hpp>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

struct epoll_event;

namespace blitzio::detail
{

class epoll_driver final : public driver
{
public:
    /// `table` is shared by all drivers of the backend and outlives them. `file_pool` may be null:
    /// file operations then block the worker.
    [[nodiscard]] static result<std::unique_ptr<epoll_driver>> create(
        descriptor_table& table, blocking_pool* file_pool,
        const read_buffer_options& read_buffers = {});

    ~epoll_driver() override;

    [[nodiscard]] bool submit(op& operation) noexcept override;
    void cancel(op& operation, ready_list& ready) noexcept override;
    void poll(ready_list& ready) noexcept override;
    /// May also return early without a reason (a signal, a wake that came too late for the wait it
    /// was meant for).
    void wait(ready_list& ready, std::optional<std::chrono::nanoseconds> timeout) noexcept override;
    void wake() noexcept override;
    [[nodiscard]] bool has_work() const noexcept override;
    [[nodiscard]] std::uint64_t in_flight() const noexcept override;
    /// The epoll instance itself.
    [[nodiscard]] result<int> descriptor() noexcept override;
    [[nodiscard]] bool rest(ready_list& ready,
                            std::optional<std::chrono::nanoseconds> until) noexcept override;
    void end_rest(ready_list& ready) noexcept override;
    void call_again() noexcept override;
    [[nodiscard]] std::uint64_t kernel_entries() const noexcept override
    {
        return entries_.load(std::memory_order_relaxed);
    }
    [[nodiscard]] read_buffer_counters read_buffers() const noexcept override
    {
        return buffers_.counters();
    }

    /// Any thread, before `fd` is closed: its number may have another meaning right after. Nothing
    /// may wait on it; should something do so all the same, it ends with -ECANCELED in a build
    /// without assertions. What the descriptor was known to be is returned.
    static descriptor_mode forget(descriptor_table& table, int fd) noexcept;

private:
    epoll_driver(descriptor_table& table, blocking_pool* file_pool,
                 const read_buffer_options& read_buffers, int epoll_fd, int wake_fd) noexcept;

    [[nodiscard]] bool submit_blocking(op& operation) noexcept;
    [[nodiscard]] bool submit_pollable(op& operation, wait_slot slot) noexcept;
    [[nodiscard]] bool submit_stream(op& operation, op_kind kind) noexcept;
    [[nodiscard]] bool hand_to_pool(op& operation) noexcept;
    [[nodiscard]] std::int32_t step(op& operation, descriptor_state& descriptor) noexcept;
    void retry_later(op& operation) noexcept;
    void cancel_retry(op& operation, ready_list& ready) noexcept;
    void run_retries(ready_list& ready) noexcept;
    [[nodiscard]] std::optional<std::chrono::nanoseconds> until_retry(
        std::optional<std::chrono::nanoseconds> timeout) const noexcept;
    [[nodiscard]] bool park(op& operation, descriptor_state& descriptor, wait_slot slot, bool tried,
                            std::uint32_t edges_seen) noexcept;
    [[nodiscard]] std::int32_t ensure_registered(int fd, descriptor_state& descriptor,
                                                 wait_slot slot) noexcept;

    void signal_wake() noexcept;
    void turn(ready_list& ready, std::optional<std::chrono::nanoseconds> timeout) noexcept;
    void count_entry() noexcept
    {
        entries_.store(entries_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    [[nodiscard]] int fetch_events(epoll_event* events, int events_max,
                                   std::optional<std::chrono::nanoseconds> timeout) noexcept;
    void collect_local(ready_list& ready) noexcept;
    void dispatch(const epoll_event& event, ready_list& ready) noexcept;
    void run_queue(descriptor_state& descriptor, wait_slot slot, ready_list& ready) noexcept;
    void run_pollers(descriptor_state& descriptor, ready_list& ready) noexcept;
    void finish_parked(op& operation, std::int32_t result, ready_list& ready) noexcept;
    void cancel_parked(op& operation, ready_list& ready) noexcept;

    void unregister(int fd, descriptor_state& descriptor) noexcept;
    void abandon_waiting(descriptor_state& descriptor) noexcept;

    descriptor_table& table_;
    int epoll_fd_;
    int wake_fd_;
    /// epoll_pwait2() is there; without it time-outs are rounded up to milliseconds.
    bool has_precise_wait_ = true;

    /// In the epoll instance once somebody else's loop waits for that.
    loop_timer loop_timer_;
    /// The wake-up's edge is there and was not taken, by what call_again() has done.
    bool calls_again_ = false;

    worker_buffers buffers_;
    blocking_offload offload_;
    /// Operations that complete at the next turn whatever happens.
    ready_list turn_list_;
    /// Operations to be tried again at next_retry_.
    op_queue retries_;
    std::size_t retry_count_ = 0;
    std::chrono::milliseconds retry_delay_{};
    std::chrono::steady_clock::time_point next_retry_{};
    /// Operations whose descriptor was closed under them.
    inbox<> abandoned_;

    /// Operations of this worker that were parked, and those of them that have left: completed
    /// here, or by the driver of another worker. Two counters, so that the common case needs no
    /// read-modify-write.
    std::uint64_t parked_ = 0;
    std::uint64_t unparked_here_ = 0;
    std::atomic<std::uint64_t> unparked_elsewhere_{0};
    /// Calls of epoll_wait(), epoll_ctl() and of the operations themselves by this driver.
    std::atomic<std::uint64_t> entries_{0};
    /// Descriptors registered with this epoll instance.
    std::atomic<std::uint32_t> registered_{0};

    enum class sleep_state : std::uint8_t
    {
        awake,
        asleep,   // wake() has to write the eventfd
        notified, // the next wait() does not sleep
    };

    alignas(64) std::atomic<sleep_state> sleep_state_{sleep_state::awake};
};

} // namespace blitzio::detail
