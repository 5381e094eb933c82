// Short forms for filling operations in tests that talk to drivers directly.
// Thread rule: as detail::op.
#pragma once

#include <blitzio/io/detail/op.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace blitzio::detail::testing
{

inline op& make_transfer(op& operation, op_kind kind, int fd, const void* data, std::size_t length,
                         std::uint64_t offset = 0)
{
    operation.kind = kind;
    operation.fd = fd;
    operation.args.transfer = {const_cast<void*>(data), length, offset};
    return operation;
}

inline op& make_peer(op& operation, op_kind kind, int fd, socket_address* address)
{
    operation.kind = kind;
    operation.fd = fd;
    operation.args.peer = {address};
    return operation;
}

inline op& make_path(op& operation, op_kind kind, const char* path, std::uint32_t flags = 0,
                     std::uint32_t mode = 0755, int directory = op::no_descriptor)
{
    operation.kind = kind;
    operation.fd = directory;
    operation.args.open = {path, flags, mode};
    return operation;
}

inline op& make_stat(op& operation, const char* path, file_status* out, bool follow = true,
                     int fd = op::no_descriptor)
{
    operation.kind = op_kind::stat;
    operation.fd = fd;
    operation.args.stat = {path, out, follow};
    return operation;
}

inline op& make_rename(op& operation, const char* from, const char* to, bool replace)
{
    operation.kind = op_kind::rename;
    operation.args.paths = {from, to, replace};
    return operation;
}

inline op& make_read_directory(op& operation, int fd, directory_batch* out)
{
    operation.kind = op_kind::read_directory;
    operation.fd = fd;
    operation.args.directory = {out};
    return operation;
}

inline op& make_poll(op& operation, int fd, std::uint32_t events)
{
    operation.kind = op_kind::poll;
    operation.fd = fd;
    operation.args.poll = {events};
    return operation;
}

inline op& make_simple(op& operation, op_kind kind, int fd)
{
    operation.kind = kind;
    operation.fd = fd;
    if (kind == op_kind::sync)
    {
        operation.args.sync = {false};
    }
    return operation;
}

/// An operation to which a stop token could be attached, begun as start_op() would.
inline op& make_cancellable(op& operation)
{
    operation.cancellable = true;
    operation.state.reset();
    static_cast<void>(operation.state.begin());
    return operation;
}

} // namespace blitzio::detail::testing
