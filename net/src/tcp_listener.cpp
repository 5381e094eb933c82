// Listening for TCP connections. Thread rule: as the header says.
#include <blitzio/net/tcp_listener.hpp>

#include <blitzio/io/detail/runtime_access.hpp>

#include "socket_address.hpp"

namespace blitzio::net
{

using blitzio::detail::descriptor;
using blitzio::detail::error_from_kernel;
using blitzio::detail::socket_family;
using blitzio::detail::socket_option;
using blitzio::detail::socket_type;

namespace
{

/// Kernel style.
int set_options(const descriptor& socket, const listen_options& options, bool is_ipv6) noexcept
{
    struct setting
    {
        socket_option option;
        bool wanted;
        int value;
    };
    const setting settings[] = {
        {socket_option::reuse_address, options.reuse_address, 1},
        {socket_option::reuse_port, options.reuse_port, 1},
        // Said in any case: the default differs between machines.
        {socket_option::ipv6_only, is_ipv6, options.ipv6_only ? 1 : 0},
        // Accepted sockets inherit it, which saves a call for each of them.
        {socket_option::no_delay, true, 1},
    };
    for (const setting& each : settings)
    {
        if (!each.wanted)
        {
            continue;
        }
        if (const int set = socket.owner().set_option(socket.get(), each.option, each.value);
            set < 0)
        {
            return set;
        }
    }
    return 0;
}

} // namespace

result<tcp_listener> detail::bind_call::operator()(const task_env& env) const noexcept
{
    auto& system = blitzio::detail::system_of(*env.runtime);
    const bool is_ipv6 = where.address.is_ipv6();
    const int fd = system.open_socket(is_ipv6 ? socket_family::ipv6 : socket_family::ipv4,
                                      socket_type::stream);
    if (fd < 0)
    {
        return fail(error_from_kernel(fd));
    }
    descriptor socket(system, fd);
    if (const int set = set_options(socket, options, is_ipv6); set < 0)
    {
        return fail(error_from_kernel(set));
    }
    if (const int bound = system.bind(fd, to_socket_address(where)); bound < 0)
    {
        return fail(error_from_kernel(bound));
    }
    if (const int listening = system.listen(fd, options.backlog); listening < 0)
    {
        return fail(error_from_kernel(listening));
    }
    return tcp_listener(std::move(socket));
}

result<endpoint> tcp_listener::local_endpoint() const noexcept
{
    if (!is_open())
    {
        return fail(std::errc::bad_file_descriptor);
    }
    blitzio::detail::socket_address found;
    const int asked = socket_.owner().local_address(socket_.get(), found);
    return asked < 0 ? fail(error_from_kernel(asked)) : detail::from_socket_address(found);
}

} // namespace blitzio::net
