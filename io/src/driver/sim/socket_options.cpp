// Options and addresses of simulated sockets: stored, checked and returned as Linux does. Pipes do
// not come here, sim_system::find() refuses them.
// Thread rule: the simulation's thread only.
#include "driver/sim/stream_socket.hpp"

#include <algorithm>
#include <cerrno>

namespace blitzio::detail::sim
{
namespace
{

/// Limits of the buffer sizes as Linux reports them, that is, with its own overhead counted in.
constexpr int send_buffer_min = 4608;
constexpr int receive_buffer_min = 2304;
constexpr int buffer_max = 8 * 1024 * 1024;

int reported_buffer_size(int asked, int least)
{
    // Twice what was asked for: the other half is what Linux reckons for its bookkeeping.
    const int bounded = std::clamp(asked, 0, buffer_max / 2);
    return std::max(bounded * 2, least);
}

} // namespace

int stream_socket::option(socket_option which) const noexcept
{
    return options_[static_cast<std::size_t>(which)];
}

void stream_socket::inherit_options(const stream_socket& listener)
{
    options_ = listener.options_;
}

int stream_socket::set_option(socket_option which, int value)
{
    int stored = value;
    switch (which)
    {
    case socket_option::no_delay:
        if (!is_tcp())
        {
            return -EOPNOTSUPP;
        }
        stored = value != 0;
        break;
    case socket_option::reuse_port:
        if (!is_tcp())
        {
            return -EOPNOTSUPP;
        }
        stored = value != 0;
        break;
    case socket_option::ipv6_only:
        if (family_ != socket_family::ipv6)
        {
            return is_tcp() ? -ENOPROTOOPT : -EOPNOTSUPP;
        }
        if (is_bound)
        {
            return -EINVAL;
        }
        stored = value != 0;
        break;
    case socket_option::reuse_address:
    case socket_option::keep_alive: stored = value != 0; break;
    case socket_option::send_buffer_size:
        stored = reported_buffer_size(value, send_buffer_min);
        break;
    case socket_option::receive_buffer_size:
        stored = reported_buffer_size(value, receive_buffer_min);
        break;
    case socket_option::linger_seconds: stored = std::max(value, -1); break;
    case socket_option::pending_error: return -ENOPROTOOPT;
    }
    options_[static_cast<std::size_t>(which)] = stored;
    return 0;
}

int stream_socket::get_option(socket_option which, int& value)
{
    if (which == socket_option::pending_error)
    {
        value = take_error();
        return 0;
    }
    if (which == socket_option::no_delay && !is_tcp())
    {
        return -EOPNOTSUPP;
    }
    if (which == socket_option::ipv6_only && family_ != socket_family::ipv6)
    {
        return -EOPNOTSUPP; // other than set_option(), which is told ENOPROTOOPT
    }
    value = option(which);
    return 0;
}

int stream_socket::local_address(socket_address& out) const
{
    if (is_tcp())
    {
        write_address(local, out);
    }
    else
    {
        write_unix_address(unix_name, out);
    }
    return 0;
}

int stream_socket::peer_address(socket_address& out) const
{
    const bool tcp_is_over = is_tcp() && (reset_ || (end_sent_ && end_received_));
    if (state_ != state::connected || tcp_is_over)
    {
        return -ENOTCONN;
    }
    write_peer_address(out);
    return 0;
}

void stream_socket::write_peer_address(socket_address& out) const
{
    if (is_tcp())
    {
        write_address(peer, out);
    }
    else
    {
        write_unix_address(unix_peer_name, out);
    }
}

} // namespace blitzio::detail::sim
