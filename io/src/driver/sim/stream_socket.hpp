// A stream socket of the simulated network, or one end of a pipe.
// Thread rule: the simulation's thread only.
#pragma once

#include "driver/sim/address.hpp"
#include "driver/sim/descriptor_table.hpp"

#include <blitzio/io/detail/system.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace blitzio::detail
{
class sim_world;
} // namespace blitzio::detail

namespace blitzio::detail::sim
{

class stream_socket final : public description, public std::enable_shared_from_this<stream_socket>
{
public:
    enum class variant : std::uint8_t
    {
        tcp,
        unix_domain,
        pipe_reader,
        pipe_writer,
    };

    enum class state : std::uint8_t
    {
        fresh, // possibly bound
        listening,
        stopped, // was listening, shut down
        connecting,
        connected,
    };

    stream_socket(sim_world& world, variant kind, socket_family family);
    /// The last owner is gone: the peer is told, the port is given back.
    ~stream_socket() override;

    [[nodiscard]] stream_socket* as_socket() noexcept override
    {
        return this;
    }
    [[nodiscard]] std::uint32_t ready_events() const override;

    [[nodiscard]] variant kind() const noexcept
    {
        return kind_;
    }
    [[nodiscard]] socket_family family() const noexcept
    {
        return family_;
    }
    [[nodiscard]] state now() const noexcept
    {
        return state_;
    }
    [[nodiscard]] bool is_pipe() const noexcept
    {
        return kind_ == variant::pipe_reader || kind_ == variant::pipe_writer;
    }

    // Operations; results are kernel style, nothing means that they have to wait.

    [[nodiscard]] std::optional<std::int32_t> receive(std::size_t length,
                                                      std::vector<std::byte>& into);
    [[nodiscard]] std::optional<std::int32_t> send(const void* data, std::size_t length);
    [[nodiscard]] std::optional<std::int32_t> accept(std::shared_ptr<stream_socket>& into);
    int shutdown(shutdown_direction direction);
    int local_address(socket_address& out) const;
    int peer_address(socket_address& out) const;
    void write_peer_address(socket_address& out) const;
    int set_option(socket_option option, int value);
    int get_option(socket_option option, int& value);

    // For the network.

    /// Two ends of a connection; both become connected.
    static void link(stream_socket& first, stream_socket& second);
    /// A handshake is under way; `link_half()` names the other end once it exists.
    void begin_connecting();
    void link_half(const std::shared_ptr<stream_socket>& peer, bool connected);
    void become_connected();
    void fail_connecting(int error);
    void begin_listening(int backlog);
    [[nodiscard]] bool has_backlog_room() const noexcept;
    void queue_connection(std::shared_ptr<stream_socket> connection);
    [[nodiscard]] int take_error() noexcept;
    [[nodiscard]] int option(socket_option which) const noexcept;
    void inherit_options(const stream_socket& listener);
    /// Earliest arrival of anything sent to this socket from now on.
    void hold_arrivals_until(std::chrono::nanoseconds time);

    /// Claim on a port, 0: none.
    std::uint64_t port_claim = 0;
    internet_address local;
    internet_address peer;
    std::string unix_name;
    std::string unix_peer_name;
    /// Inode of the path that a unix socket is bound to, 0: none.
    std::uint64_t unix_inode = 0;
    /// Clients that wait for room in this unix listener's queue, in order.
    std::vector<std::weak_ptr<stream_socket>> waiting_clients;
    bool is_bound = false;
    /// A connection attempt has succeeded and no connect has been told yet.
    bool connect_unreported = false;

private:
    struct segment
    {
        enum class content : std::uint8_t
        {
            data,
            end,
            reset,
        };

        content what = content::data;
        std::string bytes;
    };

    [[nodiscard]] bool is_tcp() const noexcept
    {
        return kind_ == variant::tcp;
    }
    [[nodiscard]] std::size_t unread() const noexcept
    {
        return received_.size() - consumed_;
    }
    [[nodiscard]] std::size_t window_to(const stream_socket& receiver) const noexcept;
    [[nodiscard]] std::size_t free_window(const stream_socket& receiver) const noexcept;
    [[nodiscard]] std::size_t consume(std::size_t length, std::vector<std::byte>& into);
    [[nodiscard]] std::optional<std::int32_t> send_to_nobody(std::size_t length);
    void put_on_the_way(segment what);
    void arrive();
    void take_in(segment what);
    void on_reset();
    void send_end();
    void close_connected();
    int stop_listening();

    sim_world& world_;
    variant kind_;
    socket_family family_;
    state state_ = state::fresh;
    std::array<int, 16> options_{};
    std::weak_ptr<stream_socket> other_;

    // What arrived and was not read: received_ from consumed_ on.
    std::string received_;
    std::size_t consumed_ = 0;
    // What was sent here and has not arrived, in order.
    std::deque<segment> on_the_way_;
    std::size_t bytes_on_the_way_ = 0;
    std::chrono::nanoseconds last_arrival_{};

    bool end_received_ = false;
    bool end_sent_ = false;
    bool closed_first_ = false; // sent its end before the other's arrived
    bool reset_ = false;
    bool reset_requested_ = false; // bytes went to a peer that is gone; the answer is on its way
    bool receive_shut_ = false;
    bool abort_on_close_ = false;
    int pending_error_ = 0;

    std::deque<std::shared_ptr<stream_socket>> accept_queue_;
    std::size_t backlog_ = 0;
};

} // namespace blitzio::detail::sim
