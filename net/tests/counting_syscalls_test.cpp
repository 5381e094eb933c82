// How often an echo server on a warm runtime enters the kernel for its ring: once per batch,
// whatever the number of connections. Thread rule: the test's thread is the client; one worker.
#include "support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace net_tests;

namespace
{

constexpr std::size_t connections = 32;
constexpr int rounds = 200;
constexpr std::size_t message_bytes = 64;

/// What a round needs: one entry that fetches all requests, one that hands over all answers and
/// fetches their completions, one that hands over the next reads and sleeps.
constexpr std::uint64_t entries_per_round = 3;
/// A worker looks at its driver after so many turns even when it has work, so that a long batch
/// does not keep others waiting: at most this many more with two turns for each connection.
constexpr std::uint64_t entries_for_fairness = (2 * connections + 4) / 61 + 1;

/// A plain blocking socket: the client must not use the runtime whose calls are counted.
class client
{
public:
    explicit client(const net::endpoint& server)
    {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(server.port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        REQUIRE(fd_ >= 0);
        REQUIRE(::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    }

    client(client&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

    ~client()
    {
        if (fd_ >= 0)
        {
            ::close(fd_);
        }
    }

    void ask() const
    {
        const std::array<char, message_bytes> message{'q'};
        REQUIRE(::send(fd_, message.data(), message.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(message.size()));
    }

    void hear() const
    {
        std::array<char, message_bytes> answer{};
        REQUIRE(::recv(fd_, answer.data(), answer.size(), MSG_WAITALL) ==
                static_cast<ssize_t>(answer.size()));
        REQUIRE(answer[0] == 'q');
    }

private:
    int fd_ = -1;
};

enum class reading
{
    own_buffer,
    leased,
};

bz::task<void> echo_leased(net::tcp_stream stream)
{
    for (;;)
    {
        const auto got = co_await stream.read_leased();
        if (!got || got->empty())
        {
            co_return;
        }
        if (!co_await stream.write_all(got->bytes()))
        {
            co_return;
        }
    }
}

struct server
{
    explicit server(reading how = reading::own_buffer) : runtime(make_config())
    {
        if (runtime.backend_name() != "io_uring")
        {
            return;
        }
        auto listener =
            bz::or_throw(runtime.block_on([]() -> bz::task<bz::result<net::tcp_listener>> {
                co_return co_await net::tcp_listener::bind(loopback());
            }),
                         "bind");
        const auto where = bz::or_throw(listener.local_endpoint(), "local_endpoint");
        for (std::size_t index = 0; index < connections; ++index)
        {
            clients.emplace_back(where);
            auto accepted =
                runtime.block_on([&listener]() -> bz::task<bz::result<net::tcp_stream>> {
                    co_return co_await listener.accept();
                });
            auto stream = bz::or_throw(std::move(accepted), "accept");
            static_cast<void>(runtime.spawn(how == reading::leased ? echo_leased(std::move(stream))
                                                                   : echo(std::move(stream))));
        }
    }

    static bz::runtime_config make_config()
    {
        bz::runtime_config config;
        config.io_threads = 1;
        return config;
    }

    /// All requests arrive while the worker is busy, and are one batch for it.
    void round()
    {
        std::atomic<bool> busy{false};
        std::atomic<bool> go_on{false};
        auto occupied = runtime.spawn([&]() -> bz::task<void> {
            busy.store(true);
            while (!go_on.load())
            {
                std::this_thread::yield();
            }
            co_return;
        });
        while (!busy.load())
        {
            std::this_thread::yield();
        }
        for (const client& each : clients)
        {
            each.ask();
        }
        go_on.store(true);
        for (const client& each : clients)
        {
            each.hear();
        }
        runtime.block_on(std::move(occupied));
    }

    bz::runtime runtime;
    std::vector<client> clients;
};

void skip_unless_ring(const bz::runtime& runtime)
{
    if (runtime.backend_name() != "io_uring")
    {
        SKIP("counts io_uring_enter, and the backend is " << runtime.backend_name());
    }
}

/// Calls that strace has counted: the column before the name, or the one before the errors.
std::uint64_t calls_in(const std::string& report)
{
    std::istringstream lines(report);
    for (std::string line; std::getline(lines, line);)
    {
        std::istringstream fields(line);
        std::string share;
        std::string seconds;
        std::string per_call;
        std::uint64_t calls = 0;
        if (line.find("io_uring_enter") != std::string::npos &&
            fields >> share >> seconds >> per_call >> calls)
        {
            return calls;
        }
    }
    return 0;
}

std::string contents(const std::filesystem::path& path)
{
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
}

} // namespace

TEST_CASE("an echo enters the kernel once per batch, however many connections", "[counting]")
{
    server serving;
    skip_unless_ring(serving.runtime);
    for (int warm_up = 0; warm_up < 10; ++warm_up)
    {
        serving.round();
    }
    const std::uint64_t before = serving.runtime.metrics().driver_entries;
    for (int round = 0; round < rounds; ++round)
    {
        serving.round();
    }
    const std::uint64_t entries = serving.runtime.metrics().driver_entries - before;
    INFO(entries << " entries for " << rounds << " rounds of " << connections << " requests");
    // A round also wakes the worker twice from outside, once to occupy it and once to join.
    CHECK(entries <= rounds * (entries_per_round + entries_for_fairness + 2));
    CHECK(entries >= rounds);
}

TEST_CASE("a leased echo enters the kernel as often", "[counting]")
{
    server serving(reading::leased);
    skip_unless_ring(serving.runtime);
    for (int warm_up = 0; warm_up < 10; ++warm_up)
    {
        serving.round();
    }
    const std::uint64_t before = serving.runtime.metrics().driver_entries;
    for (int round = 0; round < rounds; ++round)
    {
        serving.round();
    }
    const std::uint64_t entries = serving.runtime.metrics().driver_entries - before;
    INFO(entries << " entries for " << rounds << " rounds of " << connections << " requests");
    // A round also wakes the worker twice from outside, once to occupy it and once to join.
    CHECK(entries <= rounds * (entries_per_round + entries_for_fairness + 2));
    CHECK(entries >= rounds);
}

/// Not a test of its own: what the next one runs under strace.
TEST_CASE("echo rounds for strace", "[.echo-for-strace]")
{
    server serving;
    for (int round = 0; round < rounds; ++round)
    {
        serving.round();
    }
    if (const char* const report = std::getenv("BLITZIO_TEST_REPORT"))
    {
        std::ofstream(report) << serving.runtime.metrics().driver_entries;
    }
}

TEST_CASE("the runtime counts its entries as strace does", "[counting]")
{
    {
        const bz::runtime asked(server::make_config());
        skip_unless_ring(asked);
    }
    if (std::system("strace -o /dev/null true 2>/dev/null") != 0)
    {
        SKIP("strace is not here or may not trace");
    }
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    SKIP("the sanitizer does not work under a tracer");
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
    SKIP("the sanitizer does not work under a tracer");
#endif
#endif
    std::string folder =
        (std::filesystem::temp_directory_path() / "blitzio-strace-XXXXXX").string();
    REQUIRE(::mkdtemp(folder.data()) != nullptr);
    const auto own = std::filesystem::read_symlink("/proc/self/exe").string();
    const std::string command = "BLITZIO_TEST_REPORT='" + folder + "/own' strace -f -c -o '" +
                                folder + "/strace' -e trace=io_uring_enter '" + own +
                                "' '[.echo-for-strace]' > '" + folder + "/output' 2>&1";
    const int status = std::system(command.c_str());
    INFO(contents(folder + "/output"));
    CHECK(status == 0);
    const std::uint64_t traced = calls_in(contents(folder + "/strace"));
    const std::uint64_t own_count = std::strtoull(contents(folder + "/own").c_str(), nullptr, 10);
    INFO("strace " << traced << ", the runtime " << own_count);
    std::filesystem::remove_all(folder);
    CHECK(own_count >= rounds);
    CHECK(own_count <= 10 * rounds);
    // Some more for setting up and going away; an entry with nothing to say is no system call.
    CHECK(traced <= own_count + own_count / 20 + 20);
    CHECK(traced >= rounds);
}
