// The io_uring driver; see the header for the picture. Thread rule: see the header.
#include "driver/uring/uring_driver.hpp"

#include "driver/kernel_handoff.hpp"
#include "driver/uring/prepare.hpp"

#include <blitzio/io/detail/runtime_access.hpp>

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace blitzio::detail
{

namespace
{

/// An operation that the file pool has.
constexpr std::uint8_t offloaded = 1;

void wake_owner(void* context) noexcept
{
    static_cast<uring_driver*>(context)->wake();
}

[[noreturn]] void fail_ring(const char* what, int error) noexcept
{
    terminate_with((std::string("io_uring: ") + what + ": " +
                    std::error_code(error, std::system_category()).message())
                       .c_str());
}

/// What enter may answer without anything being wrong: interrupted, timed out, or completions must
/// be taken out first.
bool is_harmless(int result) noexcept
{
    return result >= 0 || result == -EINTR || result == -ETIME || result == -EAGAIN ||
           result == -EBUSY;
}

/// A cancel request interrupts an operation that is inside a call on a thread of the kernel. What it
/// answers then is the kernel's own "interrupted, start again": EINTR, or one of the numbers that
/// system calls never let out (ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK).
bool is_interruption(int result) noexcept
{
    return result == -EINTR || (result <= -512 && result >= -514) || result == -516;
}

} // namespace

uring_driver::uring_driver(io_uring ring, int event_fd, int idle_event_fd,
                           blocking_pool* file_pool) noexcept
    : ring_(ring), event_fd_(event_fd), idle_event_fd_(idle_event_fd),
      offload_(file_pool, &wake_owner, this)
{
}

uring_driver::~uring_driver()
{
    // A pool thread may be about to write to the descriptors that are closed here.
    offload_.await_wakes();
    io_uring_queue_exit(&ring_);
    ::close(event_fd_);
    ::close(idle_event_fd_);
}

void uring_driver::start() noexcept
{
    // The ring belongs to the thread that enables it.
    if (const int result = io_uring_enable_rings(&ring_); result < 0)
    {
        fail_ring("the ring cannot be enabled", -result);
    }
    // Saves a descriptor look-up for each entry into the kernel; fine without.
    static_cast<void>(io_uring_register_ring_fd(&ring_));
#if defined(IORING_FEAT_NO_IOWAIT)
    // Sleeping for sockets must not look like waiting for a disk.
    if ((ring_.features & IORING_FEAT_NO_IOWAIT) != 0)
    {
        static_cast<void>(io_uring_set_iowait(&ring_, false));
    }
#endif
    arm_wake();
}

io_uring_sqe& uring_driver::next_entry() noexcept
{
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    while (entry == nullptr)
    {
        count_entry();
        const int result = io_uring_submit(&ring_);
        if (!is_harmless(result))
        {
            fail_ring("submission failed", -result);
        }
        if (result == -EBUSY || result == -EAGAIN)
        {
            // The kernel wants its completions to be made first; they stay in the ring for reap().
            static_cast<void>(io_uring_get_events(&ring_));
        }
        entry = io_uring_get_sqe(&ring_);
    }
    return *entry;
}

void uring_driver::arm_wake() noexcept
{
    io_uring_sqe& entry = next_entry();
    io_uring_prep_poll_multishot(&entry, event_fd_, POLLIN);
    io_uring_sqe_set_data64(&entry, static_cast<std::uint64_t>(tag::wake));
    wake_armed_ = true;
}

struct statx* uring_driver::take_status_buffer()
{
    if (free_status_buffers_.empty())
    {
        status_buffers_.push_back(std::make_unique<struct statx>());
        free_status_buffers_.reserve(status_buffers_.size());
        return status_buffers_.back().get();
    }
    struct statx* const buffer = free_status_buffers_.back();
    free_status_buffers_.pop_back();
    return buffer;
}

bool uring_driver::submit(op& operation) noexcept
{
    in_flight_.store(in_flight_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (!uring::has_ring_form(operation.kind))
    {
        operation.driver_flags = offloaded;
        if (offload_.start(operation))
        {
            return false;
        }
        in_flight_.store(in_flight_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
        return true;
    }
    operation.driver_flags = 0;
    struct statx* status = nullptr;
    if (operation.kind == op_kind::stat)
    {
        status = take_status_buffer();
        operation.driver_data = status;
    }
    io_uring_sqe& entry = next_entry();
    uring::prepare(operation, entry, status);
    io_uring_sqe_set_data64(&entry, reinterpret_cast<std::uint64_t>(&operation));
    return false;
}

void uring_driver::cancel(op& operation, ready_list& ready) noexcept
{
    if (operation.driver_flags == offloaded)
    {
        if (offload_.try_cancel(operation))
        {
            in_flight_.store(in_flight_.load(std::memory_order_relaxed) - 1,
                             std::memory_order_relaxed);
            finish(operation, -ECANCELED, ready);
        }
        cancel_finish(operation, ready);
        return;
    }
    if (operation.kind == op_kind::close)
    {
        // Never taken back: the descriptor would stay open with nobody to know it.
        cancel_finish(operation, ready);
        return;
    }
    // The operation cannot end before this request's own completion has come, so its address in
    // the request cannot belong to another one by then.
    io_uring_sqe& entry = next_entry();
    io_uring_prep_cancel64(&entry, reinterpret_cast<std::uint64_t>(&operation), 0);
    io_uring_sqe_set_data64(&entry, reinterpret_cast<std::uint64_t>(&operation) |
                                        static_cast<std::uint64_t>(tag::cancel));
}

void uring_driver::on_completion(std::uint64_t user_data, std::int32_t result, std::uint32_t flags,
                                 ready_list& ready) noexcept
{
    const auto kind = static_cast<tag>(user_data & tag_mask);
    if (kind == tag::wake)
    {
        wake_armed_ = (flags & IORING_CQE_F_MORE) != 0;
        return;
    }
    auto& operation = *reinterpret_cast<op*>(user_data & ~tag_mask);
    if (kind == tag::cancel)
    {
        cancel_finish(operation, ready);
        return;
    }
    in_flight_.store(in_flight_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    struct statx* status = nullptr;
    if (operation.kind == op_kind::stat)
    {
        status = static_cast<struct statx*>(operation.driver_data);
        free_status_buffers_.push_back(status);
    }
    if (operation.kind == op_kind::recv)
    {
        // What the kernel knows about the next read of this socket.
        operation.expect_wait = (flags & IORING_CQE_F_SOCK_NONEMPTY) == 0;
    }
    if (is_interruption(result))
    {
        const bool cancelled = operation.cancellable && operation.state.is_cancel_requested();
        result = cancelled ? -ECANCELED : -EINTR;
    }
    finish(operation, uring::conclude(operation, result, status), ready);
}

void uring_driver::reap(ready_list& ready) noexcept
{
    unsigned head = 0;
    unsigned count = 0;
    io_uring_cqe* completion = nullptr;
    io_uring_for_each_cqe(&ring_, head, completion)
    {
        on_completion(completion->user_data, completion->res, completion->flags, ready);
        ++count;
    }
    io_uring_cq_advance(&ring_, count);
}

void uring_driver::collect_offloaded(ready_list& ready) noexcept
{
    if (offload_.in_flight() != 0)
    {
        const auto count = offload_.collect(ready);
        in_flight_.store(in_flight_.load(std::memory_order_relaxed) - count,
                         std::memory_order_relaxed);
    }
}

bool uring_driver::has_work() const noexcept
{
    return io_uring_sq_ready(&ring_) != 0 || io_uring_cq_ready(&ring_) != 0 ||
           (IO_URING_READ_ONCE(*ring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) !=
               0 ||
           offload_.has_results();
}

std::uint64_t uring_driver::in_flight() const noexcept
{
    return in_flight_.load(std::memory_order_relaxed);
}

void uring_driver::poll(ready_list& ready) noexcept
{
    if (!wake_armed_)
    {
        arm_wake();
    }
    count_entry();
    const int result = io_uring_submit_and_get_events(&ring_);
    if (!is_harmless(result))
    {
        fail_ring("submission failed", -result);
    }
    collect_offloaded(ready);
    reap(ready);
}

bool uring_driver::announce_sleep(sleep_state where) noexcept
{
    auto expected = sleep_state::awake;
    // seq_cst pairs with the exchange in wake(): a producer either comes before, and we see
    // `notified`, or it sees where to wake us.
    return sleep_state_.compare_exchange_strong(expected, where, std::memory_order_seq_cst);
}

void uring_driver::sleep_in_ring(std::optional<std::chrono::nanoseconds> timeout) noexcept
{
    if (!announce_sleep(sleep_state::in_ring))
    {
        timeout = std::chrono::nanoseconds(0);
    }
    io_uring_cqe* completion = nullptr;
    int result = 0;
    if (timeout && timeout->count() <= 0)
    {
        result = io_uring_submit_and_get_events(&ring_);
    }
    else if (timeout)
    {
        __kernel_timespec limit{};
        limit.tv_sec = timeout->count() / 1'000'000'000;
        limit.tv_nsec = timeout->count() % 1'000'000'000;
        result = io_uring_submit_and_wait_timeout(&ring_, &completion, 1, &limit, nullptr);
    }
    else
    {
        result = io_uring_submit_and_wait(&ring_, 1);
    }
    if (!is_harmless(result))
    {
        fail_ring("waiting failed", -result);
    }
}

void uring_driver::sleep_in_event() noexcept
{
    if (announce_sleep(sleep_state::in_event))
    {
        std::uint64_t count = 0;
        static_cast<void>(::read(idle_event_fd_, &count, sizeof count));
    }
}

void uring_driver::wait(ready_list& ready, std::optional<std::chrono::nanoseconds> timeout) noexcept
{
    if (!wake_armed_)
    {
        arm_wake();
    }
    const bool offload_waits = offload_.in_flight() != 0;
    if (offload_waits && !offload_.prepare_wait())
    {
        timeout = std::chrono::nanoseconds(0);
    }
    count_entry();
    if (!timeout && in_flight() == 0 && !has_work())
    {
        sleep_in_event();
    }
    else
    {
        sleep_in_ring(timeout);
    }
    // Before the queues are looked at: work of a producer that is not sent a wake-up because it saw
    // `notified` was queued before this point. seq_cst pairs with wake().
    sleep_state_.exchange(sleep_state::awake, std::memory_order_seq_cst);
    kernel_handoff::acquire(&sleep_state_);
    if (offload_waits)
    {
        collect_offloaded(ready);
    }
    reap(ready);
}

void uring_driver::wake() noexcept
{
    kernel_handoff::release(&sleep_state_);
    // seq_cst pairs with announce_sleep() and with the exchange in wait().
    const auto before = sleep_state_.exchange(sleep_state::notified, std::memory_order_seq_cst);
    if (before == sleep_state::awake || before == sleep_state::notified)
    {
        return;
    }
    // The owner may have woken for another reason meanwhile; then its next sleep is cut short once.
    const int fd = before == sleep_state::in_ring ? event_fd_ : idle_event_fd_;
    const std::uint64_t one = 1;
    while (::write(fd, &one, sizeof one) < 0 && errno == EINTR)
    {
    }
}

} // namespace blitzio::detail
