// The calls that never wait (bind, listen, options, addresses): a simulated world answers them as
// the kernel does. Thread rule: the test's thread.
#include "conformance/stage.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

#include <netinet/in.h>
#include <sys/un.h>

using namespace blitzio::conformance;
using blitzio::detail::shutdown_direction;
using blitzio::detail::socket_family;
using blitzio::detail::socket_option;
using blitzio::detail::socket_type;

namespace
{

/// The calls do not depend on a ring's features.
const world_options once{.seeds = 4, .each_feature_missing = false};

socket_address ipv4(std::uint32_t host, std::uint16_t port = 0)
{
    socket_address address = loopback(port);
    const std::uint32_t network_order = htonl(host);
    std::memcpy(address.storage.data() + offsetof(sockaddr_in, sin_addr), &network_order,
                sizeof network_order);
    return address;
}

/// ::ffff:127.0.0.1
socket_address mapped_loopback(std::uint16_t port)
{
    socket_address address = loopback6(port);
    const unsigned char bytes[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 127, 0, 0, 1};
    std::memcpy(address.storage.data() + offsetof(sockaddr_in6, sin6_addr), bytes, sizeof bytes);
    return address;
}

std::uint16_t port_of(const socket_address& address)
{
    std::uint16_t port = 0; // at the same place in both families
    std::memcpy(&port, address.storage.data() + offsetof(sockaddr_in, sin_port), sizeof port);
    return ntohs(port);
}

std::string host_of(const socket_address& address)
{
    return {reinterpret_cast<const char*>(address.storage.data()) + offsetof(sockaddr_in, sin_addr),
            4};
}

int tcp6_socket(stage& scene)
{
    return scene.own(scene.w.os().open_socket(socket_family::ipv6, socket_type::stream));
}

int unix_socket(stage& scene)
{
    return scene.own(scene.w.os().open_socket(socket_family::unix_domain, socket_type::stream));
}

std::int32_t connect(stage& scene, int fd, socket_address address)
{
    request connecting(op_kind::connect);
    stage::peer(connecting, fd, &address);
    return scene.w.run(connecting);
}

/// Every call on something that is no socket.
void check_all_calls(world& where, int fd, int error)
{
    auto& os = where.os();
    socket_address address;
    int value = 0;
    CHECK(os.bind(fd, loopback()) == error);
    CHECK(os.listen(fd, 1) == error);
    CHECK(os.local_address(fd, address) == error);
    CHECK(os.peer_address(fd, address) == error);
    CHECK(os.shutdown(fd, shutdown_direction::both) == error);
    for (const auto option : {socket_option::reuse_address, socket_option::no_delay,
                              socket_option::linger_seconds, socket_option::pending_error})
    {
        CHECK(os.set_option(fd, option, 1) == error);
        CHECK(os.get_option(fd, option, value) == error);
    }
}

} // namespace

TEST_CASE("socket calls on what is no socket are refused alike", "[conformance][system]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            scene.file("f", "x");
            check_all_calls(where, scene.open("f"), -ENOTSOCK);
            const auto both = scene.pipe();
            check_all_calls(where, both.near, -ENOTSOCK);
            check_all_calls(where, both.far, -ENOTSOCK);
            check_all_calls(where, scene.closed_number(), -EBADF);
            check_all_calls(where, -1, -EBADF);
            CHECK(where.os().close(-1) == -EBADF);
        },
        once);
}

TEST_CASE("options keep their values, and belong to their kinds of socket", "[conformance][system]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            auto& os = where.os();
            const int tcp = scene.tcp_socket();
            const int tcp6 = tcp6_socket(scene);
            const int local = unix_socket(scene);
            int value = -7;
            for (const auto option :
                 {socket_option::reuse_address, socket_option::reuse_port, socket_option::no_delay,
                  socket_option::keep_alive, socket_option::linger_seconds})
            {
                INFO("option " << static_cast<int>(option));
                const bool is_linger = option == socket_option::linger_seconds;
                CHECK(os.get_option(tcp, option, value) == 0);
                CHECK(value == (is_linger ? -1 : 0));
                CHECK(os.set_option(tcp, option, 1) == 0);
                CHECK(os.get_option(tcp, option, value) == 0);
                CHECK(value == 1);
                CHECK(os.set_option(tcp, option, is_linger ? -1 : 0) == 0);
                CHECK(os.get_option(tcp, option, value) == 0);
                CHECK(value == (is_linger ? -1 : 0));
            }
            for (const auto option :
                 {socket_option::send_buffer_size, socket_option::receive_buffer_size})
            {
                // Linux reports twice what it was asked for, and has a least.
                CHECK(os.set_option(tcp, option, 40'000) == 0);
                CHECK(os.get_option(tcp, option, value) == 0);
                CHECK(value == 80'000);
                CHECK(os.set_option(tcp, option, 1) == 0);
                CHECK(os.get_option(tcp, option, value) == 0);
                CHECK(value > 2);
            }
            CHECK(os.get_option(tcp, socket_option::pending_error, value) == 0);
            CHECK(value == 0);
            CHECK(os.set_option(tcp, socket_option::pending_error, 1) == -ENOPROTOOPT);

            CHECK(os.set_option(local, socket_option::no_delay, 1) == -EOPNOTSUPP);
            CHECK(os.get_option(local, socket_option::no_delay, value) == -EOPNOTSUPP);
            CHECK(os.set_option(local, socket_option::ipv6_only, 1) == -EOPNOTSUPP);
            CHECK(os.get_option(local, socket_option::ipv6_only, value) == -EOPNOTSUPP);
            CHECK(os.set_option(tcp, socket_option::ipv6_only, 1) == -ENOPROTOOPT);
            CHECK(os.get_option(tcp, socket_option::ipv6_only, value) == -EOPNOTSUPP);

            CHECK(os.set_option(tcp6, socket_option::ipv6_only, 1) == 0);
            CHECK(os.get_option(tcp6, socket_option::ipv6_only, value) == 0);
            CHECK(value == 1);
            REQUIRE(os.bind(tcp6, loopback6()) == 0);
            CHECK(os.set_option(tcp6, socket_option::ipv6_only, 0) == -EINVAL);
        },
        once);
}

TEST_CASE("bind refuses what it cannot give", "[conformance][system]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            auto& os = where.os();
            const int fd = scene.tcp_socket();
            CHECK(os.bind(fd, loopback6()) == -EAFNOSUPPORT);
            socket_address cut_short = loopback();
            cut_short.size = 4;
            CHECK(os.bind(fd, cut_short) == -EINVAL);
            cut_short.size = 1;
            CHECK(os.bind(fd, cut_short) == -EINVAL);
            // TEST-NET-3: nobody's address.
            CHECK(os.bind(fd, ipv4(0xCB007105)) == -EADDRNOTAVAIL);

            REQUIRE(os.bind(fd, loopback()) == 0);
            REQUIRE(os.local_address(fd, scene.address) == 0);
            CHECK(port_of(scene.address) != 0);
            CHECK(os.bind(fd, loopback()) == -EINVAL);
            CHECK(os.bind(scene.tcp_socket(), scene.address) == -EADDRINUSE);
            // Another host's port is another port.
            CHECK(os.bind(scene.tcp_socket(), ipv4(0x7F000002, port_of(scene.address))) == 0);

            const int local = unix_socket(scene);
            CHECK(os.bind(local, loopback()) == -EINVAL);
            CHECK(os.bind(local, unix_address(scene.path("missing/s"))) == -ENOENT);
            REQUIRE(os.bind(local, unix_address(scene.path("s"))) == 0);
            CHECK(os.bind(local, unix_address(scene.path("t"))) == -EINVAL);
            CHECK(os.bind(unix_socket(scene), unix_address(scene.path("s"))) == -EADDRINUSE);
        },
        once);
}

TEST_CASE("a unix socket that names nothing gets an abstract name", "[conformance][system]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            auto& os = where.os();
            socket_address nameless = unix_address("");
            nameless.size = offsetof(sockaddr_un, sun_path);
            const int listening = unix_socket(scene);
            REQUIRE(os.bind(listening, nameless) == 0);
            REQUIRE(os.listen(listening, 4) == 0);
            socket_address name;
            REQUIRE(os.local_address(listening, name) == 0);
            // A zero, then five digits, and no terminator.
            REQUIRE(name.size == offsetof(sockaddr_un, sun_path) + 6);
            CHECK(std::to_integer<char>(name.storage[offsetof(sockaddr_un, sun_path)]) == '\0');

            const int another = unix_socket(scene);
            REQUIRE(os.bind(another, nameless) == 0);
            socket_address other_name;
            REQUIRE(os.local_address(another, other_name) == 0);
            CHECK(other_name.storage != name.storage);
            CHECK(os.bind(unix_socket(scene), name) == -EADDRINUSE);

            CHECK(connect(scene, unix_socket(scene), name) == 0);
            CHECK(connect(scene, unix_socket(scene), other_name) == -ECONNREFUSED);
            CHECK(connect(scene, unix_socket(scene), nameless) == -EINVAL);
            CHECK(connect(scene, unix_socket(scene), loopback(1)) == -EINVAL);
            // The name is free again with its socket.
            scene.close(listening);
            CHECK(connect(scene, unix_socket(scene), name) == -ECONNREFUSED);
        },
        once);
}

TEST_CASE("listen binds what is not bound, and only what can accept", "[conformance][system]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            auto& os = where.os();
            const int fd = scene.tcp_socket();
            REQUIRE(os.listen(fd, 4) == 0);
            socket_address bound;
            REQUIRE(os.local_address(fd, bound) == 0);
            REQUIRE(port_of(bound) != 0);
            CHECK(connect(scene, scene.tcp_socket(), loopback(port_of(bound))) == 0);
            CHECK(os.listen(fd, 8) == 0); // again: another backlog
            CHECK(os.peer_address(fd, scene.address) == -ENOTCONN);

            CHECK(os.listen(scene.tcp().near, 4) == -EINVAL);
            CHECK(os.listen(unix_socket(scene), 4) == -EINVAL);

            // Two may be bound to one port if both say so; only one of them gets to listen.
            const int first = scene.tcp_socket();
            const int second = scene.tcp_socket();
            REQUIRE(os.set_option(first, socket_option::reuse_address, 1) == 0);
            REQUIRE(os.set_option(second, socket_option::reuse_address, 1) == 0);
            REQUIRE(os.bind(first, loopback()) == 0);
            REQUIRE(os.local_address(first, bound) == 0);
            REQUIRE(os.bind(second, bound) == 0);
            REQUIRE(os.listen(first, 4) == 0);
            CHECK(os.listen(second, 4) == -EADDRINUSE);
        },
        once);
}

TEST_CASE("connect chooses the address it comes from", "[conformance][system]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            auto& os = where.os();
            static_cast<void>(scene.listener());
            const std::uint16_t port = port_of(scene.address);

            // Nobody in particular is this host.
            const int to_any = scene.tcp_socket();
            CHECK(connect(scene, to_any, ipv4(0, port)) == 0);
            socket_address peer;
            REQUIRE(os.peer_address(to_any, peer) == 0);
            CHECK(host_of(peer) == host_of(loopback()));
            CHECK(port_of(peer) == port);

            // What was bound to any address has one once it is connected, and keeps its port.
            const int from_any = scene.tcp_socket();
            REQUIRE(os.bind(from_any, ipv4(0)) == 0);
            socket_address before;
            REQUIRE(os.local_address(from_any, before) == 0);
            CHECK(host_of(before) == std::string(4, '\0'));
            CHECK(connect(scene, from_any, scene.address) == 0);
            socket_address after;
            REQUIRE(os.local_address(from_any, after) == 0);
            CHECK(host_of(after) == host_of(loopback()));
            CHECK(port_of(after) == port_of(before));

            const int mapped = tcp6_socket(scene);
            CHECK(connect(scene, mapped, mapped_loopback(port)) == 0);
            const int only6 = tcp6_socket(scene);
            REQUIRE(os.set_option(only6, socket_option::ipv6_only, 1) == 0);
            CHECK(connect(scene, only6, mapped_loopback(port)) == -ENETUNREACH);
        },
        once);
}

TEST_CASE("shutdown needs a connection", "[conformance][system]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            auto& os = where.os();
            const int fresh = scene.tcp_socket();
            CHECK(os.shutdown(fresh, shutdown_direction::send) == -ENOTCONN);
            CHECK(os.peer_address(fresh, scene.address) == -ENOTCONN);
            const auto both = scene.tcp();
            CHECK(os.shutdown(both.near, shutdown_direction::receive) == 0);
            CHECK(os.shutdown(both.near, shutdown_direction::send) == 0);
            request reading(op_kind::recv);
            stage::transfer(reading, both.far, scene.buffer.data(), 1);
            CHECK(where.run(reading) == 0);
        },
        once);
}

TEST_CASE("a listener that is shut down refuses, and can listen no more by accident",
          "[conformance][system]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            auto& os = where.os();
            const int listening = scene.listener();
            const int waiting = scene.tcp_socket();
            REQUIRE(connect(scene, waiting, scene.address) == 0);
            REQUIRE(os.shutdown(listening, shutdown_direction::both) == 0);
            request accepting(op_kind::accept);
            stage::peer(accepting, listening, nullptr);
            CHECK(where.run(accepting) == -EINVAL);
            CHECK(connect(scene, scene.tcp_socket(), scene.address) == -ECONNREFUSED);
            // Who was in the queue finds the connection gone.
            request reading(op_kind::recv);
            stage::transfer(reading, waiting, scene.buffer.data(), 1);
            CHECK(where.run(reading) == -ECONNRESET);
            CHECK(os.shutdown(listening, shutdown_direction::both) == -ENOTCONN);
        },
        once);
}

TEST_CASE("readiness of what is in no connection", "[conformance][system]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            const auto ready_now = [&](int fd) {
                request polling(op_kind::poll);
                stage::wait_for_events(polling, fd, poll_events::readable | poll_events::writable);
                return static_cast<std::uint32_t>(where.run(polling));
            };
            // Linux calls a socket that was never connected hung up, and writable.
            CHECK(ready_now(scene.tcp_socket()) == (poll_events::writable | poll_events::hangup));
            scene.file("f", "x");
            CHECK(ready_now(scene.open("f")) == (poll_events::readable | poll_events::writable));
        },
        once);
}

TEST_CASE("a pair of sockets with room for one takes none", "[conformance][system]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            auto& os = where.os();
            const int spare = scene.tcp_socket();
            {
                const auto exhausted = where.exhaust_descriptors();
                int fds[2] = {-1, -1};
                CHECK(os.socket_pair(fds) == -EMFILE);
                CHECK(os.open_socket(socket_family::ipv4, socket_type::stream) == -EMFILE);
                scene.close(spare);
                CHECK(os.socket_pair(fds) == -EMFILE);
                // The one number is still free.
                const int fd = os.open_socket(socket_family::ipv4, socket_type::stream);
                CHECK(fd == spare);
                CHECK(os.close(fd) == 0);
            }
            static_cast<void>(scene.unix_pair());
        },
        once);
}
