// What each socket operation gives: success, end of stream, errors; the same on every driver.
// Thread rule: the test's thread.
#include "conformance/outcome_table.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cerrno>
#include <cstring>

using namespace blitzio::conformance;
using blitzio::detail::socket_family;
using blitzio::detail::socket_type;

namespace
{

void receive_into_buffer(stage& scene, request& wanted, int fd)
{
    stage::transfer(wanted, fd, scene.buffer.data(), scene.buffer.size());
}

void send_a_byte(stage& scene, request& wanted, int fd)
{
    scene.buffer[0] = 's';
    stage::transfer(wanted, fd, scene.buffer.data(), 1);
}

constexpr outcome_row nop_rows[] = {
    {"nop", op_kind::nop, 0, [](stage&, request&) {}},
};

void pending_connection(stage& scene, request& wanted, socket_address* peer)
{
    const int listening = scene.listener();
    const int client = scene.tcp_socket();
    request connecting(op_kind::connect);
    stage::peer(connecting, client, &scene.address);
    REQUIRE(scene.w.run(connecting) == 0);
    stage::peer(wanted, listening, peer);
}

const outcome_row accept_rows[] = {
    {"accept", op_kind::accept, new_descriptor,
     [](stage& scene, request& wanted) { pending_connection(scene, wanted, nullptr); }},
    {"accept that tells the peer", op_kind::accept, new_descriptor,
     [](stage& scene, request& wanted) { pending_connection(scene, wanted, &scene.address); },
     [](stage& scene, const request& done) {
         socket_address same;
         CHECK(scene.w.os().peer_address(done.result, same) == 0);
         CHECK(same.size == scene.address.size);
         CHECK(std::memcmp(same.storage.data(), scene.address.storage.data(), same.size) == 0);
     }},
    {"accept on a closed number", op_kind::accept, -EBADF,
     [](stage& scene, request& wanted) { stage::peer(wanted, scene.closed_number(), nullptr); }},
    {"accept on a negative number", op_kind::accept, -EBADF,
     [](stage&, request& wanted) { stage::peer(wanted, -1, nullptr); }},
    {"accept on a file", op_kind::accept, -ENOTSOCK,
     [](stage& scene, request& wanted) {
         scene.file("f", "x");
         stage::peer(wanted, scene.open("f"), nullptr);
     }},
    {"accept on a pipe", op_kind::accept, -ENOTSOCK,
     [](stage& scene, request& wanted) { stage::peer(wanted, scene.pipe().near, nullptr); }},
    {"accept on a socket that does not listen", op_kind::accept, -EINVAL,
     [](stage& scene, request& wanted) { stage::peer(wanted, scene.tcp_socket(), nullptr); }},
    {"accept on a connection", op_kind::accept, -EINVAL,
     [](stage& scene, request& wanted) { stage::peer(wanted, scene.tcp().near, nullptr); }},
};

const outcome_row connect_rows[] = {
    {"connect", op_kind::connect, 0,
     [](stage& scene, request& wanted) {
         static_cast<void>(scene.listener());
         stage::peer(wanted, scene.tcp_socket(), &scene.address);
     },
     [](stage& scene, const request& done) {
         socket_address peer;
         CHECK(scene.w.os().peer_address(done.fd, peer) == 0);
         CHECK(std::memcmp(peer.storage.data(), scene.address.storage.data(), peer.size) == 0);
     }},
    {"connect to a unix socket", op_kind::connect, 0,
     [](stage& scene, request& wanted) {
         auto& os = scene.w.os();
         const int listening =
             scene.own(os.open_socket(socket_family::unix_domain, socket_type::stream));
         scene.address = unix_address(scene.path("s"));
         REQUIRE(os.bind(listening, scene.address) == 0);
         REQUIRE(os.listen(listening, 4) == 0);
         stage::peer(wanted,
                     scene.own(os.open_socket(socket_family::unix_domain, socket_type::stream)),
                     &scene.address);
     }},
    {"connect where nobody listens", op_kind::connect, -ECONNREFUSED,
     [](stage& scene, request& wanted) {
         scene.close(scene.listener());
         stage::peer(wanted, scene.tcp_socket(), &scene.address);
     }},
    {"connect a second time", op_kind::connect, -EISCONN,
     [](stage& scene, request& wanted) {
         static_cast<void>(scene.listener());
         const int client = scene.tcp_socket();
         request first(op_kind::connect);
         stage::peer(first, client, &scene.address);
         REQUIRE(scene.w.run(first) == 0);
         stage::peer(wanted, client, &scene.address);
     }},
    {"connect a socket that listens", op_kind::connect, -EISCONN,
     [](stage& scene, request& wanted) {
         const int listening = scene.listener();
         stage::peer(wanted, listening, &scene.address);
     }},
    {"connect across families", op_kind::connect, -EAFNOSUPPORT,
     [](stage& scene, request& wanted) {
         scene.address = loopback6(1);
         stage::peer(wanted, scene.tcp_socket(), &scene.address);
     }},
    {"connect to an address cut short", op_kind::connect, -EINVAL,
     [](stage& scene, request& wanted) {
         static_cast<void>(scene.listener());
         scene.address.size = 3;
         stage::peer(wanted, scene.tcp_socket(), &scene.address);
     }},
    {"connect to a unix path that is not there", op_kind::connect, -ENOENT,
     [](stage& scene, request& wanted) {
         scene.address = unix_address(scene.path("none"));
         stage::peer(
             wanted,
             scene.own(scene.w.os().open_socket(socket_family::unix_domain, socket_type::stream)),
             &scene.address);
     }},
    {"connect to a unix path that is a file", op_kind::connect, -ECONNREFUSED,
     [](stage& scene, request& wanted) {
         scene.file("plain", "x");
         scene.address = unix_address(scene.path("plain"));
         stage::peer(
             wanted,
             scene.own(scene.w.os().open_socket(socket_family::unix_domain, socket_type::stream)),
             &scene.address);
     }},
    {"connect a closed number", op_kind::connect, -EBADF,
     [](stage& scene, request& wanted) {
         scene.address = loopback(1);
         stage::peer(wanted, scene.closed_number(), &scene.address);
     }},
    {"connect a pipe", op_kind::connect, -ENOTSOCK,
     [](stage& scene, request& wanted) {
         scene.address = loopback(1);
         stage::peer(wanted, scene.pipe().near, &scene.address);
     }},
};

template <bool Tcp>
stage::pair connected(stage& scene)
{
    return Tcp ? scene.tcp() : scene.unix_pair();
}

template <bool Tcp>
void recv_a_byte(stage& scene, request& wanted)
{
    const auto both = connected<Tcp>(scene);
    scene.send(both.far, "b");
    receive_into_buffer(scene, wanted, both.near);
}

void verify_b(stage& scene, const request&)
{
    CHECK(scene.buffer[0] == 'b');
}

template <bool Tcp>
void recv_at_end(stage& scene, request& wanted)
{
    const auto both = connected<Tcp>(scene);
    scene.close(both.far);
    receive_into_buffer(scene, wanted, both.near);
}

template <bool Tcp>
void recv_last_byte(stage& scene, request& wanted)
{
    const auto both = connected<Tcp>(scene);
    scene.send(both.far, "b");
    scene.close(both.far);
    receive_into_buffer(scene, wanted, both.near);
}

template <bool Tcp>
void lease_a_byte(stage& scene, request& wanted)
{
    const auto both = Tcp ? scene.tcp() : scene.unix_pair();
    scene.send(both.far, "b");
    stage::leased(wanted, both.near, &scene.lease);
}

void verify_leased_b(stage& scene, const request& done)
{
    CHECK(stage::take(scene.lease, done.result) == "b");
}

const outcome_row recv_leased_rows[] = {
    {"a leased read, TCP", op_kind::recv_leased, 1, lease_a_byte<true>, verify_leased_b},
    {"a leased read, unix", op_kind::recv_leased, 1, lease_a_byte<false>, verify_leased_b},
    {"a leased read of a part", op_kind::recv_leased, 1,
     [](stage& scene, request& wanted) {
         const auto both = scene.tcp();
         scene.send(both.far, "bcd");
         stage::leased(wanted, both.near, &scene.lease, 1);
     },
     [](stage& scene, const request& done) {
         verify_leased_b(scene, done);
         CHECK(scene.recv(done.fd, 2) == "cd");
     }},
    {"a leased read that expects to wait", op_kind::recv_leased, 1,
     [](stage& scene, request& wanted) {
         lease_a_byte<true>(scene, wanted);
         wanted.expect_wait = true;
     },
     verify_leased_b},
    {"a leased read at the end of the stream", op_kind::recv_leased, 0,
     [](stage& scene, request& wanted) {
         const auto both = scene.tcp();
         scene.close(both.far);
         stage::leased(wanted, both.near, &scene.lease);
     }},
    {"a leased read after the peer's half-close", op_kind::recv_leased, 0,
     [](stage& scene, request& wanted) {
         const auto both = scene.unix_pair();
         scene.shut_down_sending(both.far);
         stage::leased(wanted, both.near, &scene.lease);
     }},
    {"a leased read on a reset connection", op_kind::recv_leased, -ECONNRESET,
     [](stage& scene, request& wanted) {
         const auto both = scene.tcp();
         scene.reset_peer(both.far);
         stage::leased(wanted, both.near, &scene.lease);
     }},
    {"a leased read on a socket without connection", op_kind::recv_leased, -ENOTCONN,
     [](stage& scene, request& wanted) {
         stage::leased(wanted, scene.tcp_socket(), &scene.lease);
     }},
    {"a leased read on a closed number", op_kind::recv_leased, -EBADF,
     [](stage& scene, request& wanted) {
         stage::leased(wanted, scene.closed_number(), &scene.lease);
     }},
    {"a leased read of a file", op_kind::recv_leased, -ENOTSOCK,
     [](stage& scene, request& wanted) {
         scene.file("f", "x");
         stage::leased(wanted, scene.open("f"), &scene.lease);
     }},
    {"a leased read of a pipe", op_kind::recv_leased, -ENOTSOCK,
     [](stage& scene, request& wanted) { stage::leased(wanted, scene.pipe().near, &scene.lease); }},
};

const outcome_row recv_rows[] = {
    {"recv less than asked for, TCP", op_kind::recv, 1, recv_a_byte<true>, verify_b},
    {"recv less than asked for, unix", op_kind::recv, 1, recv_a_byte<false>, verify_b},
    {"recv a part of what is there", op_kind::recv, 1,
     [](stage& scene, request& wanted) {
         const auto both = scene.tcp();
         scene.send(both.far, "bcd");
         stage::transfer(wanted, both.near, scene.buffer.data(), 1);
     },
     [](stage& scene, const request& done) {
         CHECK(scene.buffer[0] == 'b');
         CHECK(scene.recv(done.fd, 2) == "cd");
     }},
    {"recv at the end of the stream, TCP", op_kind::recv, 0, recv_at_end<true>},
    {"recv at the end of the stream, unix", op_kind::recv, 0, recv_at_end<false>},
    {"recv what was sent before the end, TCP", op_kind::recv, 1, recv_last_byte<true>, verify_b},
    {"recv what was sent before the end, unix", op_kind::recv, 1, recv_last_byte<false>, verify_b},
    {"recv after the peer's half-close", op_kind::recv, 0,
     [](stage& scene, request& wanted) {
         const auto both = scene.tcp();
         scene.shut_down_sending(both.far);
         receive_into_buffer(scene, wanted, both.near);
     },
     [](stage& scene, const request& done) { scene.send(done.fd, "still open"); }},
    {"recv after one's own shutdown", op_kind::recv, 0,
     [](stage& scene, request& wanted) {
         const auto both = scene.tcp();
         REQUIRE(scene.w.os().shutdown(both.near, blitzio::detail::shutdown_direction::receive) ==
                 0);
         receive_into_buffer(scene, wanted, both.near);
     }},
    {"recv nothing", op_kind::recv, 0,
     [](stage& scene, request& wanted) {
         const auto both = scene.tcp();
         scene.send(both.far, "b");
         stage::transfer(wanted, both.near, scene.buffer.data(), 0);
     },
     [](stage& scene, const request& done) { CHECK(scene.recv(done.fd, 1) == "b"); }},
    {"recv on a reset connection", op_kind::recv, -ECONNRESET,
     [](stage& scene, request& wanted) {
         const auto both = scene.tcp();
         scene.reset_peer(both.far);
         receive_into_buffer(scene, wanted, both.near);
     }},
    {"recv on a socket without connection", op_kind::recv, -ENOTCONN,
     [](stage& scene, request& wanted) { receive_into_buffer(scene, wanted, scene.tcp_socket()); }},
    {"recv on a listener", op_kind::recv, -ENOTCONN,
     [](stage& scene, request& wanted) { receive_into_buffer(scene, wanted, scene.listener()); }},
    {"recv on a closed number", op_kind::recv, -EBADF,
     [](stage& scene, request& wanted) {
         receive_into_buffer(scene, wanted, scene.closed_number());
     }},
    {"recv on a pipe", op_kind::recv, -ENOTSOCK,
     [](stage& scene, request& wanted) { receive_into_buffer(scene, wanted, scene.pipe().near); }},
    {"recv on a file", op_kind::recv, -ENOTSOCK,
     [](stage& scene, request& wanted) {
         scene.file("f", "x");
         receive_into_buffer(scene, wanted, scene.open("f"));
     }},
};

const outcome_row send_rows[] = {
    {"send, TCP", op_kind::send, 1,
     [](stage& scene, request& wanted) { send_a_byte(scene, wanted, scene.tcp().near); }},
    {"send, unix", op_kind::send, 1,
     [](stage& scene, request& wanted) { send_a_byte(scene, wanted, scene.unix_pair().near); }},
    {"send nothing", op_kind::send, 0,
     [](stage& scene, request& wanted) {
         stage::transfer(wanted, scene.tcp().near, scene.buffer.data(), 0);
     }},
    {"send after one's own half-close", op_kind::send, -EPIPE,
     [](stage& scene, request& wanted) {
         const auto both = scene.tcp();
         scene.shut_down_sending(both.near);
         send_a_byte(scene, wanted, both.near);
     }},
    {"send to a unix peer that has gone", op_kind::send, -EPIPE,
     [](stage& scene, request& wanted) {
         const auto both = scene.unix_pair();
         scene.close(both.far);
         send_a_byte(scene, wanted, both.near);
     }},
    {"send on a reset connection", op_kind::send, -ECONNRESET,
     [](stage& scene, request& wanted) {
         const auto both = scene.tcp();
         scene.reset_peer(both.far);
         send_a_byte(scene, wanted, both.near);
     }},
    {"send on a socket without connection", op_kind::send, -EPIPE,
     [](stage& scene, request& wanted) { send_a_byte(scene, wanted, scene.tcp_socket()); }},
    {"send on a unix socket without connection", op_kind::send, -ENOTCONN,
     [](stage& scene, request& wanted) {
         send_a_byte(
             scene, wanted,
             scene.own(scene.w.os().open_socket(socket_family::unix_domain, socket_type::stream)));
     }},
    {"send on a closed number", op_kind::send, -EBADF,
     [](stage& scene, request& wanted) { send_a_byte(scene, wanted, scene.closed_number()); }},
    {"send on a pipe", op_kind::send, -ENOTSOCK,
     [](stage& scene, request& wanted) { send_a_byte(scene, wanted, scene.pipe().far); }},
};

constexpr std::int32_t bits(std::uint32_t events)
{
    return static_cast<std::int32_t>(events);
}

template <std::uint32_t Events>
void poll_pair(stage& scene, request& wanted)
{
    stage::wait_for_events(wanted, scene.unix_pair().near, Events);
}

using namespace poll_events;

const outcome_row poll_rows[] = {
    {"poll a socket for room", op_kind::poll, bits(writable), poll_pair<writable>},
    {"poll a socket for either", op_kind::poll, bits(writable), poll_pair<readable | writable>},
    {"poll a socket with data", op_kind::poll, bits(readable),
     [](stage& scene, request& wanted) {
         const auto both = scene.tcp();
         scene.send(both.far, "b");
         stage::wait_for_events(wanted, both.near, readable);
     }},
    {"poll a socket with data and room", op_kind::poll, bits(readable | writable),
     [](stage& scene, request& wanted) {
         const auto both = scene.unix_pair();
         scene.send(both.far, "b");
         stage::wait_for_events(wanted, both.near, readable | writable);
     }},
    {"poll a stream at its end", op_kind::poll, bits(readable),
     [](stage& scene, request& wanted) {
         const auto both = scene.tcp();
         scene.shut_down_sending(both.far);
         scene.w.settle();
         stage::wait_for_events(wanted, both.near, readable);
     }},
    {"poll a unix socket whose peer has gone", op_kind::poll, bits(readable | hangup),
     [](stage& scene, request& wanted) {
         const auto both = scene.unix_pair();
         scene.close(both.far);
         stage::wait_for_events(wanted, both.near, readable);
     }},
    {"poll a reset connection", op_kind::poll, bits(readable | writable | error | hangup),
     [](stage& scene, request& wanted) {
         const auto both = scene.tcp();
         scene.reset_peer(both.far);
         stage::wait_for_events(wanted, both.near, readable | writable);
     }},
    {"poll a listener with a connection", op_kind::poll, bits(readable),
     [](stage& scene, request& wanted) {
         pending_connection(scene, wanted, nullptr);
         stage::wait_for_events(wanted, wanted.fd, readable);
     }},
    {"poll a pipe with data", op_kind::poll, bits(readable),
     [](stage& scene, request& wanted) {
         const auto both = scene.pipe();
         scene.write(both.far, "b");
         stage::wait_for_events(wanted, both.near, readable);
     }},
    {"poll a pipe without writer", op_kind::poll, bits(hangup),
     [](stage& scene, request& wanted) {
         const auto both = scene.pipe();
         scene.close(both.far);
         stage::wait_for_events(wanted, both.near, readable);
     }},
    {"poll a pipe without reader", op_kind::poll, bits(writable | error),
     [](stage& scene, request& wanted) {
         const auto both = scene.pipe();
         scene.close(both.near);
         stage::wait_for_events(wanted, both.far, writable);
     }},
    {"poll for nothing but trouble", op_kind::poll, bits(hangup),
     [](stage& scene, request& wanted) {
         const auto both = scene.pipe();
         scene.close(both.far);
         stage::wait_for_events(wanted, both.near, 0);
     }},
    {"poll a closed number", op_kind::poll, -EBADF,
     [](stage& scene, request& wanted) {
         stage::wait_for_events(wanted, scene.closed_number(), readable);
     }},
};

} // namespace

TEST_CASE("outcomes of nop are the same on every driver", "[conformance]")
{
    check_outcomes(nop_rows);
}

TEST_CASE("outcomes of accept are the same on every driver", "[conformance]")
{
    check_outcomes(accept_rows);
}

TEST_CASE("outcomes of connect are the same on every driver", "[conformance]")
{
    check_outcomes(connect_rows);
}

TEST_CASE("outcomes of recv are the same on every driver", "[conformance]")
{
    check_outcomes(recv_rows);
}

TEST_CASE("outcomes of recv_leased are the same on every driver", "[conformance]")
{
    check_outcomes(recv_leased_rows);
}

TEST_CASE("outcomes of send are the same on every driver", "[conformance]")
{
    check_outcomes(send_rows);
}

TEST_CASE("outcomes of poll are the same on every driver", "[conformance]")
{
    check_outcomes(poll_rows);
}
