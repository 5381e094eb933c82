// One switch that turns an operation into a submission entry. Thread rule: the ring's owner.
#include "driver/uring/prepare.hpp"

#include "driver/kernel_handoff.hpp"
#include "driver/posix_ops.hpp"
#include "limits.hpp"

#include <liburing.h>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>

namespace blitzio::detail::uring
{

namespace
{

/// RENAME_NOREPLACE, which older C libraries do not name.
constexpr unsigned rename_no_replace = 1;

unsigned bounded(std::size_t length) noexcept
{
    return static_cast<unsigned>(std::min(length, limits::transfer_bytes_max));
}

unsigned poll_mask(std::uint32_t events) noexcept
{
    unsigned mask = (events & poll_events::readable) != 0 ? POLLIN | POLLRDHUP : 0u;
    mask |= (events & poll_events::writable) != 0 ? POLLOUT : 0u;
    return mask;
}

std::int32_t portable_events(unsigned mask) noexcept
{
    std::uint32_t events = (mask & (POLLIN | POLLRDHUP)) != 0 ? poll_events::readable : 0;
    events |= (mask & POLLOUT) != 0 ? poll_events::writable : 0;
    events |= (mask & POLLERR) != 0 ? poll_events::error : 0;
    events |= (mask & POLLHUP) != 0 ? poll_events::hangup : 0;
    return static_cast<std::int32_t>(events);
}

sockaddr* as_sockaddr(socket_address& address) noexcept
{
    return reinterpret_cast<sockaddr*>(address.storage.data());
}

} // namespace

int opcode_of(op_kind kind) noexcept
{
    switch (kind)
    {
    case op_kind::nop: return IORING_OP_NOP;
    case op_kind::accept: return IORING_OP_ACCEPT;
    case op_kind::connect: return IORING_OP_CONNECT;
    case op_kind::recv:
    case op_kind::recv_leased: return IORING_OP_RECV;
    case op_kind::send: return IORING_OP_SEND;
    case op_kind::read:
    case op_kind::read_at: return IORING_OP_READ;
    case op_kind::write:
    case op_kind::write_at: return IORING_OP_WRITE;
    case op_kind::sync: return IORING_OP_FSYNC;
    case op_kind::open: return IORING_OP_OPENAT;
    case op_kind::close: return IORING_OP_CLOSE;
    case op_kind::stat: return IORING_OP_STATX;
    case op_kind::read_directory: return -1;
    case op_kind::rename: return IORING_OP_RENAMEAT;
    case op_kind::unlink: return IORING_OP_UNLINKAT;
    case op_kind::make_directory: return IORING_OP_MKDIRAT;
    case op_kind::poll: return IORING_OP_POLL_ADD;
    }
    return -1;
}

bool has_ring_form(op_kind kind) noexcept
{
    return opcode_of(kind) >= 0;
}

bool can_name_slot(op_kind kind) noexcept
{
    switch (kind)
    {
    case op_kind::accept:
    case op_kind::recv:
    case op_kind::recv_leased:
    case op_kind::send:
    case op_kind::read:
    case op_kind::write:
    case op_kind::read_at:
    case op_kind::write_at: return true;
    case op_kind::nop:
    case op_kind::connect:
    case op_kind::sync:
    case op_kind::open:
    case op_kind::close:
    case op_kind::stat:
    case op_kind::read_directory:
    case op_kind::rename:
    case op_kind::unlink:
    case op_kind::make_directory:
    case op_kind::poll: break;
    }
    return false;
}

void prepare(op& operation, io_uring_sqe& entry, struct statx* status) noexcept
{
    auto& args = operation.args;
    io_uring_sqe* const sqe = &entry;
    const int fd = operation.fd;
    switch (operation.kind)
    {
    case op_kind::nop: io_uring_prep_nop(sqe); break;
    case op_kind::accept:
        if (args.peer.address != nullptr)
        {
            args.peer.address->size = static_cast<std::uint32_t>(args.peer.address->storage.size());
            io_uring_prep_accept(sqe, fd, as_sockaddr(*args.peer.address), &args.peer.address->size,
                                 SOCK_CLOEXEC | SOCK_NONBLOCK);
        }
        else
        {
            io_uring_prep_accept(sqe, fd, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        }
        break;
    case op_kind::connect:
        io_uring_prep_connect(sqe, fd, as_sockaddr(*args.peer.address), args.peer.address->size);
        break;
    case op_kind::recv:
        io_uring_prep_recv(sqe, fd, args.transfer.data, bounded(args.transfer.length), 0);
        if (operation.expect_wait)
        {
            sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
        }
        break;
    case op_kind::recv_leased: break; // the driver does it, see uring_leases.cpp
    case op_kind::send:
        kernel_handoff::reads(args.transfer.data, args.transfer.length);
        io_uring_prep_send(sqe, fd, args.transfer.data, bounded(args.transfer.length),
                           MSG_NOSIGNAL);
        break;
    case op_kind::read:
        io_uring_prep_read(sqe, fd, args.transfer.data, bounded(args.transfer.length),
                           static_cast<__u64>(-1));
        break;
    case op_kind::write:
        kernel_handoff::reads(args.transfer.data, args.transfer.length);
        io_uring_prep_write(sqe, fd, args.transfer.data, bounded(args.transfer.length),
                            static_cast<__u64>(-1));
        break;
    case op_kind::read_at:
        io_uring_prep_read(sqe, fd, args.transfer.data, bounded(args.transfer.length),
                           args.transfer.offset);
        break;
    case op_kind::write_at:
        kernel_handoff::reads(args.transfer.data, args.transfer.length);
        io_uring_prep_write(sqe, fd, args.transfer.data, bounded(args.transfer.length),
                            args.transfer.offset);
        break;
    case op_kind::sync:
        io_uring_prep_fsync(sqe, fd, args.sync.data_only ? IORING_FSYNC_DATASYNC : 0);
        break;
    case op_kind::open:
        io_uring_prep_openat(sqe, native_directory(operation), args.open.path,
                             native_open_flags(args.open.flags), args.open.mode);
        break;
    case op_kind::close: io_uring_prep_close(sqe, fd); break;
    case op_kind::stat:
    {
        // An empty path without a descriptor is an ENOENT for the kernel to find.
        const bool empty_path = args.stat.path == nullptr || *args.stat.path == '\0';
        int flags = args.stat.follow_links ? 0 : AT_SYMLINK_NOFOLLOW;
        flags |= empty_path && fd >= 0 ? AT_EMPTY_PATH : 0;
        io_uring_prep_statx(sqe, native_directory(operation), empty_path ? "" : args.stat.path,
                            flags, STATX_BASIC_STATS, status);
        break;
    }
    case op_kind::read_directory: break; // has no ring form, the driver has sent it elsewhere
    case op_kind::rename:
        io_uring_prep_renameat(sqe, native_directory(operation), args.paths.from,
                               native_directory(operation), args.paths.to,
                               args.paths.replace ? 0u : rename_no_replace);
        break;
    case op_kind::unlink:
        io_uring_prep_unlinkat(sqe, native_directory(operation), args.open.path,
                               (args.open.flags & open_flags::remove_directory) != 0 ? AT_REMOVEDIR
                                                                                     : 0);
        break;
    case op_kind::make_directory:
        io_uring_prep_mkdirat(sqe, native_directory(operation), args.open.path, args.open.mode);
        break;
    case op_kind::poll: io_uring_prep_poll_add(sqe, fd, poll_mask(args.poll.events)); break;
    }
}

std::int32_t conclude(op& operation, std::int32_t result, const struct statx* status) noexcept
{
    if (result < 0)
    {
        return result;
    }
    switch (operation.kind)
    {
    case op_kind::recv:
    case op_kind::read:
    case op_kind::read_at:
        kernel_handoff::wrote(operation.args.transfer.data, static_cast<std::size_t>(result));
        break;
    case op_kind::stat: fill_file_status(*status, *operation.args.stat.out); break;
    case op_kind::poll: return portable_events(static_cast<unsigned>(result));
    case op_kind::nop:
    case op_kind::accept:
    case op_kind::connect:
    case op_kind::recv_leased:
    case op_kind::send:
    case op_kind::write:
    case op_kind::write_at:
    case op_kind::sync:
    case op_kind::open:
    case op_kind::close:
    case op_kind::read_directory:
    case op_kind::rename:
    case op_kind::unlink:
    case op_kind::make_directory: break;
    }
    return result;
}

} // namespace blitzio::detail::uring
