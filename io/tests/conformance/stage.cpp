// The descriptors, files and short operations of a case. Thread rule: the test's thread.
#include "conformance/stage.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <netinet/in.h>
#include <sys/un.h>

namespace blitzio::conformance
{

namespace
{

template <class Native>
socket_address as_address(const Native& native, std::size_t size = sizeof(Native))
{
    socket_address address;
    std::memcpy(address.storage.data(), &native, sizeof native);
    address.size = static_cast<std::uint32_t>(size);
    return address;
}

/// Stages of one world must not meet in its file system.
unsigned next_stage_number()
{
    static unsigned number = 0;
    return ++number;
}

} // namespace

socket_address loopback(std::uint16_t port)
{
    sockaddr_in native{};
    native.sin_family = AF_INET;
    native.sin_port = htons(port);
    native.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return as_address(native);
}

socket_address loopback6(std::uint16_t port)
{
    sockaddr_in6 native{};
    native.sin6_family = AF_INET6;
    native.sin6_port = htons(port);
    native.sin6_addr = in6addr_loopback;
    return as_address(native);
}

socket_address unix_address(std::string_view path)
{
    sockaddr_un native{};
    native.sun_family = AF_UNIX;
    REQUIRE(path.size() < sizeof native.sun_path);
    std::memcpy(native.sun_path, path.data(), path.size());
    return as_address(native, offsetof(sockaddr_un, sun_path) + path.size() + 1);
}

stage::stage(world& where) : w(where), directory_("stage" + std::to_string(next_stage_number()))
{
    w.put_directory(directory_);
}

stage::~stage()
{
    for (const int fd : owned_)
    {
        static_cast<void>(w.os().close(fd));
    }
}

int stage::own(int fd)
{
    REQUIRE(fd >= 0);
    owned_.push_back(fd);
    return fd;
}

void stage::disown(int fd)
{
    std::erase(owned_, fd);
}

int stage::tcp_socket()
{
    return own(w.os().open_socket(detail::socket_family::ipv4, detail::socket_type::stream));
}

int stage::listener(int backlog)
{
    const int fd = tcp_socket();
    REQUIRE(w.os().bind(fd, loopback()) == 0);
    REQUIRE(w.os().listen(fd, backlog) == 0);
    REQUIRE(w.os().local_address(fd, address) == 0);
    return fd;
}

stage::pair stage::tcp()
{
    const int listening = listener();
    const int near = tcp_socket();
    request connecting(op_kind::connect);
    peer(connecting, near, &address);
    REQUIRE(w.run(connecting) == 0);
    request accepting(op_kind::accept);
    peer(accepting, listening, nullptr);
    const int far = own(w.run(accepting));
    close(listening);
    return {near, far};
}

stage::pair stage::unix_pair()
{
    int fds[2];
    REQUIRE(w.os().socket_pair(fds) == 0);
    return {own(fds[0]), own(fds[1])};
}

stage::pair stage::pipe()
{
    int fds[2];
    REQUIRE(w.make_pipe(fds) == 0);
    return {own(fds[0]), own(fds[1])};
}

int stage::open(std::string_view name, std::uint32_t flags)
{
    request opening(op_kind::open);
    on_path(opening, c_path(name), flags, 0644);
    return own(w.run(opening));
}

int stage::closed_number()
{
    const pair both = unix_pair();
    close(both.near);
    close(both.far);
    return both.near;
}

void stage::close(int fd)
{
    disown(fd);
    REQUIRE(w.os().close(fd) == 0);
}

void stage::reset_peer(int fd)
{
    REQUIRE(w.os().set_option(fd, detail::socket_option::linger_seconds, 0) == 0);
    close(fd);
    w.settle();
}

std::string stage::relative(std::string_view name) const
{
    return name.empty() ? directory_ : directory_ + '/' + std::string(name);
}

const char* stage::c_text(std::string text)
{
    return texts_.emplace_back(std::move(text)).c_str();
}

const char* stage::c_path(std::string_view name)
{
    return c_text(path(name));
}

const char* stage::file(std::string_view name, std::string_view what)
{
    w.put_file(relative(name), what);
    return c_path(name);
}

const char* stage::directory(std::string_view name)
{
    w.put_directory(relative(name));
    return c_path(name);
}

const char* stage::fifo(std::string_view name)
{
    w.put_fifo(relative(name));
    return c_path(name);
}

const char* stage::symlink(std::string_view name, const std::string& target)
{
    w.put_symlink(relative(name), target);
    return c_path(name);
}

std::optional<std::string> stage::contents(std::string_view name)
{
    return w.contents(relative(name));
}

void stage::hand_over(op_kind kind, int fd, std::string_view data)
{
    while (!data.empty())
    {
        request moving(kind);
        transfer(moving, fd, const_cast<char*>(data.data()), data.size());
        const std::int32_t count = w.run(moving);
        REQUIRE(count > 0);
        data.remove_prefix(static_cast<std::size_t>(count));
    }
}

void stage::send(int fd, std::string_view data)
{
    hand_over(op_kind::send, fd, data);
}

void stage::write(int fd, std::string_view data)
{
    hand_over(op_kind::write, fd, data);
}

std::string stage::collect(op_kind kind, int fd, std::size_t length)
{
    std::string all;
    while (all.size() < length)
    {
        std::string piece(length - all.size(), '\0');
        request moving(kind);
        transfer(moving, fd, piece.data(), piece.size());
        const std::int32_t count = w.run(moving);
        REQUIRE(count > 0);
        all.append(piece, 0, static_cast<std::size_t>(count));
    }
    return all;
}

std::string stage::recv(int fd, std::size_t length)
{
    return collect(op_kind::recv, fd, length);
}

std::string stage::read(int fd, std::size_t length)
{
    return collect(op_kind::read, fd, length);
}

void stage::shut_down_sending(int fd)
{
    REQUIRE(w.os().shutdown(fd, detail::shutdown_direction::send) == 0);
}

std::size_t stage::fill(int fd, op_kind kind)
{
    const std::string piece(16 * 1024, 'f');
    std::size_t total = 0;
    for (;;)
    {
        request filling(kind);
        filling.cancellable = true;
        transfer(filling, fd, const_cast<char*>(piece.data()), piece.size());
        w.start(filling);
        w.settle();
        w.cancel(filling);
        const std::int32_t count = w.finish(filling);
        if (count == -ECANCELED)
        {
            return total;
        }
        REQUIRE(count > 0);
        total += static_cast<std::size_t>(count);
    }
}

void stage::transfer(request& wanted, int fd, void* data, std::size_t length, std::uint64_t offset)
{
    wanted.fd = fd;
    wanted.args.transfer = {data, length, offset};
}

std::string stage::take(const detail::buffer_lease& lease, std::int32_t count)
{
    const blitzio::leased_buffer owner(lease, static_cast<std::size_t>(count));
    return {reinterpret_cast<const char*>(owner.bytes().data()), owner.size()};
}

void stage::leased(request& wanted, int fd, detail::buffer_lease* out, std::size_t length)
{
    wanted.fd = fd;
    wanted.args.lease = {out, length};
}

void stage::peer(request& wanted, int fd, socket_address* address)
{
    wanted.fd = fd;
    wanted.args.peer = {address};
}

void stage::on_path(request& wanted, const char* path, std::uint32_t flags, std::uint32_t mode,
                    int base)
{
    wanted.fd = base;
    wanted.args.open = {path, flags, mode};
}

void stage::paths(request& wanted, const char* from, const char* to, bool replace)
{
    wanted.args.paths = {from, to, replace};
}

void stage::stat(request& wanted, const char* path, detail::file_status* out, bool follow, int fd)
{
    wanted.fd = fd;
    wanted.args.stat = {path, out, follow};
}

void stage::wait_for_events(request& wanted, int fd, std::uint32_t events)
{
    wanted.fd = fd;
    wanted.args.poll = {events};
}

} // namespace blitzio::conformance
