// Plain socket calls in the portable vocabulary of detail::system. Thread rule: any thread.
#include "driver/posix_system.hpp"

#include <algorithm>
#include <cerrno>

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace blitzio::detail
{

namespace
{

int checked(int outcome) noexcept
{
    return outcome >= 0 ? outcome : -errno;
}

int native_family(socket_family family) noexcept
{
    switch (family)
    {
    case socket_family::ipv4: return AF_INET;
    case socket_family::ipv6: return AF_INET6;
    case socket_family::unix_domain: return AF_UNIX;
    }
    return AF_UNSPEC;
}

struct native_option
{
    int level;
    int name;
};

native_option native(socket_option option) noexcept
{
    switch (option)
    {
    case socket_option::reuse_address: return {SOL_SOCKET, SO_REUSEADDR};
    case socket_option::reuse_port: return {SOL_SOCKET, SO_REUSEPORT};
    case socket_option::no_delay: return {IPPROTO_TCP, TCP_NODELAY};
    case socket_option::keep_alive: return {SOL_SOCKET, SO_KEEPALIVE};
    case socket_option::send_buffer_size: return {SOL_SOCKET, SO_SNDBUF};
    case socket_option::receive_buffer_size: return {SOL_SOCKET, SO_RCVBUF};
    case socket_option::linger_seconds: return {SOL_SOCKET, SO_LINGER};
    case socket_option::ipv6_only: return {IPPROTO_IPV6, IPV6_V6ONLY};
    case socket_option::pending_error: return {SOL_SOCKET, SO_ERROR};
    }
    return {-1, -1};
}

using name_function = int (*)(int, sockaddr*, socklen_t*);

int address_of(int fd, socket_address& out, name_function ask) noexcept
{
    static_assert(sizeof(sockaddr_storage) == sizeof(socket_address::storage));
    socklen_t size = sizeof(sockaddr_storage);
    if (ask(fd, reinterpret_cast<sockaddr*>(out.storage.data()), &size) != 0)
    {
        return -errno;
    }
    out.size = std::min<socklen_t>(size, sizeof(sockaddr_storage));
    return 0;
}

} // namespace

int posix_system::open_socket(socket_family family, socket_type type) noexcept
{
    const int native_type = type == socket_type::stream ? SOCK_STREAM : SOCK_DGRAM;
    return checked(::socket(native_family(family), native_type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

int posix_system::bind(int fd, const socket_address& address) noexcept
{
    return checked(
        ::bind(fd, reinterpret_cast<const sockaddr*>(address.storage.data()), address.size));
}

int posix_system::listen(int fd, int backlog) noexcept
{
    return checked(::listen(fd, backlog));
}

int posix_system::local_address(int fd, socket_address& out) noexcept
{
    return address_of(fd, out, [](int socket, sockaddr* address, socklen_t* size) {
        return ::getsockname(socket, address, size);
    });
}

int posix_system::peer_address(int fd, socket_address& out) noexcept
{
    return address_of(fd, out, [](int socket, sockaddr* address, socklen_t* size) {
        return ::getpeername(socket, address, size);
    });
}

int posix_system::set_option(int fd, socket_option option, int value) noexcept
{
    const native_option target = native(option);
    if (option == socket_option::linger_seconds)
    {
        const struct linger setting = {.l_onoff = value >= 0 ? 1 : 0,
                                       .l_linger = std::max(value, 0)};
        return checked(::setsockopt(fd, target.level, target.name, &setting, sizeof setting));
    }
    return checked(::setsockopt(fd, target.level, target.name, &value, sizeof value));
}

int posix_system::get_option(int fd, socket_option option, int& value) noexcept
{
    const native_option target = native(option);
    if (option == socket_option::linger_seconds)
    {
        struct linger setting = {};
        socklen_t size = sizeof setting;
        const int outcome = checked(::getsockopt(fd, target.level, target.name, &setting, &size));
        if (outcome == 0)
        {
            value = setting.l_onoff != 0 ? setting.l_linger : -1;
        }
        return outcome;
    }
    socklen_t size = sizeof value;
    return checked(::getsockopt(fd, target.level, target.name, &value, &size));
}

int posix_system::shutdown(int fd, shutdown_direction direction) noexcept
{
    switch (direction)
    {
    case shutdown_direction::receive: return checked(::shutdown(fd, SHUT_RD));
    case shutdown_direction::send: return checked(::shutdown(fd, SHUT_WR));
    case shutdown_direction::both: return checked(::shutdown(fd, SHUT_RDWR));
    }
    return -EINVAL;
}

int posix_system::socket_pair(int (&fds)[2]) noexcept
{
    return checked(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
}

int posix_system::close(int fd) noexcept
{
    return ::close(fd) == 0 || errno == EINTR ? 0 : -errno;
}

} // namespace blitzio::detail
