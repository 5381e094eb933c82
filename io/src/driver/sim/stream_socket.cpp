// Bytes, ends and resets of one simulated stream. The errors and their order follow Linux.
// Thread rule: the simulation's thread only.
#include "driver/sim/stream_socket.hpp"

#include "driver/sim/network.hpp"
#include "driver/sim/sim_world.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

namespace blitzio::detail::sim
{
namespace
{

/// A read buffer is compacted once this much of it has been consumed.
constexpr std::size_t compact_bytes = 64 * 1024;
/// Pieces that one send may be cut into when segments are.
constexpr std::uint64_t pieces_max = 4;

} // namespace

stream_socket::stream_socket(sim_world& world, variant kind, socket_family family)
    : world_(world), kind_(kind), family_(family)
{
    const auto window = static_cast<int>(world.options().stream_window);
    options_[static_cast<std::size_t>(socket_option::send_buffer_size)] = window;
    options_[static_cast<std::size_t>(socket_option::receive_buffer_size)] = window;
    options_[static_cast<std::size_t>(socket_option::linger_seconds)] = -1;
    local = internet_address::any(family);
    peer = internet_address::any(family);
}

stream_socket::~stream_socket()
{
    // Connections that nobody accepted end with a reset.
    for (auto& connection : accept_queue_)
    {
        connection->abort_on_close_ = true;
    }
    accept_queue_.clear();
    close_connected();
    const bool lingers = closed_first_ && !reset_ && state_ == state::connected;
    world_.net().release(*this, lingers);
}

void stream_socket::close_connected()
{
    const auto other = other_.lock();
    if (other == nullptr)
    {
        return;
    }
    if (!is_tcp())
    {
        if (kind_ == variant::unix_domain && (unread() > 0 || abort_on_close_))
        {
            other->pending_error_ = ECONNRESET;
        }
        other->end_received_ = true;
        world_.wake(*other);
        return;
    }
    const bool loses_bytes = unread() > 0;
    if (loses_bytes || abort_on_close_ || option(socket_option::linger_seconds) == 0)
    {
        reset_ = true;
        other->put_on_the_way({segment::content::reset, {}});
        return;
    }
    send_end();
    if (bytes_on_the_way_ > 0)
    {
        // They will reach a socket that is gone, which answers with a reset.
        other->put_on_the_way({segment::content::reset, {}});
    }
}

std::optional<std::int32_t> stream_socket::receive(std::size_t length, std::vector<std::byte>& into)
{
    switch (state_)
    {
    case state::fresh:
    case state::listening:
    case state::stopped: return is_tcp() ? -ENOTCONN : -EINVAL;
    case state::connecting: return std::nullopt;
    case state::connected: break;
    }
    if (kind_ == variant::pipe_writer)
    {
        return -EBADF;
    }
    if (length == 0)
    {
        return 0;
    }
    if (unread() > 0)
    {
        return static_cast<std::int32_t>(consume(length, into));
    }
    // A TCP socket that has seen the end keeps saying so, whatever came later.
    if (is_tcp() && end_received_)
    {
        return 0;
    }
    if (pending_error_ != 0)
    {
        return -take_error();
    }
    if (end_received_ || reset_ || receive_shut_)
    {
        return 0;
    }
    return std::nullopt;
}

std::size_t stream_socket::consume(std::size_t length, std::vector<std::byte>& into)
{
    const std::size_t count = world_.draw_transfer(std::min(length, unread()));
    into.resize(count);
    std::memcpy(into.data(), received_.data() + consumed_, count);
    consumed_ += count;
    if (consumed_ == received_.size() || consumed_ >= compact_bytes)
    {
        received_.erase(0, consumed_);
        consumed_ = 0;
    }
    if (const auto other = other_.lock())
    {
        world_.wake(*other); // its window has opened
    }
    return count;
}

std::size_t stream_socket::window_to(const stream_socket& receiver) const noexcept
{
    const int half_of_both = option(socket_option::send_buffer_size) / 2 +
                             receiver.option(socket_option::receive_buffer_size) / 2;
    return static_cast<std::size_t>(std::max(half_of_both, 1));
}

std::size_t stream_socket::free_window(const stream_socket& receiver) const noexcept
{
    const std::size_t used = receiver.unread() + receiver.bytes_on_the_way_;
    const std::size_t window = window_to(receiver);
    return window > used ? window - used : 0;
}

std::optional<std::int32_t> stream_socket::send(const void* data, std::size_t length)
{
    switch (state_)
    {
    case state::fresh:
    case state::listening:
    case state::stopped: return is_tcp() ? -EPIPE : -ENOTCONN;
    case state::connecting: return std::nullopt;
    case state::connected: break;
    }
    if (kind_ == variant::pipe_reader)
    {
        return -EBADF;
    }
    if (is_tcp() && pending_error_ != 0)
    {
        return -take_error();
    }
    if (end_sent_ || reset_)
    {
        return -EPIPE;
    }
    const auto other = other_.lock();
    if (other == nullptr)
    {
        return send_to_nobody(length);
    }
    if (!is_tcp() && other->receive_shut_)
    {
        return -EPIPE;
    }
    if (length == 0)
    {
        return 0;
    }
    const std::size_t space = free_window(*other);
    if (space == 0)
    {
        return std::nullopt;
    }
    const std::size_t count = world_.draw_transfer(std::min(length, space));
    const auto* at = static_cast<const char*>(data);
    std::size_t left = count;
    while (left > 0)
    {
        const bool cut = world_.draw_fault(world_.faults().short_transfers, pieces_max);
        const std::size_t piece = cut ? 1 + world_.random().below(left) : left;
        other->put_on_the_way({segment::content::data, std::string(at, piece)});
        at += piece;
        left -= piece;
    }
    return static_cast<std::int32_t>(count);
}

std::optional<std::int32_t> stream_socket::send_to_nobody(std::size_t length)
{
    if (!is_tcp())
    {
        return -EPIPE;
    }
    // The bytes leave; that nobody is there is learnt from the answer.
    if (!reset_requested_)
    {
        reset_requested_ = true;
        put_on_the_way({segment::content::reset, {}});
    }
    return static_cast<std::int32_t>(std::min<std::size_t>(length, INT32_MAX));
}

void stream_socket::hold_arrivals_until(std::chrono::nanoseconds time)
{
    last_arrival_ = std::max(last_arrival_, time);
}

void stream_socket::put_on_the_way(segment what)
{
    if (!is_tcp())
    {
        take_in(std::move(what));
        return;
    }
    bytes_on_the_way_ += what.bytes.size();
    on_the_way_.push_back(std::move(what));
    // Segments never overtake each other: an arrival takes the first one, whichever event it is.
    last_arrival_ = std::max(last_arrival_, world_.now() + world_.draw_delay());
    world_.schedule_at(last_arrival_, [self = weak_from_this()] {
        if (const auto socket = self.lock())
        {
            socket->arrive();
        }
    });
}

void stream_socket::arrive()
{
    segment what = std::move(on_the_way_.front());
    on_the_way_.pop_front();
    bytes_on_the_way_ -= what.bytes.size();
    take_in(std::move(what));
}

void stream_socket::take_in(segment what)
{
    if (reset_)
    {
        return;
    }
    switch (what.what)
    {
    case segment::content::data: received_.append(what.bytes); break;
    case segment::content::end: end_received_ = true; break;
    case segment::content::reset: on_reset(); break;
    }
    world_.wake(*this);
}

void stream_socket::on_reset()
{
    reset_ = true;
    pending_error_ = end_received_ ? EPIPE : ECONNRESET;
    other_.reset();
}

void stream_socket::send_end()
{
    if (end_sent_)
    {
        return;
    }
    end_sent_ = true;
    closed_first_ = !end_received_;
    if (const auto other = other_.lock())
    {
        other->put_on_the_way({segment::content::end, {}});
    }
}

int stream_socket::stop_listening()
{
    state_ = state::stopped;
    for (auto& connection : accept_queue_)
    {
        connection->abort_on_close_ = true;
    }
    accept_queue_.clear();
    world_.net().stop_listening(*this);
    world_.wake(*this);
    return 0;
}

int stream_socket::shutdown(shutdown_direction direction)
{
    const bool receiving = direction != shutdown_direction::send;
    const bool sending = direction != shutdown_direction::receive;
    switch (state_)
    {
    case state::fresh:
    case state::stopped:
    case state::connecting: return is_tcp() ? -ENOTCONN : 0;
    case state::listening: return receiving ? stop_listening() : 0;
    case state::connected: break;
    }
    if (is_tcp() && (reset_ || (end_sent_ && end_received_)))
    {
        return -ENOTCONN;
    }
    if (sending)
    {
        send_end();
    }
    if (receiving)
    {
        receive_shut_ = true;
    }
    world_.wake(*this);
    if (const auto other = other_.lock())
    {
        world_.wake(*other);
    }
    return 0;
}

std::optional<std::int32_t> stream_socket::accept(std::shared_ptr<stream_socket>& into)
{
    if (state_ != state::listening)
    {
        return -EINVAL;
    }
    if (accept_queue_.empty())
    {
        return std::nullopt;
    }
    into = std::move(accept_queue_.front());
    accept_queue_.pop_front();
    world_.net().backlog_opened(*this);
    return 0;
}

std::uint32_t stream_socket::ready_events() const
{
    using namespace poll_events;
    switch (state_)
    {
    case state::fresh: return writable | hangup;
    case state::stopped: return readable | writable | hangup;
    case state::connecting: return 0;
    case state::listening: return accept_queue_.empty() ? 0 : readable;
    case state::connected: break;
    }
    const auto other = other_.lock();
    std::uint32_t events = pending_error_ != 0 ? error : 0;
    if (kind_ == variant::pipe_writer)
    {
        return other == nullptr ? writable | error : (free_window(*other) > 0 ? writable : 0);
    }
    if (kind_ == variant::pipe_reader)
    {
        return (unread() > 0 ? readable : 0) | (end_received_ ? hangup : 0);
    }
    if (unread() > 0 || end_received_ || reset_ || receive_shut_ || pending_error_ != 0)
    {
        events |= readable;
    }
    if (end_sent_ || reset_ || other == nullptr || free_window(*other) > 0)
    {
        events |= writable;
    }
    const bool both_ended = (end_received_ || receive_shut_) && end_sent_;
    if (reset_ || both_ended || (!is_tcp() && other == nullptr))
    {
        events |= hangup;
    }
    return events;
}

void stream_socket::link(stream_socket& first, stream_socket& second)
{
    first.link_half(second.shared_from_this(), true);
    second.link_half(first.shared_from_this(), true);
}

void stream_socket::link_half(const std::shared_ptr<stream_socket>& peer_socket, bool connected)
{
    other_ = peer_socket;
    if (connected)
    {
        state_ = state::connected;
    }
}

void stream_socket::begin_connecting()
{
    state_ = state::connecting;
    pending_error_ = 0;
}

void stream_socket::become_connected()
{
    state_ = state::connected;
    connect_unreported = true;
    world_.wake(*this);
}

void stream_socket::fail_connecting(int error)
{
    state_ = state::fresh;
    pending_error_ = error;
    world_.wake(*this);
}

void stream_socket::begin_listening(int backlog)
{
    constexpr int backlog_max = 4096;
    state_ = state::listening;
    // A queue holds one more than it was asked for, as on Linux; negative asks for the most.
    backlog_ =
        static_cast<std::size_t>(backlog < 0 ? backlog_max : std::min(backlog, backlog_max)) + 1;
}

bool stream_socket::has_backlog_room() const noexcept
{
    return accept_queue_.size() < backlog_;
}

void stream_socket::queue_connection(std::shared_ptr<stream_socket> connection)
{
    accept_queue_.push_back(std::move(connection));
    world_.wake(*this);
}

int stream_socket::take_error() noexcept
{
    return std::exchange(pending_error_, 0);
}

} // namespace blitzio::detail::sim
