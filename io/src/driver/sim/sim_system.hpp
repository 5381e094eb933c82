// The calls that never wait, answered by a simulated world.
// Thread rule: the simulation's thread only, although the interface would allow any.
#pragma once

#include <blitzio/io/detail/system.hpp>

#include <memory>

namespace blitzio::detail
{
class sim_world;
} // namespace blitzio::detail

namespace blitzio::detail::sim
{

class stream_socket;

class sim_system final : public system
{
public:
    explicit sim_system(sim_world& world) : world_(world) {}

    int open_socket(socket_family family, socket_type type) noexcept override;
    int bind(int fd, const socket_address& address) noexcept override;
    int listen(int fd, int backlog) noexcept override;
    int local_address(int fd, socket_address& out) noexcept override;
    int peer_address(int fd, socket_address& out) noexcept override;
    int set_option(int fd, socket_option option, int value) noexcept override;
    int get_option(int fd, socket_option option, int& value) noexcept override;
    int shutdown(int fd, shutdown_direction direction) noexcept override;
    int socket_pair(int (&fds)[2]) noexcept override;
    int close(int fd) noexcept override;

private:
    /// The socket behind `fd`, or nullptr with `error` set to -EBADF or -ENOTSOCK.
    [[nodiscard]] std::shared_ptr<stream_socket> find(int fd, int& error);

    sim_world& world_;
};

} // namespace blitzio::detail::sim
