// The system calls of a simulated world.
// Thread rule: the simulation's thread only.
#include "driver/sim/sim_system.hpp"

#include "driver/sim/network.hpp"
#include "driver/sim/sim_world.hpp"
#include "driver/sim/stream_socket.hpp"

#include <cerrno>
#include <utility>

namespace blitzio::detail::sim
{

std::shared_ptr<stream_socket> sim_system::find(int fd, int& error)
{
    const auto what = world_.descriptors().find(fd);
    stream_socket* const socket = what == nullptr ? nullptr : what->as_socket();
    error = what == nullptr ? -EBADF : -ENOTSOCK;
    if (socket == nullptr || socket->is_pipe())
    {
        return nullptr;
    }
    error = 0;
    return socket->shared_from_this();
}

int sim_system::open_socket(socket_family family, socket_type type) noexcept
{
    if (type != socket_type::stream)
    {
        return -ESOCKTNOSUPPORT; // the simulated network carries streams only
    }
    const auto variant = family == socket_family::unix_domain ? stream_socket::variant::unix_domain
                                                              : stream_socket::variant::tcp;
    return world_.descriptors().add(std::make_shared<stream_socket>(world_, variant, family));
}

int sim_system::bind(int fd, const socket_address& address) noexcept
{
    int error = 0;
    const auto socket = find(fd, error);
    return socket == nullptr ? error : world_.net().bind(*socket, address);
}

int sim_system::listen(int fd, int backlog) noexcept
{
    int error = 0;
    const auto socket = find(fd, error);
    return socket == nullptr ? error : world_.net().listen(*socket, backlog);
}

int sim_system::local_address(int fd, socket_address& out) noexcept
{
    int error = 0;
    const auto socket = find(fd, error);
    return socket == nullptr ? error : socket->local_address(out);
}

int sim_system::peer_address(int fd, socket_address& out) noexcept
{
    int error = 0;
    const auto socket = find(fd, error);
    return socket == nullptr ? error : socket->peer_address(out);
}

int sim_system::set_option(int fd, socket_option option, int value) noexcept
{
    int error = 0;
    const auto socket = find(fd, error);
    return socket == nullptr ? error : socket->set_option(option, value);
}

int sim_system::get_option(int fd, socket_option option, int& value) noexcept
{
    int error = 0;
    const auto socket = find(fd, error);
    return socket == nullptr ? error : socket->get_option(option, value);
}

int sim_system::shutdown(int fd, shutdown_direction direction) noexcept
{
    int error = 0;
    const auto socket = find(fd, error);
    return socket == nullptr ? error : socket->shutdown(direction);
}

int sim_system::socket_pair(int (&fds)[2]) noexcept
{
    return world_.net().socket_pair(fds);
}

int sim_system::close(int fd) noexcept
{
    return world_.close(fd, 0);
}

} // namespace blitzio::detail::sim
