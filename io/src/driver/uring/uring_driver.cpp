// The io_uring driver; see the header for the picture. Thread rule: see the header.
#include "driver/uring/uring_driver.hpp"

#include "driver/kernel_handoff.hpp"
#include "driver/uring/prepare.hpp"
#include "limits.hpp"

#include <blitzio/io/detail/assert.hpp>
#include <blitzio/io/detail/runtime_access.hpp>

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <string>

namespace blitzio::detail
{

namespace
{

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

uring_driver::uring_driver(const parts& taken, const backend_options& options,
                           driver_notes& notes) noexcept
    : ring_(taken.ring), notes_(notes), seam_(options.uring_seam),
      without_(seam_ == nullptr ? 0 : seam_->without), event_fd_(taken.event_fd),
      idle_event_fd_(taken.idle_event_fd), buffers_(options.read_buffers),
      slabs_(options.read_buffers.pool, has(uring_features::registered_buffers)),
      files_(ring_, *this, taken.registry, taken.index, options.registered_files_max,
             has(uring_features::registered_files), notes),
      offload_(options.file_pool, &wake_owner, this)
{
    const unsigned flags = taken.setup_flags;
    defers_silently_ =
        (flags & IORING_SETUP_DEFER_TASKRUN) != 0 && (flags & IORING_SETUP_TASKRUN_FLAG) == 0;
}

uring_driver::~uring_driver()
{
    // A rest may still be going on, for whose end there was no reason.
    ready_list none;
    offload_.collect(none);
    BLITZIO_ASSERT(none.empty());
    // A pool thread may be about to write to the descriptors that are closed here.
    offload_.await_wakes();
    close_loop_set();
    io_uring_queue_exit(&ring_);
    ::close(event_fd_);
    ::close(idle_event_fd_);
}

void uring_driver::start() noexcept
{
    files_.start();
    // The ring belongs to the thread that enables it.
    if (const int result = io_uring_enable_rings(&ring_); result < 0)
    {
        fail_ring("the ring cannot be enabled", -result);
    }
    // Saves a descriptor look-up for each entry into the kernel; fine without.
    if (has(uring_features::registered_ring))
    {
        static_cast<void>(io_uring_register_ring_fd(&ring_));
    }
#if defined(IORING_FEAT_NO_IOWAIT)
    // Sleeping for sockets must not look like waiting for a disk.
    if (has(uring_features::no_iowait) && (ring_.features & IORING_FEAT_NO_IOWAIT) != 0)
    {
        static_cast<void>(io_uring_set_iowait(&ring_, false));
    }
#endif
    arm_wake();
}

/// Submits what is queued, as io_uring_submit().
int uring_driver::hand_over() noexcept
{
    if (seam_ != nullptr && seam_->before_submission != nullptr) [[unlikely]]
    {
        if (const int refused = seam_->before_submission(seam_->context); refused < 0)
        {
            return refused;
        }
    }
    count_entry();
    return io_uring_submit(&ring_);
}

io_uring_sqe* uring_driver::next_entry() noexcept
{
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    for (unsigned refusals = 0; entry == nullptr; ++refusals)
    {
        if (refusals == limits::refused_submissions_max)
        {
            return nullptr;
        }
        const int result = hand_over();
        if (!is_harmless(result))
        {
            fail_ring("submission failed", -result);
        }
        if (result == -EBUSY || result == -EAGAIN)
        {
            // The kernel holds completions that did not fit into the ring and takes nothing before
            // they are out. They are handed to the worker with the next turn.
            static_cast<void>(io_uring_get_events(&ring_));
            reap_into(early_);
        }
        entry = io_uring_get_sqe(&ring_);
    }
    return entry;
}

void uring_driver::arm_wake() noexcept
{
    io_uring_sqe* const entry = next_entry();
    if (entry == nullptr)
    {
        return; // wait() does not sleep without it
    }
    if (has(uring_features::multishot_poll))
    {
        io_uring_prep_poll_multishot(entry, event_fd_, POLLIN);
    }
    else
    {
        io_uring_prep_poll_add(entry, event_fd_, POLLIN);
    }
    io_uring_sqe_set_data64(entry, static_cast<std::uint64_t>(tag::wake));
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

void uring_driver::give_back_status(op& operation) noexcept
{
    if (operation.kind == op_kind::stat)
    {
        free_status_buffers_.push_back(static_cast<struct statx*>(operation.driver_data));
    }
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
    operation.driver_flags = in_ring;
    bool is_over = false;
    if (operation.kind == op_kind::close && files_.is_on())
    {
        files_.forget(operation.fd);
    }
    if (operation.kind == op_kind::recv_leased)
    {
        is_over = submit_leased(operation);
    }
    else
    {
        if (operation.kind == op_kind::stat)
        {
            operation.driver_data = take_status_buffer();
        }
        is_over = !submit_to_ring(operation);
        if (is_over)
        {
            give_back_status(operation);
        }
    }
    if (is_over)
    {
        in_flight_.store(in_flight_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    }
    return is_over;
}

/// False: the queue takes no more; operation.result says so.
bool uring_driver::submit_to_ring(op& operation) noexcept
{
    io_uring_sqe* const entry = next_entry();
    if (entry == nullptr)
    {
        operation.result = -EBUSY;
        return false;
    }
    uring::prepare(operation, *entry, static_cast<struct statx*>(operation.driver_data));
    if (operation.pool_slab != 0)
    {
        prepare_transfer(operation, *entry);
    }
    if (files_.is_on())
    {
        name_by_slot(operation, *entry);
    }
    if (!has(uring_features::poll_first) && operation.kind == op_kind::recv)
    {
        entry->ioprio = 0;
    }
    io_uring_sqe_set_data64(entry, reinterpret_cast<std::uint64_t>(&operation));
    return true;
}

/// What is used often is named by its slot in the ring's table.
void uring_driver::name_by_slot(const op& operation, io_uring_sqe& entry) noexcept
{
    const auto slot =
        uring::can_name_slot(operation.kind) ? files_.slot_for(operation.fd) : std::nullopt;
    if (slot)
    {
        entry.fd = static_cast<int>(*slot);
        entry.flags |= IOSQE_FIXED_FILE;
    }
}

/// A transfer between a file and memory of the pool, which the ring may know.
void uring_driver::prepare_transfer(op& operation, io_uring_sqe& entry) noexcept
{
    const std::uint32_t slab = operation.pool_slab - 1u;
    if ((operation.kind == op_kind::read_at || operation.kind == op_kind::write_at) &&
        slabs_.ensure(ring_, slab, notes_))
    {
        entry.opcode =
            operation.kind == op_kind::read_at ? IORING_OP_READ_FIXED : IORING_OP_WRITE_FIXED;
        entry.buf_index = static_cast<__u16>(slab);
    }
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
    io_uring_sqe* const entry = next_entry();
    if (entry == nullptr)
    {
        starved_cancels_.push(operation.cancel_node);
        return;
    }
    io_uring_prep_cancel64(entry, reinterpret_cast<std::uint64_t>(&operation), 0);
    io_uring_sqe_set_data64(entry, reinterpret_cast<std::uint64_t>(&operation) |
                                       static_cast<std::uint64_t>(tag::cancel));
}

void uring_driver::on_completion(std::uint64_t user_data, std::int32_t result, std::uint32_t flags,
                                 ready_list& ready) noexcept
{
    const auto kind = static_cast<tag>(user_data & tag_mask);
    if (kind == tag::wake)
    {
        wake_armed_ = (flags & IORING_CQE_F_MORE) != 0;
        if (!wake_armed_)
        {
            // The next poll would find what this one has told.
            std::uint64_t count = 0;
            static_cast<void>(::read(event_fd_, &count, sizeof count));
        }
        return;
    }
    auto& operation = *reinterpret_cast<op*>(user_data & ~tag_mask);
    if (kind == tag::cancel)
    {
        cancel_finish(operation, ready);
        return;
    }
    if (seam_ != nullptr && seam_->on_result != nullptr) [[unlikely]]
    {
        result = seam_->on_result(seam_->context, uring::opcode_of(operation.kind), result);
    }
    if (is_interruption(result))
    {
        if (operation.cancellable && operation.state.is_cancel_requested())
        {
            result = -ECANCELED;
        }
        else if (operation.kind != op_kind::connect && operation.kind != op_kind::close)
        {
            repeats_.push(operation);
            return;
        }
        else
        {
            // A closed descriptor is gone; a connection goes on being made, and asking for it
            // again would only yield EALREADY.
            result = operation.kind == op_kind::close ? 0 : -EINTR;
        }
    }
    if (operation.kind == op_kind::recv_leased)
    {
        on_leased(operation, result, flags, ready);
        return;
    }
    const bool is_file_transfer =
        operation.kind == op_kind::read_at || operation.kind == op_kind::write_at;
    if (result == -EAGAIN && is_file_transfer)
    {
        // A file opened with O_NONBLOCK on a file system that cannot promise not to wait: the ring
        // gives up there, a thread does not.
        wait_on_thread(operation, ready);
        return;
    }
    const auto* const status = static_cast<const struct statx*>(operation.driver_data);
    give_back_status(operation);
    if (operation.kind == op_kind::recv && has(uring_features::socket_nonempty))
    {
        // What the kernel knows about the next read of this socket.
        operation.expect_wait = (flags & IORING_CQE_F_SOCK_NONEMPTY) == 0;
    }
    complete(operation, uring::conclude(operation, result, status), ready);
}

void uring_driver::wait_on_thread(op& operation, ready_list& ready) noexcept
{
    operation.driver_flags = offloaded;
    if (operation.cancellable && operation.state.is_cancel_requested())
    {
        complete(operation, -ECANCELED, ready);
    }
    else if (!offload_.start(operation))
    {
        complete(operation, operation.result, ready);
    }
}

void uring_driver::complete(op& operation, std::int32_t result, ready_list& ready) noexcept
{
    in_flight_.store(in_flight_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
    finish(operation, result, ready);
}

void uring_driver::reap_into(ready_list& ready) noexcept
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

void uring_driver::reap(ready_list& ready) noexcept
{
    take_early(ready);
    reap_into(ready);
    if (!repeats_.empty() || !starved_cancels_.empty())
    {
        submit_again(ready);
        take_early(ready);
    }
}

void uring_driver::take_early(ready_list& ready) noexcept
{
    while (runnable* const item = early_.pop())
    {
        ready.push(*item);
    }
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
           offload_.has_results() || !early_.empty() || !repeats_.empty() ||
           !starved_cancels_.empty() || files_.has_leavers() ||
           (defers_silently_ && in_flight() != 0);
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
    if (provided_.is_ready())
    {
        provided_.restock();
    }
    if (files_.has_leavers())
    {
        files_.give_back_leavers();
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
    if (!announce_sleep(sleep_state::in_uring))
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
    if (provided_.is_ready())
    {
        provided_.restock();
    }
    if (files_.has_leavers())
    {
        files_.give_back_leavers();
    }
    if (!wake_armed_ || !early_.empty() || !repeats_.empty() || !starved_cancels_.empty())
    {
        timeout = std::chrono::nanoseconds(0);
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
    const int fd = before == sleep_state::in_uring ? event_fd_ : idle_event_fd_;
    const std::uint64_t one = 1;
    while (::write(fd, &one, sizeof one) < 0 && errno == EINTR)
    {
    }
}

} // namespace blitzio::detail
