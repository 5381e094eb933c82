// The loopback network of a simulated world: who has which port, and how connections come about.
// Thread rule: the simulation's thread only.
#pragma once

#include "driver/sim/address.hpp"
#include "driver/sim/stream_socket.hpp"

#include <chrono>
#include <cstdint>
#include <map>
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

class network
{
public:
    explicit network(sim_world& world) : world_(world) {}

    int bind(stream_socket& socket, const socket_address& address);
    int listen(stream_socket& socket, int backlog);
    /// Begins to connect. Nothing: under way; the socket's state tells how it ended.
    [[nodiscard]] std::optional<std::int32_t> connect(stream_socket& socket,
                                                      const socket_address& address);
    int socket_pair(int (&fds)[2]);
    /// A socket gives back its port or name; with `lingers` the port stays taken for a while.
    void release(stream_socket& socket, bool lingers);
    /// A listener has been shut down; its port or name stays taken.
    void stop_listening(stream_socket& listener);
    /// A connection has been taken from the queue of a listener.
    void backlog_opened(stream_socket& listener);

private:
    /// A port in use. It outlives its socket while it lingers.
    struct claim
    {
        std::uint64_t id;
        internet_address address;
        bool both_families; // an IPv6 "any" that takes IPv4 connections as well
        bool reuse_address;
        bool reuse_port;
        bool listening;
        std::weak_ptr<stream_socket> owner;
        std::optional<std::chrono::nanoseconds> expires_at;
    };

    /// A handshake whose first packet is sent again while nobody answers.
    struct handshake
    {
        std::weak_ptr<stream_socket> client;
        internet_address target;
        unsigned tries = 0;
    };

    int bind_internet(stream_socket& socket, const socket_address& address);
    int bind_unix(stream_socket& socket, const socket_address& address);
    [[nodiscard]] bool conflicts(const claim& wanted);
    [[nodiscard]] claim claim_for(stream_socket& socket, const internet_address& address) const;
    void add_claim(stream_socket& socket, claim what);
    [[nodiscard]] claim* find_claim(const stream_socket& socket);
    /// A free port, or 0.
    [[nodiscard]] std::uint16_t draw_port(const claim& wanted);
    int bind_automatically(stream_socket& socket, const internet_address& address, int error);
    void drop_expired(std::uint16_t port);
    [[nodiscard]] std::optional<std::int32_t> connect_internet(stream_socket& socket,
                                                               const socket_address& address);
    [[nodiscard]] std::optional<std::int32_t> connect_unix(stream_socket& socket,
                                                           const socket_address& address);
    void knock(handshake attempt);
    void refuse_later(const handshake& attempt, std::chrono::nanoseconds delay, int error);
    [[nodiscard]] std::shared_ptr<stream_socket> find_listener(const internet_address& target);
    void establish(const std::shared_ptr<stream_socket>& client,
                   const std::shared_ptr<stream_socket>& listener, const internet_address& target);
    void establish_unix(stream_socket& client, stream_socket& listener);

    sim_world& world_;
    std::map<std::uint16_t, std::vector<claim>> claims_;
    std::uint64_t claim_sequence_ = 0;
    /// Unix sockets by the inode of their path, and by abstract name.
    std::map<std::uint64_t, std::weak_ptr<stream_socket>> unix_paths_;
    std::map<std::string, std::weak_ptr<stream_socket>> unix_names_;
};

} // namespace blitzio::detail::sim
