// Leased reads and repeated operations of the io_uring driver.
//
// A leased read asks the kernel to choose a buffer when there is data. When it has none left
// (ENOBUFS), or knows no provided buffers at all, the read is done by hand, into a buffer of the
// worker or of the runtime's pool; if the socket turns out to be empty, readiness is waited for
// first. Nothing is taken from the socket before a buffer is there, so nothing is lost, and no
// buffer is held while waiting.
// Thread rule: owner thread only.
#include "driver/kernel_handoff.hpp"
#include "driver/posix_ops.hpp"
#include "driver/uring/prepare.hpp"
#include "driver/uring/uring_driver.hpp"

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include <poll.h>

namespace blitzio::detail
{

void uring_driver::set_up_leases() noexcept
{
    has_set_up_leases_ = true;
    buffer_shelf* const shelf = buffers_.shelf();
    if (shelf == nullptr)
    {
        notes_.degraded(optional_ability::read_buffers,
                        "leased reads: no memory for a worker's buffers, the pool's are used");
        return;
    }
    const int refused =
        has(uring_features::provided_buffers) ? provided_.set_up(ring_, *shelf) : -EOPNOTSUPP;
    if (refused < 0)
    {
        notes_.degraded(optional_ability::provided_buffers,
                        "provided buffers: off, leased reads wait for readiness first (" +
                            std::system_category().message(-refused) + ")");
    }
}

/// As submit().
bool uring_driver::submit_leased(op& operation) noexcept
{
    if (!has_set_up_leases_)
    {
        set_up_leases();
    }
    if (!provided_.is_ready())
    {
        if (!operation.expect_wait)
        {
            count_entry();
            operation.result = perform_leased(operation, buffers_);
            if (operation.result != -EAGAIN)
            {
                return true;
            }
        }
        return !poll_for_lease(operation);
    }
    io_uring_sqe* const entry = next_entry();
    if (entry == nullptr)
    {
        operation.result = -EBUSY;
        return true;
    }
    operation.driver_flags = selecting;
    io_uring_prep_recv(entry, operation.fd, nullptr, operation.args.lease.length, 0);
    entry->flags |= IOSQE_BUFFER_SELECT;
    entry->buf_group = provided_buffers::group;
    if (operation.expect_wait && has(uring_features::poll_first))
    {
        entry->ioprio |= IORING_RECVSEND_POLL_FIRST;
    }
    if (files_.is_on())
    {
        name_by_slot(operation, *entry);
    }
    io_uring_sqe_set_data64(entry, reinterpret_cast<std::uint64_t>(&operation));
    return false;
}

/// False: the queue takes no more; operation.result says so.
bool uring_driver::poll_for_lease(op& operation) noexcept
{
    io_uring_sqe* const entry = next_entry();
    if (entry == nullptr)
    {
        operation.result = -EBUSY;
        return false;
    }
    operation.driver_flags = polling;
    io_uring_prep_poll_add(entry, operation.fd, POLLIN | POLLRDHUP);
    io_uring_sqe_set_data64(entry, reinterpret_cast<std::uint64_t>(&operation));
    return true;
}

void uring_driver::on_leased(op& operation, std::int32_t result, std::uint32_t flags,
                             ready_list& ready) noexcept
{
    if ((flags & IORING_CQE_F_BUFFER) != 0)
    {
        buffer_shelf& shelf = *buffers_.shelf();
        const unsigned slot = flags >> IORING_CQE_BUFFER_SHIFT;
        provided_.taken();
        if (result > 0)
        {
            const buffer_lease lent = shelf.lend(slot);
            kernel_handoff::wrote(lent.data, static_cast<std::size_t>(result));
            buffers_.count_lease(lent);
            *operation.args.lease.out = lent;
            operation.expect_wait = (flags & IORING_CQE_F_SOCK_NONEMPTY) == 0;
            complete(operation, result, ready);
            return;
        }
        shelf.put(slot);
    }
    const bool is_ready = operation.driver_flags == polling && result >= 0;
    if (is_ready || (operation.driver_flags == selecting && result == -ENOBUFS))
    {
        if (!is_ready)
        {
            provided_.ran_out();
            buffers_.count_miss();
        }
        count_entry();
        result = perform_leased(operation, buffers_);
        if (result == -EAGAIN)
        {
            repeats_.push(operation);
            return;
        }
    }
    complete(operation, result, ready);
}

/// Submits again what was interrupted without being cancelled, and leased reads that have to wait
/// for readiness; hands over the cancel requests that found the queue full.
void uring_driver::submit_again(ready_list& ready) noexcept
{
    ready_list waiting = std::exchange(starved_cancels_, {});
    while (runnable* const item = waiting.pop())
    {
        cancel(op::of_cancel_node(*item), ready);
    }
    waiting = std::exchange(repeats_, {});
    while (runnable* const item = waiting.pop())
    {
        op& operation = *static_cast<op*>(item);
        // A request that was processed meanwhile did not find the operation; one that comes later
        // is submitted after it and will.
        if (operation.cancellable && operation.state.is_cancel_requested())
        {
            give_back_status(operation);
            complete(operation, -ECANCELED, ready);
        }
        else if (operation.kind == op_kind::recv_leased)
        {
            if (!poll_for_lease(operation))
            {
                complete(operation, -EBUSY, ready);
            }
        }
        else if (!submit_to_ring(operation))
        {
            give_back_status(operation);
            complete(operation, -EBUSY, ready);
        }
    }
}

} // namespace blitzio::detail
