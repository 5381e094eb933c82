// The operating system view of the kernel drivers: plain socket calls that never wait.
// Thread rule: stateless, any thread.
#pragma once

#include <blitzio/io/detail/system.hpp>

namespace blitzio::detail
{

/// A driver that keeps something per descriptor derives from it and overrides close().
class posix_system : public system
{
public:
    int open_socket(socket_family family, socket_type type) noexcept override;
    int bind(int fd, const socket_address& address) noexcept override;
    int listen(int fd, int backlog) noexcept override;
    int local_address(int fd, socket_address& out) noexcept override;
    int peer_address(int fd, socket_address& out) noexcept override;
    /// linger_seconds: 0 makes close() reset the connection, -1 is the default behaviour.
    int set_option(int fd, socket_option option, int value) noexcept override;
    int get_option(int fd, socket_option option, int& value) noexcept override;
    int shutdown(int fd, shutdown_direction direction) noexcept override;
    int socket_pair(int (&fds)[2]) noexcept override;
    /// 0 also when the close was interrupted: the number is free again in every case.
    int close(int fd) noexcept override;
};

} // namespace blitzio::detail
