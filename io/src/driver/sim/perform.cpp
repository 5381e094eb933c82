// The one switch over all operation kinds of the simulated world.
// Thread rule: the simulation's thread only.
#include "driver/sim/perform.hpp"

#include "driver/posix_ops.hpp"
#include "driver/sim/descriptor_table.hpp"
#include "driver/sim/file_tree.hpp"
#include "driver/sim/network.hpp"
#include "driver/sim/open_file.hpp"
#include "driver/sim/sim_world.hpp"
#include "driver/sim/stream_socket.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

namespace blitzio::detail::sim
{
namespace
{

using attempt_result = std::optional<std::int32_t>;

template <class T>
void stage_value(const T& value, staged_output& output)
{
    output.bytes.resize(sizeof value);
    std::memcpy(output.bytes.data(), &value, sizeof value);
}

bool is_relative(const char* path) noexcept
{
    return path != nullptr && *path != '\0' && *path != '/';
}

/// The directory that a relative path begins at; `error` says why there is none.
inode_pointer base_of(sim_world& world, const op& operation, const char* path, description* target,
                      int& error)
{
    error = 0;
    if (operation.fd == op::no_descriptor || !is_relative(path))
    {
        return world.files().root();
    }
    open_file* const file = target == nullptr ? nullptr : target->as_file();
    if (file != nullptr && file->node()->is_directory())
    {
        return file->node();
    }
    error = target == nullptr ? -EBADF : -ENOTDIR;
    return nullptr;
}

attempt_result perform_connect(sim_world& world, op& operation, stream_socket& socket, bool& begun)
{
    using state = stream_socket::state;
    switch (socket.now())
    {
    case state::listening:
    case state::stopped: return -EISCONN;
    case state::connected:
        if (begun || socket.connect_unreported)
        {
            socket.connect_unreported = false;
            return 0;
        }
        return -EISCONN;
    case state::connecting: return begun ? attempt_result{} : -EALREADY;
    case state::fresh: break;
    }
    if (begun)
    {
        // Somebody else may have fetched the reason already.
        const int error = socket.take_error();
        return error != 0 ? -error : -ECONNABORTED;
    }
    const auto result = world.net().connect(socket, *operation.args.peer.address);
    begun = socket.now() == state::connecting;
    return result;
}

attempt_result perform_accept(sim_world& world, op& operation, stream_socket& socket,
                              staged_output& output)
{
    // As with a kernel, which reserves the number first: the connection stays in the queue.
    if (!world.descriptors().has_room())
    {
        return -EMFILE;
    }
    std::shared_ptr<stream_socket> connection;
    const auto result = socket.accept(connection);
    if (connection == nullptr)
    {
        return result;
    }
    if (operation.args.peer.address != nullptr)
    {
        socket_address peer;
        connection->write_peer_address(peer);
        stage_value(peer, output);
    }
    return world.descriptors().add(std::move(connection));
}

attempt_result perform_leased(sim_world& world, const op& operation, stream_socket& socket,
                              staged_output& output, worker_buffers& buffers)
{
    buffer_lease lent;
    const bool is_short = world.draw_fault(world.faults().buffer_shortages, 3);
    const std::int32_t refused = buffers.lease(lent, is_short);
    if (refused < 0)
    {
        return refused;
    }
    const std::size_t asked = operation.args.lease.length;
    const std::size_t length =
        asked == 0 ? lent.capacity : std::min<std::size_t>(asked, lent.capacity);
    const auto result = socket.receive(length, output.bytes);
    if (!result.has_value() || *result <= 0)
    {
        buffers.take_back(lent);
        return result;
    }
    buffers.count_lease(lent);
    output.lease = lent;
    return result;
}

attempt_result perform_on_socket(sim_world& world, op& operation, stream_socket& socket,
                                 bool& begun, staged_output& output)
{
    const auto& transfer = operation.args.transfer;
    switch (operation.kind)
    {
    case op_kind::accept: return perform_accept(world, operation, socket, output);
    case op_kind::connect: return perform_connect(world, operation, socket, begun);
    case op_kind::recv: return socket.receive(transfer.length, output.bytes);
    case op_kind::send: return socket.send(transfer.data, transfer.length);
    default: return -EINVAL; // unreachable: perform() passes these four only
    }
}

/// Pipes have no positions and ignore an offset, as with a kernel's ring; sockets insist on 0.
bool has_senseless_offset(const op& operation, const stream_socket& socket) noexcept
{
    const bool has_offset =
        operation.kind == op_kind::read_at || operation.kind == op_kind::write_at;
    return has_offset && !socket.is_pipe() && operation.args.transfer.offset != 0;
}

attempt_result perform_read(op& operation, description& target, staged_output& output)
{
    const auto& transfer = operation.args.transfer;
    if (open_file* const file = target.as_file())
    {
        return operation.kind == op_kind::read
                   ? file->read_next(transfer.length, output.bytes)
                   : file->read_at(transfer.length, transfer.offset, output.bytes);
    }
    if (has_senseless_offset(operation, *target.as_socket()))
    {
        return -ESPIPE;
    }
    return target.as_socket()->receive(transfer.length, output.bytes);
}

attempt_result perform_write(sim_world& world, op& operation, description& target)
{
    const auto& transfer = operation.args.transfer;
    if (open_file* const file = target.as_file())
    {
        return operation.kind == op_kind::write
                   ? file->write_next(transfer.data, transfer.length)
                   : file->write_at(transfer.data, transfer.length, transfer.offset);
    }
    stream_socket& socket = *target.as_socket();
    if (has_senseless_offset(operation, socket))
    {
        return -ESPIPE;
    }
    const auto result = socket.send(transfer.data, transfer.length);
    if (result == -EPIPE && !socket.is_pipe())
    {
        world.report_violation("write on a socket whose peer is gone: a kernel would raise "
                               "SIGPIPE here; sockets are written to with send");
    }
    return result;
}

/// The tree's FIFOs have one end at the most: nobody ever comes to the other one. So a reader that
/// does not wait finds the end of the stream, a writer that does not wait nobody, and who waits for
/// the other end waits until it is cancelled.
attempt_result open_fifo(sim_world& world, std::uint32_t flags)
{
    const bool writes = (flags & open_flags::write) != 0;
    if ((flags & open_flags::non_block) == 0)
    {
        return {};
    }
    if (writes)
    {
        return -ENXIO;
    }
    using variant = stream_socket::variant;
    const auto family = socket_family::unix_domain;
    const auto reader = std::make_shared<stream_socket>(world, variant::pipe_reader, family);
    const auto writer = std::make_shared<stream_socket>(world, variant::pipe_writer, family);
    stream_socket::link(*reader, *writer);
    return world.descriptors().add(reader);
}

attempt_result perform_open(sim_world& world, op& operation, description* target)
{
    if (!world.descriptors().has_room())
    {
        return -EMFILE;
    }
    const auto& arguments = operation.args.open;
    int error = 0;
    const auto base = base_of(world, operation, arguments.path, target, error);
    inode_pointer node;
    if (error == 0)
    {
        error = world.files().open(base, arguments.path, arguments.flags, arguments.mode, node);
    }
    if (error == 0 && node->type == file_type::fifo)
    {
        return open_fifo(world, arguments.flags);
    }
    return error != 0 ? error
                      : world.descriptors().add(
                            std::make_shared<open_file>(world, std::move(node), arguments.flags));
}

/// A descriptor without a place in the file tree, as fstat() shows it.
std::int32_t describe_socket(const stream_socket& socket, file_status& status)
{
    status = {};
    status.type = socket.is_pipe() ? file_type::fifo : file_type::socket;
    status.permissions = socket.is_pipe() ? 0600 : 0777;
    status.link_count = 1;
    return 0;
}

std::int32_t perform_stat(sim_world& world, op& operation, description* target,
                          staged_output& output)
{
    const auto& arguments = operation.args.stat;
    file_status status;
    std::int32_t result = 0;
    if (arguments.path != nullptr && *arguments.path != '\0')
    {
        int error = 0;
        const auto base = base_of(world, operation, arguments.path, target, error);
        result = error != 0
                     ? error
                     : world.files().stat(base, arguments.path, arguments.follow_links, status);
    }
    else if (operation.fd == op::no_descriptor)
    {
        result = -ENOENT; // an empty path names nothing
    }
    else if (target == nullptr)
    {
        result = -EBADF;
    }
    else if (open_file* const file = target->as_file())
    {
        world.files().fill_status(*file->node(), status);
    }
    else
    {
        result = describe_socket(*target->as_socket(), status);
    }
    if (result == 0)
    {
        stage_value(status, output);
    }
    return result;
}

std::int32_t perform_on_paths(sim_world& world, op& operation, description* target)
{
    const bool is_rename = operation.kind == op_kind::rename;
    const auto& paths = operation.args.paths;
    const auto& open = operation.args.open;
    const char* first = is_rename ? paths.from : open.path;
    if (is_rename && !is_relative(first))
    {
        first = paths.to; // the descriptor matters if either of them is relative
    }
    int error = 0;
    const auto base = base_of(world, operation, first, target, error);
    if (error != 0)
    {
        return error;
    }
    if (is_rename)
    {
        return world.files().rename(base, paths.from, paths.to, paths.replace);
    }
    if (operation.kind == op_kind::unlink)
    {
        const bool directory = (open.flags & open_flags::remove_directory) != 0;
        return world.files().unlink(base, open.path, directory);
    }
    return world.files().make_directory(base, open.path, open.mode);
}

attempt_result perform_poll(const op& operation, const description& target)
{
    // Errors and hang-ups are told whether asked for or not.
    const std::uint32_t asked =
        operation.args.poll.events | poll_events::error | poll_events::hangup;
    const std::uint32_t ready = target.ready_events() & asked;
    return ready == 0 ? attempt_result{} : static_cast<std::int32_t>(ready);
}

} // namespace

void staged_output::deliver(op& operation)
{
    switch (operation.kind)
    {
    case op_kind::recv:
    case op_kind::read:
    case op_kind::read_at:
        if (!bytes.empty())
        {
            std::memcpy(operation.args.transfer.data, bytes.data(), bytes.size());
        }
        break;
    case op_kind::recv_leased:
        if (!bytes.empty())
        {
            std::memcpy(lease.data, bytes.data(), bytes.size());
            *operation.args.lease.out = lease;
        }
        break;
    case op_kind::accept:
        if (!bytes.empty())
        {
            std::memcpy(operation.args.peer.address, bytes.data(), bytes.size());
        }
        break;
    case op_kind::stat:
        if (!bytes.empty())
        {
            std::memcpy(operation.args.stat.out, bytes.data(), bytes.size());
        }
        break;
    case op_kind::read_directory: *operation.args.directory.out = std::move(batch); break;
    case op_kind::nop:
    case op_kind::connect:
    case op_kind::send:
    case op_kind::write:
    case op_kind::write_at:
    case op_kind::sync:
    case op_kind::open:
    case op_kind::close:
    case op_kind::rename:
    case op_kind::unlink:
    case op_kind::make_directory:
    case op_kind::poll: break;
    }
}

bool may_wait(op_kind kind) noexcept
{
    return interest_of(kind) != op_interest::blocking && interest_of(kind) != op_interest::none;
}

bool uses_description(const op& operation) noexcept
{
    return operation.kind != op_kind::nop && operation.kind != op_kind::close &&
           operation.fd != op::no_descriptor;
}

attempt_result perform(sim_world& world, op& operation, const std::shared_ptr<description>& target,
                       bool& connect_begun, staged_output& output, worker_buffers& buffers)
{
    switch (operation.kind)
    {
    case op_kind::nop: return 0;
    case op_kind::close: return world.close(operation.fd, 1);
    case op_kind::open: return perform_open(world, operation, target.get());
    case op_kind::stat: return perform_stat(world, operation, target.get(), output);
    case op_kind::rename:
    case op_kind::unlink:
    case op_kind::make_directory: return perform_on_paths(world, operation, target.get());
    default: break;
    }
    if (target == nullptr)
    {
        return -EBADF;
    }
    stream_socket* const socket = target->as_socket();
    open_file* const file = target->as_file();
    switch (operation.kind)
    {
    case op_kind::accept:
    case op_kind::connect:
    case op_kind::recv:
    case op_kind::send:
        return socket == nullptr || socket->is_pipe()
                   ? -ENOTSOCK
                   : perform_on_socket(world, operation, *socket, connect_begun, output);
    case op_kind::recv_leased:
        return socket == nullptr || socket->is_pipe()
                   ? -ENOTSOCK
                   : perform_leased(world, operation, *socket, output, buffers);
    case op_kind::read:
    case op_kind::read_at: return perform_read(operation, *target, output);
    case op_kind::write:
    case op_kind::write_at: return perform_write(world, operation, *target);
    case op_kind::sync: return file == nullptr ? -EINVAL : file->sync();
    case op_kind::read_directory:
        return file == nullptr ? -ENOTDIR : file->read_directory(output.batch);
    case op_kind::poll: return perform_poll(operation, *target);
    case op_kind::nop:
    case op_kind::close:
    case op_kind::open:
    case op_kind::stat:
    case op_kind::rename:
    case op_kind::unlink:
    case op_kind::make_directory: break;
    }
    return -EINVAL;
}

} // namespace blitzio::detail::sim
