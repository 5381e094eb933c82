// Ports, listeners and handshakes of the simulated network.
// Thread rule: the simulation's thread only.
#include "driver/sim/network.hpp"

#include "driver/sim/file_tree.hpp"
#include "driver/sim/sim_world.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace blitzio::detail::sim
{
namespace
{

/// Linux sends the first packet again six times, after 1, 2, 4 ... seconds.
constexpr unsigned retries_max = 6;

} // namespace

int network::bind(stream_socket& socket, const socket_address& address)
{
    return socket.kind() == stream_socket::variant::tcp ? bind_internet(socket, address)
                                                        : bind_unix(socket, address);
}

int network::bind_internet(stream_socket& socket, const socket_address& address)
{
    internet_address wanted;
    if (const int error = read_address(address, socket.family(), wanted); error != 0)
    {
        return error;
    }
    if (!wanted.is_local())
    {
        return -EADDRNOTAVAIL;
    }
    if (socket.is_bound || socket.now() != stream_socket::state::fresh)
    {
        return -EINVAL;
    }
    if (wanted.port == 0)
    {
        return bind_automatically(socket, wanted, -EADDRINUSE);
    }
    claim what = claim_for(socket, wanted);
    if (conflicts(what))
    {
        return -EADDRINUSE;
    }
    socket.local = wanted;
    socket.is_bound = true;
    add_claim(socket, std::move(what));
    return 0;
}

int network::bind_automatically(stream_socket& socket, const internet_address& address, int error)
{
    claim what = claim_for(socket, address);
    what.address.port = draw_port(what);
    if (what.address.port == 0)
    {
        return error;
    }
    socket.local = address;
    socket.local.port = what.address.port;
    socket.is_bound = true;
    add_claim(socket, std::move(what));
    return 0;
}

int network::bind_unix(stream_socket& socket, const socket_address& address)
{
    std::string name;
    if (const int error = read_unix_address(address, name); error != 0)
    {
        return error;
    }
    if (socket.is_bound || socket.now() != stream_socket::state::fresh)
    {
        return -EINVAL;
    }
    if (name.empty())
    {
        // No name asks for an abstract one, five digits as on Linux.
        do
        {
            constexpr char digits[] = "0123456789abcdef";
            name.assign(1, '\0');
            for (int i = 0; i < 5; ++i)
            {
                name.push_back(digits[world_.random().below(16)]);
            }
        } while (unix_names_.contains(name));
    }
    if (name[0] == '\0')
    {
        if (!unix_names_.try_emplace(name, socket.weak_from_this()).second)
        {
            return -EADDRINUSE;
        }
    }
    else
    {
        const int error = world_.files().make_socket_node(name, socket.unix_inode);
        if (error != 0)
        {
            return error == -EEXIST ? -EADDRINUSE : error;
        }
        unix_paths_[socket.unix_inode] = socket.weak_from_this();
    }
    socket.unix_name = name;
    socket.is_bound = true;
    return 0;
}

network::claim network::claim_for(stream_socket& socket, const internet_address& address) const
{
    const bool is_dual = address.family == socket_family::ipv6 && address.is_any() &&
                         socket.option(socket_option::ipv6_only) == 0;
    return claim{.id = 0,
                 .address = address.without_mapping(),
                 .both_families = is_dual,
                 .reuse_address = socket.option(socket_option::reuse_address) != 0,
                 .reuse_port = socket.option(socket_option::reuse_port) != 0,
                 .listening = false,
                 .owner = socket.weak_from_this(),
                 .expires_at = std::nullopt};
}

void network::add_claim(stream_socket& socket, claim what)
{
    what.id = ++claim_sequence_;
    socket.port_claim = what.id;
    claims_[what.address.port].push_back(std::move(what));
}

network::claim* network::find_claim(const stream_socket& socket)
{
    const auto found = claims_.find(socket.local.port);
    if (socket.port_claim == 0 || found == claims_.end())
    {
        return nullptr;
    }
    for (claim& what : found->second)
    {
        if (what.id == socket.port_claim)
        {
            return &what;
        }
    }
    return nullptr;
}

void network::drop_expired(std::uint16_t port)
{
    const auto found = claims_.find(port);
    if (found == claims_.end())
    {
        return;
    }
    std::erase_if(found->second, [now = world_.now()](const claim& what) {
        return what.expires_at.has_value() && *what.expires_at <= now;
    });
    if (found->second.empty())
    {
        claims_.erase(found);
    }
}

namespace
{

template <class Claim>
bool overlap(const Claim& first, const Claim& second)
{
    if (first.address.family == second.address.family)
    {
        return first.address.is_any() || second.address.is_any() ||
               first.address.same_host(second.address);
    }
    return first.both_families || second.both_families;
}

} // namespace

bool network::conflicts(const claim& wanted)
{
    drop_expired(wanted.address.port);
    const auto found = claims_.find(wanted.address.port);
    if (found == claims_.end())
    {
        return false;
    }
    return std::any_of(found->second.begin(), found->second.end(), [&](const claim& other) {
        if (other.id == wanted.id || !overlap(other, wanted))
        {
            return false;
        }
        if (other.reuse_port && wanted.reuse_port)
        {
            return false;
        }
        const bool both_reuse = other.reuse_address && wanted.reuse_address;
        // A listener tolerates connections and lingering ports, but no second listener.
        return !(both_reuse && !other.listening);
    });
}

std::uint16_t network::draw_port(const claim& wanted)
{
    const std::uint32_t first = world_.options().ephemeral_first;
    const std::uint32_t count = world_.options().ephemeral_last - first + 1u;
    const auto start = static_cast<std::uint32_t>(world_.random().below(count));
    for (std::uint32_t i = 0; i < count; ++i)
    {
        const auto port = static_cast<std::uint16_t>(first + (start + i) % count);
        drop_expired(port);
        const auto found = claims_.find(port);
        const auto is_taken = [&](const claim& other) { return overlap(other, wanted); };
        if (found == claims_.end() ||
            std::none_of(found->second.begin(), found->second.end(), is_taken))
        {
            return port;
        }
    }
    return 0;
}

int network::listen(stream_socket& socket, int backlog)
{
    if (socket.now() != stream_socket::state::fresh &&
        socket.now() != stream_socket::state::listening)
    {
        return -EINVAL;
    }
    if (socket.now() == stream_socket::state::listening)
    {
        // Only the backlog changes: the port is its own already, and its connections share it.
        socket.begin_listening(backlog);
        backlog_opened(socket);
        return 0;
    }
    if (socket.kind() == stream_socket::variant::tcp)
    {
        if (!socket.is_bound)
        {
            const auto any = internet_address::any(socket.family());
            if (const int error = bind_automatically(socket, any, -EADDRINUSE); error != 0)
            {
                return error;
            }
        }
        claim* const own = find_claim(socket);
        if (own == nullptr)
        {
            return -EINVAL;
        }
        // Options may have changed since bind().
        own->reuse_address = socket.option(socket_option::reuse_address) != 0;
        if (conflicts(*own))
        {
            return -EADDRINUSE;
        }
        own->listening = true;
    }
    else if (!socket.is_bound)
    {
        return -EINVAL;
    }
    socket.begin_listening(backlog);
    return 0;
}

void network::stop_listening(stream_socket& listener)
{
    if (claim* const own = find_claim(listener))
    {
        own->listening = false;
    }
    backlog_opened(listener);
}

void network::release(stream_socket& socket, bool lingers)
{
    backlog_opened(socket);
    if (socket.unix_inode != 0)
    {
        unix_paths_.erase(socket.unix_inode);
    }
    else if (socket.is_bound && !socket.unix_name.empty())
    {
        unix_names_.erase(socket.unix_name);
    }
    claim* const own = find_claim(socket);
    if (own == nullptr)
    {
        return;
    }
    const std::uint16_t port = own->address.port;
    own->owner.reset();
    own->listening = false;
    own->expires_at =
        world_.now() + (lingers ? world_.options().time_wait : std::chrono::nanoseconds::zero());
    socket.port_claim = 0;
    drop_expired(port);
}

void network::backlog_opened(stream_socket& listener)
{
    for (const auto& waiting : std::exchange(listener.waiting_clients, {}))
    {
        if (const auto client = waiting.lock())
        {
            world_.wake(*client);
        }
    }
}

std::optional<std::int32_t> network::connect(stream_socket& socket, const socket_address& address)
{
    return socket.kind() == stream_socket::variant::tcp ? connect_internet(socket, address)
                                                        : connect_unix(socket, address);
}

std::optional<std::int32_t> network::connect_internet(stream_socket& socket,
                                                      const socket_address& address)
{
    internet_address named;
    if (const int error = read_address(address, socket.family(), named); error != 0)
    {
        return error;
    }
    const internet_address target = named.as_target();
    if (!target.is_local() && !target.is_silent())
    {
        return -ENETUNREACH;
    }
    const bool is_mapped = target.family != socket.family();
    if (is_mapped && socket.option(socket_option::ipv6_only) != 0)
    {
        return -ENETUNREACH;
    }
    internet_address source = internet_address::loopback(target.family);
    source = is_mapped ? source.with_mapping() : source;
    if (!socket.is_bound)
    {
        if (const int error = bind_automatically(socket, source, -EADDRNOTAVAIL); error != 0)
        {
            return error;
        }
    }
    else if (socket.local.is_any())
    {
        source.port = socket.local.port;
        socket.local = source;
    }
    socket.peer = is_mapped ? target.with_mapping() : target;
    socket.begin_connecting();
    world_.schedule(world_.draw_delay(), [this, attempt = handshake{socket.weak_from_this(),
                                                                    target}] { knock(attempt); });
    return std::nullopt;
}

void network::knock(handshake attempt)
{
    const auto client = attempt.client.lock();
    if (client == nullptr || client->now() != stream_socket::state::connecting)
    {
        return;
    }
    const auto listener = attempt.target.is_silent() ? nullptr : find_listener(attempt.target);
    if (listener == nullptr && !attempt.target.is_silent())
    {
        refuse_later(attempt, world_.draw_delay(), ECONNREFUSED);
        return;
    }
    if (listener != nullptr && listener->has_backlog_room())
    {
        establish(client, listener, attempt.target);
        return;
    }
    // A full queue drops the packet just as a silent host does.
    const auto pause = std::chrono::seconds(1u << attempt.tries);
    if (attempt.tries == retries_max)
    {
        refuse_later(attempt, pause, ETIMEDOUT);
        return;
    }
    ++attempt.tries;
    world_.schedule(pause, [this, attempt] { knock(attempt); });
}

void network::refuse_later(const handshake& attempt, std::chrono::nanoseconds delay, int error)
{
    world_.schedule(delay, [client = attempt.client, error] {
        const auto socket = client.lock();
        if (socket != nullptr && socket->now() == stream_socket::state::connecting)
        {
            socket->fail_connecting(error);
        }
    });
}

std::shared_ptr<stream_socket> network::find_listener(const internet_address& target)
{
    const auto found = claims_.find(target.port);
    if (found == claims_.end())
    {
        return nullptr;
    }
    // The more exact address wins; equals share the port, and one of them is drawn.
    std::vector<std::shared_ptr<stream_socket>> best;
    int best_rank = 0;
    for (const claim& what : found->second)
    {
        auto owner = what.owner.lock();
        if (owner == nullptr || !what.listening)
        {
            continue;
        }
        int rank = 0;
        if (what.address.same_host(target))
        {
            rank = 3;
        }
        else if (what.address.is_any() && what.address.family == target.family)
        {
            rank = 2;
        }
        else if (what.both_families && target.family == socket_family::ipv4)
        {
            rank = 1;
        }
        if (rank == 0 || rank < best_rank)
        {
            continue;
        }
        if (rank > best_rank)
        {
            best.clear();
            best_rank = rank;
        }
        best.push_back(std::move(owner));
    }
    return best.empty() ? nullptr : best[world_.random().below(best.size())];
}

void network::establish(const std::shared_ptr<stream_socket>& client,
                        const std::shared_ptr<stream_socket>& listener,
                        const internet_address& target)
{
    auto server =
        std::make_shared<stream_socket>(world_, stream_socket::variant::tcp, listener->family());
    server->inherit_options(*listener);
    const bool is_mapped = listener->family() != target.family;
    server->local = is_mapped ? target.with_mapping() : target;
    const internet_address source = client->local.without_mapping();
    server->peer = is_mapped ? source.with_mapping() : source;
    server->is_bound = true;
    add_claim(*server, claim_for(*server, server->local));
    server->link_half(client, true);
    client->link_half(server, false);
    // What the server sends at once must not overtake the answer to the handshake.
    const auto connected_at = world_.now() + world_.draw_delay();
    client->hold_arrivals_until(connected_at);
    world_.schedule_at(connected_at, [weak = std::weak_ptr(client)] {
        if (const auto socket = weak.lock())
        {
            socket->become_connected();
        }
    });
    listener->queue_connection(std::move(server));
}

std::optional<std::int32_t> network::connect_unix(stream_socket& socket,
                                                  const socket_address& address)
{
    std::string name;
    if (const int error = read_unix_address(address, name); error != 0)
    {
        return error;
    }
    if (name.empty())
    {
        return -EINVAL;
    }
    std::shared_ptr<stream_socket> listener;
    if (name[0] == '\0')
    {
        const auto found = unix_names_.find(name);
        listener = found == unix_names_.end() ? nullptr : found->second.lock();
    }
    else
    {
        std::uint64_t inode = 0;
        if (const int error = world_.files().find_socket_node(name, inode); error != 0)
        {
            return error;
        }
        const auto found = unix_paths_.find(inode);
        listener = found == unix_paths_.end() ? nullptr : found->second.lock();
    }
    if (listener == nullptr || listener->now() != stream_socket::state::listening)
    {
        return -ECONNREFUSED;
    }
    if (!listener->has_backlog_room())
    {
        listener->waiting_clients.push_back(socket.weak_from_this());
        return std::nullopt;
    }
    establish_unix(socket, *listener);
    return 0;
}

void network::establish_unix(stream_socket& client, stream_socket& listener)
{
    auto server = std::make_shared<stream_socket>(world_, stream_socket::variant::unix_domain,
                                                  socket_family::unix_domain);
    server->unix_name = listener.unix_name;
    server->unix_peer_name = client.unix_name;
    client.unix_peer_name = listener.unix_name;
    stream_socket::link(client, *server);
    listener.queue_connection(std::move(server));
}

int network::socket_pair(int (&fds)[2])
{
    auto& table = world_.descriptors();
    const auto make = [this] {
        return std::make_shared<stream_socket>(world_, stream_socket::variant::unix_domain,
                                               socket_family::unix_domain);
    };
    const auto first = make();
    const auto second = make();
    stream_socket::link(*first, *second);
    const int first_fd = table.add(first);
    if (first_fd < 0)
    {
        return first_fd;
    }
    const int second_fd = table.add(second);
    if (second_fd < 0)
    {
        (void)table.remove(first_fd);
        return second_fd;
    }
    fds[0] = first_fd;
    fds[1] = second_fd;
    return 0;
}

} // namespace blitzio::detail::sim
