// What the tests of the epoll driver share: a backend with its file pool, a loop that waits for
// operations, connected sockets. Thread rule: one test.
#pragma once

#include "blocking_pool.hpp"
#include "driver/backend.hpp"

#include "unit/op_builders.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include <netinet/in.h>

namespace blitzio::detail::testing
{

using namespace std::chrono_literals;

/// Long enough for a loaded machine; reached only when something is lost.
inline constexpr auto patience = 20s;

struct epoll_world
{
    explicit epoll_world(unsigned workers = 1, blocking_pool::options files = {.threads_max = 4})
        : pool(std::move(files))
    {
        auto made = make_epoll_backend({.worker_count = workers, .file_pool = &pool});
        io = std::move(made.value());
        for (unsigned index = 0; index < workers; ++index)
        {
            drivers.push_back(std::move(io->create_driver(index).value()));
            drivers.back()->start();
        }
    }

    [[nodiscard]] driver& at(unsigned index = 0)
    {
        return *drivers.at(index);
    }

    [[nodiscard]] system& os()
    {
        return io->operating_system();
    }

    blocking_pool pool;
    std::unique_ptr<backend> io;
    std::vector<std::unique_ptr<driver>> drivers;
};

inline std::vector<op*> drain(ready_list& ready)
{
    std::vector<op*> out;
    while (runnable* const item = ready.pop())
    {
        out.push_back(static_cast<op*>(item));
    }
    return out;
}

/// Everything that completes until there are `count` operations; fewer when patience runs out.
inline std::vector<op*> wait_for(driver& io, std::size_t count)
{
    const auto deadline = std::chrono::steady_clock::now() + patience;
    std::vector<op*> out;
    ready_list ready;
    while (out.size() < count && std::chrono::steady_clock::now() < deadline)
    {
        io.wait(ready, 1s);
        std::ranges::copy(drain(ready), std::back_inserter(out));
    }
    return out;
}

/// What completes without waiting; twice, because a turn may find what the one before has caused.
inline std::vector<op*> poll_now(driver& io)
{
    ready_list ready;
    io.poll(ready);
    io.poll(ready);
    return drain(ready);
}

/// The result of an operation, whether it completes at once or later.
inline std::int32_t run(driver& io, op& operation)
{
    if (!io.submit(operation))
    {
        const auto done = wait_for(io, 1);
        if (done != std::vector<op*>{&operation})
        {
            throw std::runtime_error("the operation did not complete, or another one did");
        }
    }
    return operation.result;
}

struct linked_sockets
{
    explicit linked_sockets(epoll_world& world) : owner(&world.os())
    {
        if (owner->socket_pair(fds) != 0)
        {
            throw std::runtime_error("socket_pair");
        }
    }

    ~linked_sockets()
    {
        close(0);
        close(1);
    }

    linked_sockets(const linked_sockets&) = delete;
    linked_sockets& operator=(const linked_sockets&) = delete;

    void close(int which)
    {
        if (fds[which] >= 0)
        {
            static_cast<void>(owner->close(fds[which]));
            fds[which] = -1;
        }
    }

    system* owner;
    int fds[2] = {-1, -1};
};

inline socket_address loopback_address(std::uint16_t port = 0)
{
    socket_address address;
    sockaddr_in native{};
    native.sin_family = AF_INET;
    native.sin_port = htons(port);
    native.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::memcpy(address.storage.data(), &native, sizeof native);
    address.size = sizeof native;
    return address;
}

/// A listening socket and its address.
struct loopback_listener
{
    explicit loopback_listener(epoll_world& world, int backlog = 64)
        : owner(&world.os()), fd(owner->open_socket(socket_family::ipv4, socket_type::stream))
    {
        if (fd < 0 || owner->bind(fd, loopback_address()) != 0 || owner->listen(fd, backlog) != 0 ||
            owner->local_address(fd, address) != 0)
        {
            throw std::runtime_error("cannot listen");
        }
    }

    ~loopback_listener()
    {
        static_cast<void>(owner->close(fd));
    }

    loopback_listener(const loopback_listener&) = delete;
    loopback_listener& operator=(const loopback_listener&) = delete;

    system* owner;
    int fd;
    socket_address address;
};

/// Two ends of a TCP connection over loopback.
struct tcp_sockets
{
    explicit tcp_sockets(epoll_world& world) : owner(&world.os())
    {
        loopback_listener listener(world);
        fds[0] = owner->open_socket(socket_family::ipv4, socket_type::stream);
        op connecting;
        op accepting;
        const std::int32_t connected =
            run(world.at(), make_peer(connecting, op_kind::connect, fds[0], &listener.address));
        fds[1] = run(world.at(), make_peer(accepting, op_kind::accept, listener.fd, nullptr));
        if (connected != 0 || fds[1] < 0)
        {
            throw std::runtime_error("cannot connect");
        }
    }

    ~tcp_sockets()
    {
        for (const int fd : fds)
        {
            static_cast<void>(owner->close(fd));
        }
    }

    tcp_sockets(const tcp_sockets&) = delete;
    tcp_sockets& operator=(const tcp_sockets&) = delete;

    system* owner;
    int fds[2] = {-1, -1};
};

} // namespace blitzio::detail::testing
