// TCP connections: connecting, options, and the reading that needs a buffer of its own size.
// Thread rule: as the header says.
#include <blitzio/net/tcp_stream.hpp>

#include <blitzio/io/detail/runtime_access.hpp>

#include "socket_address.hpp"

#include <limits>
#include <new>

namespace blitzio::net
{

using blitzio::detail::error_from_kernel;
using blitzio::detail::socket_family;
using blitzio::detail::socket_option;
using blitzio::detail::socket_type;

namespace
{

constexpr int closed_socket = detail::kernel_error(std::errc::bad_file_descriptor);

result<void> to_result(int outcome) noexcept
{
    if (outcome < 0)
    {
        return fail(error_from_kernel(outcome));
    }
    return {};
}

result<bool> as_flag(result<int> value) noexcept
{
    if (!value)
    {
        return fail(value.error());
    }
    return *value != 0;
}

} // namespace

namespace detail
{

int connect_operation::open_socket(blitzio::detail::system& system) noexcept
{
    const auto family = peer_.address.is_ipv4() ? socket_family::ipv4 : socket_family::ipv6;
    const int fd = system.open_socket(family, socket_type::stream);
    if (fd < 0)
    {
        return fd;
    }
    socket_ = blitzio::detail::descriptor(system, fd);
    return system.set_option(fd, socket_option::no_delay, 1);
}

bool connect_operation::start(const task_env& env, blitzio::detail::waiter who) noexcept
{
    if (const int opened = open_socket(blitzio::detail::system_of(*env.runtime)); opened < 0)
    {
        op_.result = opened;
        return false;
    }
    address_ = to_socket_address(peer_);
    op_.fd = socket_.get();
    op_.args.peer = {&address_};
    return base::start(env, who);
}

result<tcp_stream> connect_operation::finish(std::int32_t outcome) noexcept
{
    if (outcome < 0)
    {
        static_cast<void>(socket_.close());
        return fail(error_from_kernel(outcome));
    }
    return tcp_stream(std::move(socket_));
}

namespace
{

/// Room for a step of read_until: small at first, then as much as there is already.
constexpr std::size_t read_until_step_min = 1024;

} // namespace

bool read_until_operation::next_step(blitzio::detail::op& step) noexcept
{
    if (error_)
    {
        return false;
    }
    const auto arrived = std::string_view(*buffer_).substr(0, std::min(received_, limit_));
    if (const auto at = arrived.find(delimiter_, search_from_); at != std::string_view::npos)
    {
        found_ = at + delimiter_.size();
        return false;
    }
    if (received_ >= limit_)
    {
        error_ = make_error_code(io_errc::limit_reached);
        return false;
    }
    // The delimiter may have begun in the bytes that are there.
    search_from_ = arrived.size() - std::min(arrived.size(), delimiter_.size() - 1);
    const std::size_t room =
        std::min({std::max(received_, read_until_step_min), limit_ - received_, transfer_max});
    try
    {
        buffer_->resize(received_ + room);
    }
    catch (const std::exception&)
    {
        error_ = error_from_kernel(kernel_error(std::errc::not_enough_memory));
        return false;
    }
    set_receive(step, *stream_, reinterpret_cast<std::byte*>(buffer_->data() + received_), room);
    return true;
}

void read_until_operation::step_ended(std::int32_t outcome) noexcept
{
    if (outcome < 0)
    {
        error_ = error_from_kernel(outcome);
    }
    else if (outcome == 0)
    {
        error_ = make_error_code(io_errc::end_of_stream);
    }
    else
    {
        const auto received = static_cast<std::size_t>(outcome);
        stream_->drained = received < buffer_->size() - received_;
        received_ += received;
    }
}

result<std::size_t> read_until_operation::finish() noexcept
{
    stream_->reading = false;
    buffer_->resize(received_); // never grows
    if (error_)
    {
        return fail(error_);
    }
    return found_;
}

} // namespace detail

result<void> tcp_stream::shutdown(shutdown_direction direction) noexcept
{
    if (!is_open())
    {
        return to_result(closed_socket);
    }
    return to_result(state_.socket.owner().shutdown(state_.socket.get(), direction));
}

result<void> tcp_stream::close() noexcept
{
    BLITZIO_ASSERT(is_idle());
    state_.drained = false;
    return state_.socket.close();
}

result<endpoint> tcp_stream::local_endpoint() const noexcept
{
    if (!is_open())
    {
        return fail(error_from_kernel(closed_socket));
    }
    blitzio::detail::socket_address found;
    const int asked = state_.socket.owner().local_address(state_.socket.get(), found);
    return asked < 0 ? fail(error_from_kernel(asked)) : detail::from_socket_address(found);
}

result<endpoint> tcp_stream::peer_endpoint() const noexcept
{
    if (!is_open())
    {
        return fail(error_from_kernel(closed_socket));
    }
    blitzio::detail::socket_address found;
    const int asked = state_.socket.owner().peer_address(state_.socket.get(), found);
    return asked < 0 ? fail(error_from_kernel(asked)) : detail::from_socket_address(found);
}

result<void> tcp_stream::set_option(socket_option option, int value) noexcept
{
    if (!is_open())
    {
        return to_result(closed_socket);
    }
    return to_result(state_.socket.owner().set_option(state_.socket.get(), option, value));
}

result<int> tcp_stream::get_option(socket_option option) const noexcept
{
    if (!is_open())
    {
        return fail(error_from_kernel(closed_socket));
    }
    int value = 0;
    const int asked = state_.socket.owner().get_option(state_.socket.get(), option, value);
    if (asked < 0)
    {
        return fail(error_from_kernel(asked));
    }
    return value;
}

result<void> tcp_stream::set_no_delay(bool on) noexcept
{
    return set_option(socket_option::no_delay, on ? 1 : 0);
}

result<bool> tcp_stream::no_delay() const noexcept
{
    return as_flag(get_option(socket_option::no_delay));
}

result<void> tcp_stream::set_keep_alive(bool on) noexcept
{
    return set_option(socket_option::keep_alive, on ? 1 : 0);
}

result<bool> tcp_stream::keep_alive() const noexcept
{
    return as_flag(get_option(socket_option::keep_alive));
}

result<void> tcp_stream::set_linger(std::optional<std::chrono::seconds> time) noexcept
{
    if (time && (time->count() < 0 || time->count() > std::numeric_limits<int>::max()))
    {
        return fail(std::errc::invalid_argument);
    }
    return set_option(socket_option::linger_seconds, time ? static_cast<int>(time->count()) : -1);
}

result<std::optional<std::chrono::seconds>> tcp_stream::linger() const noexcept
{
    const auto value = get_option(socket_option::linger_seconds);
    if (!value)
    {
        return fail(value.error());
    }
    if (*value < 0)
    {
        return std::optional<std::chrono::seconds>();
    }
    return std::optional(std::chrono::seconds(*value));
}

result<void> tcp_stream::set_send_buffer_size(int bytes) noexcept
{
    return set_option(socket_option::send_buffer_size, bytes);
}

result<int> tcp_stream::send_buffer_size() const noexcept
{
    return get_option(socket_option::send_buffer_size);
}

result<void> tcp_stream::set_receive_buffer_size(int bytes) noexcept
{
    return set_option(socket_option::receive_buffer_size, bytes);
}

result<int> tcp_stream::receive_buffer_size() const noexcept
{
    return get_option(socket_option::receive_buffer_size);
}

} // namespace blitzio::net
