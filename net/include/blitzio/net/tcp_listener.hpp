// A socket that takes TCP connections.
// Thread rule: any number of tasks may accept at a time, on any workers; everything else needs that
// none does.
#pragma once

#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/net/endpoint.hpp>
#include <blitzio/net/tcp_stream.hpp>

#include <cstdint>

namespace blitzio::net
{

struct listen_options
{
    /// Connections that may wait to be accepted; the system bounds it further. Large enough for a
    /// thousand clients that connect at once: whoever finds the queue full tries again a second
    /// later.
    int backlog = 1024;
    /// A port whose last connections have not faded away yet can be bound again.
    bool reuse_address = true;
    /// Several listeners share the port, and the kernel spreads the connections over them.
    bool reuse_port = false;
    /// For IPv6: do not take IPv4 connections as well.
    bool ipv6_only = false;
};

namespace detail
{
struct bind_call;
class accept_operation;
} // namespace detail

/// Owns a listening socket; the destructor closes it, and connections nobody has accepted with it.
/// Lifetime: no accept may be in flight then. The runtime must outlive the listener.
class tcp_listener
{
public:
    /// No socket yet.
    tcp_listener() noexcept = default;

    /// Opens, binds and listens: `auto listener = co_await tcp_listener::bind(where);` gives
    /// result<tcp_listener>. Never waits. Port 0: local_endpoint() tells which one it became.
    /// Errors: address_in_use, address_not_available, permission_denied, ...
    [[nodiscard]] static blitzio::detail::immediate_operation<detail::bind_call> bind(
        endpoint where, listen_options options = {}) noexcept;

    /// Waits for the next connection: result<tcp_stream>, with no_delay on.
    /// Cancellation: operation_canceled; a connection that was taken already is delivered instead.
    /// Errors: connection_aborted and the like concern one connection and the next accept() may
    /// well succeed; too_many_files_open lasts until something is closed, so wait before the next
    /// try.
    /// No allocation.
    [[nodiscard]] detail::accept_operation accept() noexcept;

    [[nodiscard]] bool is_open() const noexcept
    {
        return socket_.is_open();
    }

    [[nodiscard]] result<endpoint> local_endpoint() const noexcept;

    /// Closes the socket now. The listener is empty afterwards, whatever the result says.
    result<void> close() noexcept
    {
        return socket_.close();
    }

private:
    friend detail::bind_call;

    explicit tcp_listener(blitzio::detail::descriptor socket) noexcept : socket_(std::move(socket))
    {
    }

    blitzio::detail::descriptor socket_;
};

namespace detail
{

struct bind_call
{
    endpoint where;
    listen_options options;

    result<tcp_listener> operator()(const task_env& env) const noexcept;
};

class accept_operation : public blitzio::detail::driver_operation<accept_operation>
{
    using base = blitzio::detail::driver_operation<accept_operation>;

public:
    explicit accept_operation(const blitzio::detail::descriptor& listener) noexcept
        : base(blitzio::detail::op_kind::accept, listener.get()),
          system_(listener.is_open() ? &listener.owner() : nullptr)
    {
        op_.args.peer = {nullptr};
    }

    [[nodiscard]] bool start(const task_env& env, blitzio::detail::waiter who) noexcept
    {
        if (system_ == nullptr)
        {
            op_.result = kernel_error(std::errc::bad_file_descriptor);
            return false;
        }
        return base::start(env, who);
    }

    result<tcp_stream> finish(std::int32_t outcome) noexcept
    {
        if (outcome < 0)
        {
            return fail(blitzio::detail::error_from_kernel(outcome));
        }
        return tcp_stream(blitzio::detail::descriptor(*system_, outcome));
    }

private:
    blitzio::detail::system* system_;
};

} // namespace detail

inline blitzio::detail::immediate_operation<detail::bind_call> tcp_listener::bind(
    endpoint where, listen_options options) noexcept
{
    return blitzio::detail::immediate_operation(detail::bind_call{where, options});
}

inline detail::accept_operation tcp_listener::accept() noexcept
{
    return detail::accept_operation(socket_);
}

} // namespace blitzio::net
