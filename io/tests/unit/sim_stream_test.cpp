// Descriptors, streams and ports of the simulated world, on many seeds. The expected errors are
// those of Linux.
#include "sim_harness.hpp"

#include <set>

using namespace sim_test;

namespace
{

constexpr std::uint64_t seeds = 200;

std::string pattern(std::size_t length, unsigned start)
{
    std::string text(length, '\0');
    for (std::size_t i = 0; i < length; ++i)
    {
        text[i] = static_cast<char>((i * 7 + start + i / 251) & 0xFF);
    }
    return text;
}

int tcp_socket(harness& sim, socket_family family = socket_family::ipv4)
{
    const int fd = sim.os().open_socket(family, socket_type::stream);
    REQUIRE(fd >= 0);
    return fd;
}

/// Sends `data` while the other side receives, both in pieces that the seed decides. The window is
/// smaller than the whole, so neither side could do its part alone.
void exchange(harness& sim, int from, int to, const std::string& data)
{
    std::string in(700, '\0');
    std::string out;
    std::string received;
    std::size_t sent = 0;
    auto receiving = transfer(op_kind::recv, to, in.data(), in.size());
    auto sending = transfer(op_kind::send, from, nullptr, 0);
    bool is_receiving = false;
    bool is_sending = false;
    while (received.size() < data.size() || is_sending)
    {
        if (!is_sending && sent < data.size())
        {
            out = data.substr(sent, 1500);
            sending.args.transfer = {out.data(), out.size(), 0};
            is_sending = true;
            sim.start(sending);
        }
        if (!is_receiving && received.size() < data.size())
        {
            is_receiving = true;
            sim.start(receiving);
        }
        while (!(is_sending && sending.done) && !(is_receiving && receiving.done))
        {
            REQUIRE(sim.turn());
        }
        if (is_sending && sending.done)
        {
            REQUIRE(sending.result > 0);
            sent += static_cast<std::size_t>(sending.result);
            is_sending = false;
        }
        if (is_receiving && receiving.done)
        {
            REQUIRE(receiving.result > 0);
            received += in.substr(0, static_cast<std::size_t>(receiving.result));
            is_receiving = false;
        }
    }
    REQUIRE(received == data);
}

/// Accepts until no connection is left; how many there were.
unsigned accept_all(harness& sim, int listening)
{
    for (unsigned count = 0;; ++count)
    {
        test_op accepting(op_kind::accept, listening);
        accepting.args.peer = {nullptr};
        accepting.cancellable = true;
        sim.start(accepting);
        sim.settle();
        sim.cancel(accepting);
        sim.settle();
        if (accepting.result < 0)
        {
            REQUIRE(accepting.result == -ECANCELED);
            return count;
        }
    }
}

} // namespace

TEST_CASE("bytes arrive whole and in order, both ways, and half-close ends one way", "[sim]")
{
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        INFO("seed " << seed);
        harness sim(sim_options{.seed = seed, .faults = true, .stream_window = 2048});
        std::uint16_t port = 0;
        const int listening = sim.listener(port);
        const auto made = sim.connected(listening, port);
        exchange(sim, made.client, made.server, pattern(12'000, 1));
        exchange(sim, made.server, made.client, pattern(9'000, 2));

        REQUIRE(sim.os().shutdown(made.client, shutdown_direction::send) == 0);
        std::string got;
        REQUIRE(sim.recv(made.server, got) == 0);
        REQUIRE(sim.recv(made.server, got) == 0);
        REQUIRE(sim.send(made.client, "x") == -EPIPE);
        exchange(sim, made.server, made.client, pattern(3'000, 3));
        REQUIRE(sim.close(made.server) == 0);
        REQUIRE(sim.recv(made.client, got) == 0);
        REQUIRE(sim.close(made.client) == 0);
        REQUIRE(sim.close(listening) == 0);
        sim.settle();
        REQUIRE(sim.world().open_descriptors() == 0);
        REQUIRE(sim.violations.empty());
    }
}

TEST_CASE("a close with unread bytes resets the connection", "[sim]")
{
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        INFO("seed " << seed);
        harness sim(sim_options{.seed = seed, .faults = seed % 2 == 0});
        std::uint16_t port = 0;
        const int listening = sim.listener(port);
        const auto made = sim.connected(listening, port);
        sim.send_all(made.server, "data");
        sim.send_all(made.client, "unread");
        sim.settle();
        REQUIRE(sim.os().close(made.server) == 0);
        sim.settle();
        REQUIRE((sim.poll(made.client, poll_events::readable) &
                 static_cast<int>(poll_events::error)) != 0);
        // What had arrived before can still be read, then the reset is told once.
        std::int32_t last = 0;
        REQUIRE(sim.recv_all(made.client, last) == "data");
        REQUIRE(last == -ECONNRESET);
        std::string got;
        REQUIRE(sim.recv(made.client, got) == 0);
        REQUIRE(sim.send(made.client, "x") == -EPIPE);
        socket_address address;
        REQUIRE(sim.os().peer_address(made.client, address) == -ENOTCONN);
    }
}

TEST_CASE("a send to a peer that has closed succeeds once, then fails with EPIPE", "[sim]")
{
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        INFO("seed " << seed);
        harness sim(seed);
        std::uint16_t port = 0;
        const int listening = sim.listener(port);
        const auto made = sim.connected(listening, port);
        REQUIRE(sim.os().close(made.server) == 0);
        sim.settle();
        REQUIRE(sim.send(made.client, "x") == 1);
        sim.settle();
        std::string got;
        REQUIRE(sim.recv(made.client, got) == 0);
        int error = 0;
        const bool asks = seed % 2 == 0;
        if (asks)
        {
            REQUIRE(sim.os().get_option(made.client, socket_option::pending_error, error) == 0);
            REQUIRE(error == EPIPE);
        }
        REQUIRE(sim.send(made.client, "x") == -EPIPE);
        REQUIRE(sim.send(made.client, "x") == -EPIPE);
        REQUIRE(sim.violations.empty());
    }
}

TEST_CASE("bytes that reach a socket after its close are answered with a reset", "[sim]")
{
    unsigned were_late = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        INFO("seed " << seed);
        harness sim(seed, false);
        std::uint16_t port = 0;
        const int listening = sim.listener(port);
        const auto made = sim.connected(listening, port);
        REQUIRE(sim.send(made.client, "late") == 4);
        const int readable = static_cast<int>(poll_events::readable);
        test_op arrived(op_kind::poll, made.server);
        arrived.args.poll = {poll_events::readable};
        arrived.cancellable = true;
        sim.start(arrived);
        sim.turn();
        sim.cancel(arrived);
        sim.finish_of(arrived);
        const bool is_late = arrived.result != readable;
        were_late += is_late ? 1 : 0;
        REQUIRE(sim.os().close(made.server) == 0);
        sim.settle();
        // Seen before the close: unread bytes, so reset at once. Later: first the end, then it.
        std::string got;
        int error = 0;
        REQUIRE(sim.os().get_option(made.client, socket_option::pending_error, error) == 0);
        REQUIRE((error == EPIPE || error == ECONNRESET));
        REQUIRE((is_late || error == ECONNRESET));
        REQUIRE(sim.send(made.client, "x") == -EPIPE);
        REQUIRE(sim.recv(made.client, got) == 0);
    }
    REQUIRE(were_late > 20);
}

TEST_CASE("linger 0 resets, and a write instead of a send is reported", "[sim]")
{
    harness sim(4, false);
    std::uint16_t port = 0;
    const int listening = sim.listener(port);
    const auto made = sim.connected(listening, port);
    REQUIRE(sim.os().set_option(made.server, socket_option::linger_seconds, 0) == 0);
    REQUIRE(sim.os().close(made.server) == 0);
    sim.settle();
    std::string got;
    REQUIRE(sim.recv(made.client, got) == -ECONNRESET);
    char byte = 'x';
    REQUIRE(sim.run(transfer(op_kind::write, made.client, &byte, 1)) == -EPIPE);
    REQUIRE(sim.violations.size() == 1);
    REQUIRE(sim.violations[0].find("SIGPIPE") != std::string::npos);
}

TEST_CASE("a waiting receive and a waiting send learn that the peer resets", "[sim]")
{
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        INFO("seed " << seed);
        harness sim(sim_options{.seed = seed, .faults = true, .stream_window = 1000});
        std::uint16_t port = 0;
        const int listening = sim.listener(port);
        const auto made = sim.connected(listening, port);
        sim.send_all(made.client, pattern(1000, 0));
        std::string in(10, '\0');
        std::string out(10, 'o');
        auto receiving = transfer(op_kind::recv, made.client, in.data(), in.size());
        auto sending = transfer(op_kind::send, made.client, out.data(), out.size());
        sim.start(receiving);
        sim.start(sending);
        sim.settle();
        REQUIRE_FALSE(receiving.done);
        REQUIRE_FALSE(sending.done);
        REQUIRE(sim.os().close(made.server) == 0);
        (void)sim.finish_of(receiving);
        (void)sim.finish_of(sending);
        // One of them gets the reason, the other what is left of the connection.
        const bool receiver_told = receiving.result == -ECONNRESET && sending.result == -EPIPE;
        const bool sender_told = receiving.result == 0 && sending.result == -ECONNRESET;
        REQUIRE((receiver_told || sender_told));
    }
}

TEST_CASE("connect: refused, unreachable, silent, repeated", "[sim]")
{
    for (std::uint64_t seed = 1; seed <= 50; ++seed)
    {
        INFO("seed " << seed);
        harness sim(seed);
        const int fd = tcp_socket(sim);
        REQUIRE(sim.connect(fd, ipv4(9)) == -ECONNREFUSED);
        REQUIRE(sim.connect(fd, ipv4(9)) == -ECONNREFUSED);
        std::string got;
        REQUIRE(sim.recv(fd, got) == -ENOTCONN);
        REQUIRE(sim.send(fd, "x") == -EPIPE);
        REQUIRE(sim.connect(fd, ipv4(9, 0x08080808)) == -ENETUNREACH);
        REQUIRE(sim.connect(fd, ipv6(9)) == -EAFNOSUPPORT);

        // Nobody answers at 192.0.2.1: seven packets, 127 seconds.
        const auto begin = sim.world().now();
        REQUIRE(sim.connect(fd, ipv4(9, 0xC0000201)) == -ETIMEDOUT);
        REQUIRE(sim.world().now() - begin >= 127s);
        REQUIRE(sim.world().now() - begin < 128s);

        std::uint16_t port = 0;
        const int listening = sim.listener(port);
        REQUIRE(sim.connect(fd, ipv4(port)) == 0);
        REQUIRE(sim.connect(fd, ipv4(port)) == -EISCONN);
        REQUIRE(sim.connect(listening, ipv4(port)) == -EISCONN);
        REQUIRE(sim.accept(fd) == -EINVAL);
        REQUIRE(sim.os().listen(fd, 1) == -EINVAL);
        REQUIRE(sim.os().bind(fd, ipv4(0)) == -EINVAL);
        REQUIRE(sim.recv(listening, got) == -ENOTCONN);
    }
}

TEST_CASE("a cancelled connect goes on behind the program's back", "[sim]")
{
    unsigned completed_later = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        INFO("seed " << seed);
        harness sim(seed, false);
        std::uint16_t port = 0;
        (void)sim.listener(port);
        const int fd = tcp_socket(sim);
        auto target = ipv4(port);
        test_op connecting(op_kind::connect, fd);
        connecting.args.peer = {&target};
        connecting.cancellable = true;
        sim.start(connecting);
        sim.turn();
        sim.cancel(connecting);
        const auto result = sim.finish_of(connecting);
        sim.settle();
        REQUIRE((result == 0 || result == -ECANCELED));
        const auto again = sim.connect(fd, ipv4(port));
        REQUIRE(again == (result == 0 ? -EISCONN : 0));
        socket_address peer;
        REQUIRE(sim.os().peer_address(fd, peer) == 0);
        REQUIRE(port_of(peer) == port);
        completed_later += result == -ECANCELED ? 1 : 0;
    }
    REQUIRE(completed_later > 20);
}

TEST_CASE("a full backlog delays a connection until there is room", "[sim]")
{
    harness sim(11, false);
    std::uint16_t port = 0;
    const int listening = sim.listener(port, 1);
    REQUIRE(sim.connect(tcp_socket(sim), ipv4(port)) == 0);
    REQUIRE(sim.connect(tcp_socket(sim), ipv4(port)) == 0);
    auto target = ipv4(port);
    test_op third(op_kind::connect, tcp_socket(sim));
    third.args.peer = {&target};
    sim.start(third);
    sim.settle_until(sim.world().now() + 10s);
    REQUIRE_FALSE(third.done);
    REQUIRE(sim.accept(listening) >= 0);
    REQUIRE(sim.finish_of(third) == 0);
    // Connections that nobody accepts are reset when the listener goes.
    REQUIRE(sim.os().close(listening) == 0);
    std::string got;
    REQUIRE(sim.recv(third.fd, got) == -ECONNRESET);
}

TEST_CASE("the lowest free descriptor is reused at once, and the limit is EMFILE", "[sim]")
{
    for (std::uint64_t seed = 1; seed <= 100; ++seed)
    {
        INFO("seed " << seed);
        harness sim(sim_options{.seed = seed, .faults = true, .descriptor_limit = 8});
        std::uint16_t port = 0;
        const int listening = sim.listener(port);
        REQUIRE(listening == 3);
        const int client = tcp_socket(sim);
        REQUIRE(client == 4);
        REQUIRE(tcp_socket(sim) == 5);
        REQUIRE(sim.connect(client, ipv4(port)) == 0);
        REQUIRE(sim.close(listening + 2) == 0);
        REQUIRE(sim.accept(listening) == 5);
        int fds[2];
        REQUIRE(sim.os().socket_pair(fds) == 0);
        REQUIRE(fds[0] == 6);
        REQUIRE(fds[1] == 7);
        REQUIRE(sim.world().make_pipe(fds) == 0);
        REQUIRE(fds[0] == 8);
        REQUIRE(fds[1] == 9);
        REQUIRE(sim.connect(client, ipv4(port)) == -EISCONN);
        REQUIRE(sim.os().close(9) == 0);
        const int second = tcp_socket(sim);
        REQUIRE(second == 9);
        REQUIRE(sim.connect(second, ipv4(port)) == 0);
        REQUIRE(sim.world().open_descriptors() == 7);
        REQUIRE(tcp_socket(sim) == 10);

        // Eight are open: every way to get one more fails, and the connection keeps waiting.
        REQUIRE(sim.os().open_socket(socket_family::ipv4, socket_type::stream) == -EMFILE);
        REQUIRE(sim.os().socket_pair(fds) == -EMFILE);
        REQUIRE(sim.world().make_pipe(fds) == -EMFILE);
        REQUIRE(sim.accept(listening) == -EMFILE);
        REQUIRE(sim.open("/", open_flags::read) == -EMFILE);
        REQUIRE(sim.open("/new", open_flags::write | open_flags::create) == -EMFILE);
        REQUIRE_FALSE(sim.world().files().exists("/new"));
        REQUIRE(sim.close(6) == 0);
        REQUIRE(sim.close(6) == -EBADF);
        REQUIRE(sim.accept(listening) == 6);
        for (const int fd : {8, 5, 7})
        {
            REQUIRE(sim.os().close(fd) == 0);
        }
        for (const int fd : {5, 7, 8})
        {
            REQUIRE(tcp_socket(sim) == fd);
        }
        REQUIRE(sim.violations.empty());
    }
}

TEST_CASE("ports: in use, reused, lingering, exhausted", "[sim]")
{
    harness sim(sim_options{.seed = 21, .ephemeral_first = 40'000, .ephemeral_last = 40'003});
    auto& os = sim.os();
    std::uint16_t port = 0;
    const int listening = sim.listener(port);
    const auto try_bind = [&](socket_address address, socket_option option, int value) {
        const auto family =
            address.size == sizeof(sockaddr_in) ? socket_family::ipv4 : socket_family::ipv6;
        const int fd = tcp_socket(sim, family);
        REQUIRE(os.set_option(fd, option, value) == 0);
        const int result = os.bind(fd, address);
        REQUIRE(os.close(fd) == 0);
        return result;
    };
    REQUIRE(try_bind(ipv4(port), socket_option::reuse_address, 1) == -EADDRINUSE);
    REQUIRE(try_bind(ipv4(port, 0), socket_option::reuse_address, 0) == -EADDRINUSE);
    const int reusing = tcp_socket(sim);
    REQUIRE(os.set_option(reusing, socket_option::reuse_address, 1) == 0);
    REQUIRE(os.bind(reusing, ipv4(500)) == 0);
    REQUIRE(try_bind(ipv4(500), socket_option::reuse_address, 0) == -EADDRINUSE);
    REQUIRE(try_bind(ipv4(500), socket_option::reuse_address, 1) == 0);
    REQUIRE(os.listen(reusing, 1) == 0);
    REQUIRE(try_bind(ipv4(500), socket_option::reuse_address, 1) == -EADDRINUSE);
    REQUIRE(try_bind(ipv4(port, 0x7F000002), socket_option::reuse_address, 0) == 0);
    REQUIRE(try_bind(ipv6(port, true), socket_option::ipv6_only, 0) == -EADDRINUSE);
    REQUIRE(try_bind(ipv6(port, true), socket_option::ipv6_only, 1) == 0);
    REQUIRE(try_bind(ipv4(80, 0x08080808), socket_option::reuse_address, 0) == -EADDRNOTAVAIL);

    // The side that closes first keeps the port for a while.
    const auto made = sim.connected(listening, port);
    REQUIRE(os.close(made.server) == 0);
    sim.settle();
    REQUIRE(os.close(made.client) == 0);
    REQUIRE(os.close(listening) == 0);
    sim.settle();
    REQUIRE(try_bind(ipv4(port), socket_option::reuse_address, 0) == -EADDRINUSE);
    sim.world().advance_to(sim.world().now() + sim.world().options().time_wait);
    REQUIRE(try_bind(ipv4(port), socket_option::reuse_address, 0) == 0);

    // Four ports, four sockets; the fifth finds none, whichever way it asks.
    std::set<std::uint16_t> ports;
    for (int i = 0; i < 4; ++i)
    {
        std::uint16_t own = 0;
        (void)sim.listener(own);
        ports.insert(own);
    }
    REQUIRE(ports == std::set<std::uint16_t>{40'000, 40'001, 40'002, 40'003});
    REQUIRE(os.bind(tcp_socket(sim), ipv4(0)) == -EADDRINUSE);
    REQUIRE(sim.connect(tcp_socket(sim), ipv4(40'000)) == -EADDRNOTAVAIL);
}

TEST_CASE("a server that restarts needs reuse_address, and listeners share with reuse_port",
          "[sim]")
{
    for (std::uint64_t seed = 1; seed <= 40; ++seed)
    {
        harness sim(seed);
        auto& os = sim.os();
        const bool reuses = seed % 2 == 0;
        const auto start = [&](int& fd) {
            fd = tcp_socket(sim);
            REQUIRE(os.set_option(fd, socket_option::reuse_address, reuses) == 0);
            const int bound = os.bind(fd, ipv4(8080));
            return bound == 0 ? os.listen(fd, 5) : bound;
        };
        int listening = -1;
        REQUIRE(start(listening) == 0);
        const auto made = sim.connected(listening, 8080);
        REQUIRE(os.close(made.server) == 0);
        REQUIRE(os.close(listening) == 0);
        sim.settle();
        REQUIRE(start(listening) == (reuses ? 0 : -EADDRINUSE));

        int sharing[2];
        for (int& fd : sharing)
        {
            fd = tcp_socket(sim);
            REQUIRE(os.set_option(fd, socket_option::reuse_port, 1) == 0);
            REQUIRE(os.bind(fd, ipv4(9090)) == 0);
            REQUIRE(os.listen(fd, 100) == 0);
        }
        for (int i = 0; i < 30; ++i)
        {
            REQUIRE(sim.connect(tcp_socket(sim), ipv4(9090)) == 0);
        }
        const unsigned taken[2] = {accept_all(sim, sharing[0]), accept_all(sim, sharing[1])};
        REQUIRE(taken[0] + taken[1] == 30);
        REQUIRE(taken[0] > 0);
        REQUIRE(taken[1] > 0);
    }
}

TEST_CASE("addresses of both ends, IPv4, IPv6 and IPv4 through an IPv6 listener", "[sim]")
{
    harness sim(31, false);
    auto& os = sim.os();
    const int listening = tcp_socket(sim, socket_family::ipv6);
    REQUIRE(os.bind(listening, ipv6(7000, true)) == 0);
    REQUIRE(os.listen(listening, 5) == 0);
    const int four = tcp_socket(sim);
    const int six = tcp_socket(sim, socket_family::ipv6);
    socket_address local;
    socket_address peer;
    for (const int client : {four, six})
    {
        const bool is_four = client == four;
        REQUIRE(sim.connect(client, is_four ? ipv4(7000) : ipv6(7000)) == 0);
        socket_address accepted;
        const int server = sim.accept(listening, &accepted);
        REQUIRE(server >= 0);
        REQUIRE(os.local_address(client, local) == 0);
        REQUIRE(os.peer_address(server, peer) == 0);
        REQUIRE(peer.size == sizeof(sockaddr_in6));
        REQUIRE(std::memcmp(peer.storage.data(), accepted.storage.data(), peer.size) == 0);
        REQUIRE(port_of(peer) == port_of(local));
        sockaddr_in6 raw;
        std::memcpy(&raw, peer.storage.data(), sizeof raw);
        REQUIRE(IN6_IS_ADDR_V4MAPPED(&raw.sin6_addr) == is_four);
        REQUIRE(os.peer_address(client, peer) == 0);
        const auto expected = is_four ? ipv4(7000) : ipv6(7000);
        REQUIRE(peer.size == expected.size);
        REQUIRE(std::memcmp(peer.storage.data(), expected.storage.data(), peer.size) == 0);
    }
    REQUIRE(os.peer_address(listening, peer) == -ENOTCONN);
}

TEST_CASE("unix sockets: paths, abstract names, resets, backlog", "[sim]")
{
    harness sim(41, false);
    auto& os = sim.os();
    const auto make = [&] {
        return os.open_socket(socket_family::unix_domain, socket_type::stream);
    };
    const int listening = make();
    REQUIRE(os.listen(listening, 1) == -EINVAL);
    REQUIRE(os.bind(listening, unix_path("/run/s")) == -ENOENT);
    sim.world().files().add_directory("/run");
    REQUIRE(os.bind(listening, unix_path("/run/s")) == 0);
    REQUIRE(os.bind(make(), unix_path("/run/s")) == -EADDRINUSE);
    const int client = make();
    REQUIRE(sim.connect(client, unix_path("/run/s")) == -ECONNREFUSED);
    REQUIRE(sim.connect(client, unix_path("/run/none")) == -ENOENT);
    REQUIRE(os.listen(listening, 0) == 0);
    REQUIRE(sim.connect(client, unix_path("/run/s")) == 0);
    auto target = unix_path("/run/s");
    test_op waiting(op_kind::connect, make());
    waiting.args.peer = {&target};
    sim.start(waiting);
    sim.settle();
    REQUIRE_FALSE(waiting.done);
    const int server = sim.accept(listening);
    REQUIRE(sim.finish_of(waiting) == 0);
    socket_address address;
    REQUIRE(os.local_address(server, address) == 0);
    REQUIRE(address.size == target.size);
    REQUIRE(std::memcmp(address.storage.data(), target.storage.data(), target.size) == 0);
    REQUIRE(os.peer_address(server, address) == 0);
    REQUIRE(address.size == sizeof(sa_family_t));

    REQUIRE(sim.send(client, "unread") == 6);
    REQUIRE(sim.send(server, "got") == 3);
    REQUIRE(os.close(server) == 0);
    REQUIRE(sim.send(client, "x") == -EPIPE);
    std::string got;
    REQUIRE(sim.recv(client, got) == 3);
    REQUIRE(sim.recv(client, got) == -ECONNRESET);
    REQUIRE(sim.recv(client, got) == 0);

    REQUIRE(sim.unlink("/run/s") == 0);
    REQUIRE(sim.connect(make(), unix_path("/run/s")) == -ENOENT);
    const std::string name("\0name", 5);
    const int abstract = make();
    REQUIRE(os.bind(abstract, unix_path(name)) == 0);
    REQUIRE(os.bind(make(), unix_path(name)) == -EADDRINUSE);
    REQUIRE(os.close(abstract) == 0);
    REQUIRE(os.bind(make(), unix_path(name)) == 0);
}

TEST_CASE("options are checked, stored and returned", "[sim]")
{
    harness sim(51, false);
    auto& os = sim.os();
    const int four = tcp_socket(sim);
    const int local = os.open_socket(socket_family::unix_domain, socket_type::stream);
    int value = -7;
    REQUIRE(os.set_option(four, socket_option::no_delay, 5) == 0);
    REQUIRE(os.get_option(four, socket_option::no_delay, value) == 0);
    REQUIRE(value == 1);
    REQUIRE(os.set_option(four, socket_option::receive_buffer_size, 100'000) == 0);
    REQUIRE(os.get_option(four, socket_option::receive_buffer_size, value) == 0);
    REQUIRE(value == 200'000);
    REQUIRE(os.set_option(four, socket_option::receive_buffer_size, 1) == 0);
    REQUIRE(os.get_option(four, socket_option::receive_buffer_size, value) == 0);
    REQUIRE(value == 2304);
    REQUIRE(os.get_option(four, socket_option::linger_seconds, value) == 0);
    REQUIRE(value == -1);
    REQUIRE(os.set_option(four, socket_option::pending_error, 1) == -ENOPROTOOPT);
    REQUIRE(os.set_option(four, socket_option::ipv6_only, 1) == -ENOPROTOOPT);
    REQUIRE(os.set_option(local, socket_option::no_delay, 1) == -EOPNOTSUPP);
    REQUIRE(os.set_option(local, socket_option::reuse_port, 1) == -EOPNOTSUPP);
    REQUIRE(os.set_option(local, socket_option::keep_alive, 1) == 0);
    REQUIRE(os.set_option(99, socket_option::keep_alive, 1) == -EBADF);
    int pipe[2];
    REQUIRE(sim.world().make_pipe(pipe) == 0);
    REQUIRE(os.set_option(pipe[0], socket_option::keep_alive, 1) == -ENOTSOCK);
    REQUIRE(os.open_socket(socket_family::ipv4, socket_type::datagram) == -ESOCKTNOSUPPORT);
}

TEST_CASE("poll tells what a kernel tells", "[sim]")
{
    using namespace poll_events;
    harness sim(61, false);
    const auto both = readable | writable;
    const int fresh = tcp_socket(sim);
    REQUIRE(sim.poll(fresh, both) == static_cast<int>(writable | hangup));
    std::uint16_t port = 0;
    const int listening = sim.listener(port);
    test_op waiting(op_kind::poll, listening);
    waiting.args.poll = {readable};
    sim.start(waiting);
    sim.settle();
    REQUIRE_FALSE(waiting.done);
    REQUIRE(sim.connect(fresh, ipv4(port)) == 0);
    REQUIRE(sim.finish_of(waiting) == static_cast<int>(readable));
    const int server = sim.accept(listening);
    REQUIRE(sim.poll(server, both) == static_cast<int>(writable));
    sim.send_all(fresh, "x");
    sim.settle();
    REQUIRE(sim.poll(server, both) == static_cast<int>(both));
    std::string got;
    REQUIRE(sim.recv(server, got) == 1);
    REQUIRE(sim.os().shutdown(fresh, shutdown_direction::send) == 0);
    sim.settle();
    REQUIRE(sim.poll(server, both) == static_cast<int>(both));
    REQUIRE(sim.os().shutdown(server, shutdown_direction::send) == 0);
    REQUIRE(sim.poll(server, both) == static_cast<int>(both | hangup));
    REQUIRE(sim.os().shutdown(listening, shutdown_direction::receive) == 0);
    REQUIRE(sim.accept(listening) == -EINVAL);
}

TEST_CASE("pipes carry bytes one way and end both ways", "[sim]")
{
    for (std::uint64_t seed = 1; seed <= 100; ++seed)
    {
        INFO("seed " << seed);
        harness sim(seed);
        int pipe[2];
        REQUIRE(sim.world().make_pipe(pipe) == 0);
        char out[] = "hello";
        char in[16];
        const auto count = sim.run(transfer(op_kind::write, pipe[1], out, 5));
        REQUIRE(count > 0);
        REQUIRE(sim.run(transfer(op_kind::read, pipe[1], in, 5)) == -EBADF);
        REQUIRE(sim.run(transfer(op_kind::recv, pipe[0], in, 5)) == -ENOTSOCK);
        std::int32_t read = 0;
        for (std::int32_t piece = 0; read < count; read += piece)
        {
            piece = sim.run(transfer(op_kind::read, pipe[0], in, 5));
            REQUIRE(piece > 0);
            REQUIRE(std::memcmp(in, out + read, static_cast<std::size_t>(piece)) == 0);
        }
        const bool closes_reader = seed % 2 == 0;
        REQUIRE(sim.close(pipe[closes_reader ? 0 : 1]) == 0);
        if (closes_reader)
        {
            REQUIRE(sim.run(transfer(op_kind::write, pipe[1], out, 5)) == -EPIPE);
            REQUIRE(sim.poll(pipe[1], poll_events::writable) ==
                    static_cast<int>(poll_events::writable | poll_events::error));
        }
        else
        {
            REQUIRE(sim.run(transfer(op_kind::read, pipe[0], in, 5)) == 0);
            REQUIRE(sim.poll(pipe[0], poll_events::readable) ==
                    static_cast<int>(poll_events::hangup));
        }
        REQUIRE(sim.violations.empty());
    }
}
