// The operating system as the runtime sees it: calls that never wait. One per runtime, injected, so
// that a simulated world can stand in for the kernel.
// Thread rule: every call may come from any thread.
#pragma once

#include <blitzio/io/detail/socket_address.hpp>

#include <cstdint>

namespace blitzio::detail
{

enum class socket_family : std::uint8_t
{
    ipv4,
    ipv6,
    unix_domain,
};

enum class socket_type : std::uint8_t
{
    stream,
    datagram,
};

/// Socket options with portable names; values are ints (booleans are 0 and 1).
enum class socket_option : std::uint8_t
{
    reuse_address,
    reuse_port,
    no_delay,
    keep_alive,
    send_buffer_size,
    receive_buffer_size,
    linger_seconds, // -1: off
    ipv6_only,
    pending_error, // get only; clears it
};

enum class shutdown_direction : std::uint8_t
{
    receive,
    send,
    both,
};

/// All results are kernel style: >= 0 is the result, < 0 the negated errno.
class system
{
public:
    virtual ~system() = default;

    /// A new non-blocking, close-on-exec socket.
    virtual int open_socket(socket_family family, socket_type type) noexcept = 0;
    virtual int bind(int fd, const socket_address& address) noexcept = 0;
    virtual int listen(int fd, int backlog) noexcept = 0;
    virtual int local_address(int fd, socket_address& out) noexcept = 0;
    virtual int peer_address(int fd, socket_address& out) noexcept = 0;
    virtual int set_option(int fd, socket_option option, int value) noexcept = 0;
    virtual int get_option(int fd, socket_option option, int& value) noexcept = 0;
    virtual int shutdown(int fd, shutdown_direction direction) noexcept = 0;
    /// A connected pair of stream sockets.
    virtual int socket_pair(int (&fds)[2]) noexcept = 0;
    /// Closes at once. No operation may be in flight on `fd`: closing does not cancel them.
    virtual int close(int fd) noexcept = 0;
};

} // namespace blitzio::detail
