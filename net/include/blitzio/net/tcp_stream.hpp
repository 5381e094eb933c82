// A TCP connection.
// Thread rule: one task reads and one task writes at a time; they may be different tasks on
// different workers. Everything else (options, close, moving the object) needs that neither is
// under way.
#pragma once

#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/net/detail/stream_operations.hpp>
#include <blitzio/net/detail/stream_state.hpp>
#include <blitzio/net/endpoint.hpp>

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace blitzio::net
{

/// Which half of a connection shutdown() ends: receive, send or both.
using shutdown_direction = blitzio::detail::shutdown_direction;

namespace detail
{
class connect_operation;
class accept_operation;
} // namespace detail

/// Owns a connected socket; the destructor closes it.
///
/// Every stream begins with no_delay on, accepted ones and connected ones, so that a small answer
/// leaves at once; switch it off for bulk data in many small writes.
///
/// Lifetime: buffers given to an operation, and the stream itself, stay in place until the
/// operation has ended; a stream that is closed or destroyed while one is in flight is a bug
/// (checked where assertions are on), because closing does not end it. Ask the task to stop
/// instead. The runtime must outlive the stream.
/// Cancellation: every operation ends with operation_canceled on a stop request; bytes that had
/// already arrived are delivered instead.
/// Errors: the kernel's, std::errc::connection_reset for example. On a stream without a socket:
/// bad_file_descriptor.
class tcp_stream
{
public:
    /// The bound of read_until where none is given.
    static constexpr std::size_t read_until_limit = 64 * 1024;

    /// No socket yet.
    tcp_stream() noexcept = default;
    tcp_stream(tcp_stream&&) noexcept = default;
    tcp_stream& operator=(tcp_stream&&) noexcept = default;

    ~tcp_stream()
    {
        BLITZIO_ASSERT(is_idle());
    }

    /// Opens a connection: result<tcp_stream>. Errors: connection_refused, network_unreachable,
    /// ...; too_many_files_open. A stopped attempt leaves no socket behind.
    [[nodiscard]] static detail::connect_operation connect(endpoint peer) noexcept;

    /// Waits until at least one byte is there and takes what fits: result<std::size_t>, 0 when the
    /// peer has ended its side. An empty buffer is an invalid_argument, so that 0 has one meaning.
    /// No allocation.
    [[nodiscard]] detail::read_some_operation read_some(std::span<std::byte> buffer) noexcept
    {
        return {state_, buffer};
    }

    /// Waits until at least one byte is there and gives it in a buffer that is chosen only then, so
    /// that a connection that waits holds none: result<leased_buffer>, empty when the peer has
    /// ended its side. It has at most runtime_config::read_buffer_bytes, and at most `length_max`
    /// unless that is 0. Keep the lease for as short as you can: a worker has a limited number
    /// (read_buffers_max), then the runtime's pool is used, and when that has reached its limit,
    /// too, the result is no_buffer_space; nothing is lost by that, and the read can be repeated.
    /// No allocation but for the first one of each worker, and of a pool that grows.
    [[nodiscard]] detail::read_leased_operation read_leased(std::size_t length_max = 0) noexcept
    {
        return {state_, length_max};
    }

    /// Fills the buffer: result<void>. io_errc::end_of_stream when the peer ends before that; after
    /// an error it is not known how much of the buffer was filled. No allocation.
    [[nodiscard]] detail::read_exactly_operation read_exactly(std::span<std::byte> buffer) noexcept
    {
        return {state_, buffer};
    }

    /// Reads until `buffer` contains `delimiter`: result<std::size_t>, the length up to and
    /// including it. What came with it stays in the buffer behind that length, and what the buffer
    /// holds at the beginning counts as read: erase the part you have used and call again.
    /// Errors: io_errc::end_of_stream; io_errc::limit_reached when the delimiter does not lie
    /// within the first `limit` bytes. What arrived is in the buffer then, too. The delimiter's
    /// text must outlive the operation. Allocates when the buffer has to grow.
    [[nodiscard]] detail::read_until_operation read_until(
        std::string& buffer, std::string_view delimiter,
        std::size_t limit = read_until_limit) noexcept
    {
        return {state_, buffer, delimiter, limit};
    }

    /// Waits until the socket takes at least one byte: result<std::size_t>, how many it took.
    /// No allocation. Writing to a peer that is gone gives broken_pipe, never a signal.
    [[nodiscard]] detail::write_some_operation write_some(std::span<const std::byte> data) noexcept
    {
        return {state_, data};
    }
    [[nodiscard]] detail::write_some_operation write_some(std::string_view text) noexcept
    {
        return {state_, std::as_bytes(std::span(text))};
    }

    /// Hands everything to the socket: result<void>. After an error, a stop request included, it is
    /// not known how much was sent, and the stream is good for closing only. No allocation.
    [[nodiscard]] detail::write_all_operation write_all(std::span<const std::byte> data) noexcept
    {
        return {state_, data};
    }
    [[nodiscard]] detail::write_all_operation write_all(std::string_view text) noexcept
    {
        return {state_, std::as_bytes(std::span(text))};
    }

    /// Ends one direction or both; `send` lets the peer read the end of the stream. Any thread,
    /// also while operations are in flight: a read under way sees the end of the stream.
    result<void> shutdown(shutdown_direction direction) noexcept;

    /// Closes the socket now. The stream is empty afterwards, whatever the result says.
    result<void> close() noexcept;

    [[nodiscard]] bool is_open() const noexcept
    {
        return state_.socket.is_open();
    }

    [[nodiscard]] result<endpoint> local_endpoint() const noexcept;
    /// not_connected once the peer has reset the connection.
    [[nodiscard]] result<endpoint> peer_endpoint() const noexcept;

    /// Off: small writes wait to be sent together (Nagle's algorithm). On by default.
    result<void> set_no_delay(bool on) noexcept;
    [[nodiscard]] result<bool> no_delay() const noexcept;
    /// Probes a silent peer, as the system's settings say. Off by default.
    result<void> set_keep_alive(bool on) noexcept;
    [[nodiscard]] result<bool> keep_alive() const noexcept;
    /// What closing does with unsent bytes. Nothing: it goes on sending them in the background (the
    /// default). Zero: it drops them and resets the connection. A time: it BLOCKS the closing
    /// thread for at most that long, in whole seconds.
    result<void> set_linger(std::optional<std::chrono::seconds> time) noexcept;
    [[nodiscard]] result<std::optional<std::chrono::seconds>> linger() const noexcept;
    /// In bytes; the kernel may round, bound or double them, which the getters then show.
    result<void> set_send_buffer_size(int bytes) noexcept;
    [[nodiscard]] result<int> send_buffer_size() const noexcept;
    result<void> set_receive_buffer_size(int bytes) noexcept;
    [[nodiscard]] result<int> receive_buffer_size() const noexcept;

private:
    friend detail::connect_operation;
    friend detail::accept_operation;

    explicit tcp_stream(blitzio::detail::descriptor socket) noexcept
    {
        state_.socket = std::move(socket);
    }

    [[nodiscard]] bool is_idle() const noexcept
    {
        return !state_.reading && !state_.writing;
    }

    result<void> set_option(blitzio::detail::socket_option option, int value) noexcept;
    [[nodiscard]] result<int> get_option(blitzio::detail::socket_option option) const noexcept;

    detail::stream_state state_;
};

namespace detail
{

/// Opens the socket when it is started, and closes it again when the attempt fails.
class connect_operation : public blitzio::detail::driver_operation<connect_operation>
{
    using base = blitzio::detail::driver_operation<connect_operation>;

public:
    explicit connect_operation(const endpoint& peer) noexcept
        : base(blitzio::detail::op_kind::connect), peer_(peer)
    {
    }

    [[nodiscard]] bool start(const task_env& env, blitzio::detail::waiter who) noexcept;
    result<tcp_stream> finish(std::int32_t outcome) noexcept;

private:
    /// Kernel style.
    [[nodiscard]] int open_socket(blitzio::detail::system& system) noexcept;

    endpoint peer_;
    blitzio::detail::descriptor socket_;
    blitzio::detail::socket_address address_;
};

} // namespace detail

inline detail::connect_operation tcp_stream::connect(endpoint peer) noexcept
{
    return detail::connect_operation(peer);
}

} // namespace blitzio::net
