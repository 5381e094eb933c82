// The epoll driver and what gives no edge: unix listeners whose backlog is full; and the count of its
// entries into the kernel. Thread rule: the test's thread.
#include "driver/driver.hpp"
#include "driver/posix_ops.hpp"

#include "unit/epoll_harness.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

using namespace blitzio::detail;
using namespace blitzio::detail::testing;

namespace
{

using ops = std::vector<op*>;

} // namespace

namespace
{

/// A listening unix socket with an abstract name, which leaves nothing behind, its backlog full.
struct crowded_listener
{
    explicit crowded_listener(epoll_world& of) : world(of)
    {
        sockaddr_un native{};
        native.sun_family = AF_UNIX;
        const std::string name = "blitzio-test-" + std::to_string(getpid());
        std::memcpy(native.sun_path + 1, name.data(), name.size());
        std::memcpy(address.storage.data(), &native, sizeof native);
        address.size = static_cast<std::uint32_t>(sizeof(sa_family_t) + 1 + name.size());
        listener = socket();
        REQUIRE(world.os().bind(listener, address) == 0);
        REQUIRE(world.os().listen(listener, 1) == 0);
        for (;;)
        {
            op connecting;
            make_peer(connecting, op_kind::connect, socket(), &address);
            if (perform(connecting) == -EAGAIN)
            {
                break;
            }
            REQUIRE(all.size() < 64);
        }
    }

    ~crowded_listener()
    {
        for (const int fd : all)
        {
            static_cast<void>(world.os().close(fd));
        }
    }

    crowded_listener(const crowded_listener&) = delete;
    crowded_listener& operator=(const crowded_listener&) = delete;

    int socket()
    {
        all.push_back(world.os().open_socket(socket_family::unix_domain, socket_type::stream));
        REQUIRE(all.back() >= 0);
        return all.back();
    }

    void accept_one()
    {
        op accepting;
        all.push_back(run(world.at(), make_peer(accepting, op_kind::accept, listener, nullptr)));
        REQUIRE(all.back() >= 0);
    }

    epoll_world& world;
    socket_address address;
    int listener = -1;
    std::vector<int> all;
};

} // namespace

TEST_CASE("epoll: connecting to a unix socket waits while its backlog is full", "[epoll]")
{
    epoll_world world;
    crowded_listener crowd(world);
    op first;
    op second;
    REQUIRE_FALSE(
        world.at().submit(make_peer(first, op_kind::connect, crowd.socket(), &crowd.address)));
    REQUIRE_FALSE(
        world.at().submit(make_peer(second, op_kind::connect, crowd.socket(), &crowd.address)));
    CHECK(world.at().in_flight() == 2);
    CHECK(poll_now(world.at()).empty());
    crowd.accept_one();
    CHECK(wait_for(world.at(), 1) == ops{&first}); // the oldest is served first
    CHECK(first.result == 0);
    crowd.accept_one();
    CHECK(wait_for(world.at(), 1) == ops{&second});
    CHECK(second.result == 0);
    CHECK(world.at().in_flight() == 0);
}

TEST_CASE("epoll: a connect that waits for a backlog is cancelled, and learns of the end",
          "[epoll]")
{
    epoll_world world;
    crowded_listener crowd(world);
    op waiting;
    waiting.cancellable = true;
    waiting.state.reset();
    REQUIRE(waiting.state.begin());
    make_peer(waiting, op_kind::connect, crowd.socket(), &crowd.address);
    REQUIRE_FALSE(world.at().submit(waiting));
    REQUIRE(waiting.state.request_cancel());
    ready_list ready;
    world.at().cancel(waiting, ready);
    CHECK(drain(ready) == ops{&waiting});
    CHECK(waiting.result == -ECANCELED);
    CHECK(world.at().in_flight() == 0);

    op refused;
    REQUIRE_FALSE(
        world.at().submit(make_peer(refused, op_kind::connect, crowd.socket(), &crowd.address)));
    std::erase(crowd.all, crowd.listener);
    REQUIRE(world.os().close(crowd.listener) == 0);
    CHECK(wait_for(world.at(), 1) == ops{&refused});
    CHECK(refused.result == -ECONNREFUSED);
}

TEST_CASE("epoll: entries into the kernel are counted", "[epoll]")
{
    epoll_world world;
    linked_sockets pair(world);
    char byte = 'x';
    op sending;
    const auto before = world.at().kernel_entries();
    CHECK(run(world.at(), make_transfer(sending, op_kind::send, pair.fds[0], &byte, 1)) == 1);
    CHECK(world.at().kernel_entries() == before + 1);
    op receiving;
    CHECK(run(world.at(), make_transfer(receiving, op_kind::recv, pair.fds[1], &byte, 1)) == 1);
    CHECK(world.at().kernel_entries() == before + 2);
    op waiting;
    REQUIRE_FALSE(world.at().submit(make_transfer(waiting, op_kind::recv, pair.fds[1], &byte, 1)));
    CHECK(world.at().kernel_entries() == before + 4); // tried, and registered
    CHECK(run(world.at(), make_transfer(sending, op_kind::send, pair.fds[0], &byte, 1)) == 1);
    CHECK(wait_for(world.at(), 1) == ops{&waiting});
    CHECK(world.at().kernel_entries() >= before + 7); // waited, tried again
}
