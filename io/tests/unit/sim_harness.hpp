// Drives a simulated world without a scheduler: operations are submitted and pumped by hand.
// Thread rule: one thread.
#pragma once

#include "driver/sim/file_tree.hpp"
#include "driver/sim/sim_backend.hpp"
#include "driver/sim/sim_driver.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

namespace sim_test
{

using namespace blitzio::detail;
using namespace std::chrono_literals;

struct test_op : op
{
    explicit test_op(op_kind what, int descriptor = op::no_descriptor)
    {
        kind = what;
        fd = descriptor;
    }

    unsigned worker = 0;
    bool done = false;
    unsigned times_continued = 0;
};

inline test_op transfer(op_kind kind, int fd, void* data, std::size_t length,
                        std::uint64_t offset = 0)
{
    test_op made(kind, fd);
    made.args.transfer = {data, length, offset};
    return made;
}

inline socket_address ipv4(std::uint16_t port, std::uint32_t host = 0x7F000001)
{
    sockaddr_in raw{};
    raw.sin_family = AF_INET;
    raw.sin_port = htons(port);
    raw.sin_addr.s_addr = htonl(host);
    socket_address address;
    std::memcpy(address.storage.data(), &raw, sizeof raw);
    address.size = sizeof raw;
    return address;
}

inline socket_address ipv6(std::uint16_t port, bool any = false)
{
    sockaddr_in6 raw{};
    raw.sin6_family = AF_INET6;
    raw.sin6_port = htons(port);
    raw.sin6_addr = any ? in6addr_any : in6addr_loopback;
    socket_address address;
    std::memcpy(address.storage.data(), &raw, sizeof raw);
    address.size = sizeof raw;
    return address;
}

inline socket_address unix_path(std::string_view path)
{
    sockaddr_un raw{};
    raw.sun_family = AF_UNIX;
    std::memcpy(raw.sun_path, path.data(), path.size());
    socket_address address;
    std::memcpy(address.storage.data(), &raw, sizeof raw);
    address.size = static_cast<std::uint32_t>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
    return address;
}

inline std::uint16_t port_of(const socket_address& address)
{
    std::uint16_t port = 0;
    std::memcpy(&port, address.storage.data() + offsetof(sockaddr_in, sin_port), sizeof port);
    return ntohs(port);
}

class harness
{
public:
    explicit harness(const sim_options& options, unsigned workers = 1)
        : backend_(make_sim_backend({.worker_count = workers}, options))
    {
        world().set_violation_handler(
            [this](std::string_view message) { violations.emplace_back(message); });
        for (unsigned i = 0; i < workers; ++i)
        {
            auto made = backend_->create_driver(i);
            REQUIRE(made.has_value());
            drivers.push_back(std::move(*made));
            drivers.back()->start();
        }
    }

    explicit harness(std::uint64_t seed, bool faults = true, unsigned workers = 1)
        : harness(sim_options{.seed = seed, .faults = faults}, workers)
    {
    }

    sim_world& world()
    {
        return backend_->world();
    }
    blitzio::detail::system& os()
    {
        return backend_->operating_system();
    }

    void start(test_op& operation, unsigned worker = 0)
    {
        operation.worker = worker;
        operation.done = false;
        if (operation.cancellable)
        {
            operation.state.reset();
            REQUIRE(operation.state.begin());
        }
        if (drivers[worker]->submit(operation) &&
            (!operation.cancellable || operation.state.complete()))
        {
            finish(operation);
        }
    }

    void cancel(test_op& operation)
    {
        if (operation.state.request_cancel())
        {
            ready_list ready;
            drivers[operation.worker]->cancel(operation, ready);
            take(ready);
        }
    }

    /// One turn of every driver that has something, or else one step in time. False: nothing.
    bool turn()
    {
        bool had_ready = false;
        for (unsigned i = 0; i < drivers.size(); ++i)
        {
            if (world().driver_has_ready(i))
            {
                had_ready = true;
                ready_list ready;
                drivers[i]->wait(ready, std::nullopt);
                take(ready);
            }
        }
        if (had_ready)
        {
            return true;
        }
        const auto next = world().next_event();
        if (next.has_value())
        {
            world().advance_to(*next);
        }
        return next.has_value();
    }

    void settle()
    {
        std::uint64_t turns = 0;
        while (turn())
        {
            REQUIRE(++turns < 10'000'000);
        }
    }

    /// All turns that are possible before `time`.
    void settle_until(std::chrono::nanoseconds time)
    {
        for (;;)
        {
            const auto next = world().next_event();
            const bool has_ready = any_ready();
            if (!has_ready && (!next.has_value() || *next > time))
            {
                world().advance_to(time);
                return;
            }
            turn();
        }
    }

    std::int32_t finish_of(test_op& operation)
    {
        std::uint64_t turns = 0;
        while (!operation.done)
        {
            REQUIRE(turn());
            REQUIRE(++turns < 10'000'000);
        }
        return operation.result;
    }

    std::int32_t run(test_op& operation, unsigned worker = 0)
    {
        start(operation, worker);
        return finish_of(operation);
    }

    std::int32_t run(test_op&& operation)
    {
        return run(operation);
    }

    std::int32_t connect(int fd, socket_address address)
    {
        test_op operation(op_kind::connect, fd);
        operation.args.peer = {&address};
        return run(operation);
    }

    std::int32_t accept(int fd, socket_address* peer = nullptr)
    {
        test_op operation(op_kind::accept, fd);
        operation.args.peer = {peer};
        return run(operation);
    }

    std::int32_t recv(int fd, std::string& into, std::size_t length = 4096)
    {
        std::string buffer(length, '\0');
        const auto count = run(transfer(op_kind::recv, fd, buffer.data(), length));
        into = count > 0 ? buffer.substr(0, static_cast<std::size_t>(count)) : std::string();
        return count;
    }

    std::int32_t send(int fd, std::string data)
    {
        return run(transfer(op_kind::send, fd, data.data(), data.size()));
    }

    void send_all(int fd, const std::string& data)
    {
        for (std::size_t done = 0; done < data.size();)
        {
            const auto count = send(fd, data.substr(done));
            REQUIRE(count > 0);
            done += static_cast<std::size_t>(count);
        }
    }

    /// Until the end of the stream; the result of the last receive in `last`.
    std::string recv_all(int fd, std::int32_t& last)
    {
        std::string all;
        std::string piece;
        while ((last = recv(fd, piece)) > 0)
        {
            all += piece;
        }
        return all;
    }

    std::int32_t poll(int fd, std::uint32_t events)
    {
        test_op operation(op_kind::poll, fd);
        operation.args.poll = {events};
        return run(operation);
    }

    std::int32_t open(const char* path, std::uint32_t flags, std::uint32_t mode = 0644,
                      int base = op::no_descriptor)
    {
        test_op operation(op_kind::open, base);
        operation.args.open = {path, flags, mode};
        return run(operation);
    }

    std::int32_t unlink(const char* path, bool directory = false, int base = op::no_descriptor)
    {
        test_op operation(op_kind::unlink, base);
        operation.args.open = {path, directory ? open_flags::remove_directory : 0, 0};
        return run(operation);
    }

    std::int32_t make_directory(const char* path, int base = op::no_descriptor)
    {
        test_op operation(op_kind::make_directory, base);
        operation.args.open = {path, 0, 0755};
        return run(operation);
    }

    std::int32_t rename(const char* from, const char* to, bool replace = true)
    {
        test_op operation(op_kind::rename);
        operation.args.paths = {from, to, replace};
        return run(operation);
    }

    std::int32_t stat(const char* path, file_status& out, bool follow = true,
                      int fd = op::no_descriptor)
    {
        test_op operation(op_kind::stat, fd);
        operation.args.stat = {path, &out, follow};
        return run(operation);
    }

    std::int32_t write_at(int fd, std::string data, std::uint64_t offset)
    {
        return run(transfer(op_kind::write_at, fd, data.data(), data.size(), offset));
    }

    std::int32_t read_at(int fd, std::string& into, std::size_t length, std::uint64_t offset)
    {
        std::string buffer(length, '\0');
        const auto count = run(transfer(op_kind::read_at, fd, buffer.data(), length, offset));
        into = count > 0 ? buffer.substr(0, static_cast<std::size_t>(count)) : std::string();
        return count;
    }

    std::int32_t sync(int fd)
    {
        test_op operation(op_kind::sync, fd);
        operation.args.sync = {false};
        return run(operation);
    }

    std::int32_t close(int fd)
    {
        return run(test_op(op_kind::close, fd));
    }

    /// A listening TCP socket on 127.0.0.1; its port in `port`.
    int listener(std::uint16_t& port, int backlog = 16)
    {
        const int fd = os().open_socket(socket_family::ipv4, socket_type::stream);
        REQUIRE(fd >= 0);
        REQUIRE(os().bind(fd, ipv4(0)) == 0);
        REQUIRE(os().listen(fd, backlog) == 0);
        socket_address address;
        REQUIRE(os().local_address(fd, address) == 0);
        port = port_of(address);
        return fd;
    }

    struct connection
    {
        int client = -1;
        int server = -1;
    };

    connection connected(int listening_fd, std::uint16_t port)
    {
        connection made;
        made.client = os().open_socket(socket_family::ipv4, socket_type::stream);
        REQUIRE(made.client >= 0);
        REQUIRE(connect(made.client, ipv4(port)) == 0);
        made.server = accept(listening_fd);
        REQUIRE(made.server >= 0);
        return made;
    }

private:
    bool any_ready()
    {
        for (unsigned i = 0; i < drivers.size(); ++i)
        {
            if (world().driver_has_ready(i))
            {
                return true;
            }
        }
        return false;
    }

    static void finish(test_op& operation)
    {
        operation.done = true;
        ++operation.times_continued;
    }

    static void take(ready_list& ready)
    {
        while (runnable* const item = ready.pop())
        {
            finish(static_cast<test_op&>(static_cast<op&>(*item)));
        }
    }

public:
    std::vector<std::string> violations;

private:
    std::unique_ptr<sim_backend> backend_;

public:
    // After the backend, so that they are destroyed before it.
    std::vector<std::unique_ptr<driver>> drivers;
};

} // namespace sim_test
