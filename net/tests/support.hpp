// What the tests of sockets share: runtimes to run on, checks that tasks may make, connected pairs,
// and counts of allocations and descriptors.
// Thread rule: EXPECT on any thread; the rest on the test's thread or in tasks, as said.
#pragma once

#include <blitzio/io/runtime.hpp>
#include <blitzio/io/task.hpp>
#include <blitzio/io/task_group.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/net/tcp_listener.hpp>
#include <blitzio/net/tcp_stream.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

// A sanitizer brings its own operator new, which has to stay.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define BLITZIO_TESTS_COUNT_ALLOCATIONS 0
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define BLITZIO_TESTS_COUNT_ALLOCATIONS 0
#endif
#if !defined(BLITZIO_TESTS_COUNT_ALLOCATIONS)
#define BLITZIO_TESTS_COUNT_ALLOCATIONS 1
#endif

namespace net_tests
{

namespace bz = blitzio;
namespace net = blitzio::net;

/// Notes a failed expectation; any thread.
void note_failure(const char* condition, const char* file, int line);
/// The test's thread, when no task runs: reports what was noted to Catch.
void report_failures();

/// Catch's own macros are for one thread at a time only.
#define EXPECT(condition) \
    ((condition) ? static_cast<void>(0) : ::net_tests::note_failure(#condition, __FILE__, __LINE__))

/// Calls of operator new in this process so far; always 0 under a sanitizer.
[[nodiscard]] std::uint64_t allocations() noexcept;
/// Descriptors that the process has open.
[[nodiscard]] std::size_t open_descriptors();

/// Runs a callable that returns a task on each kind of runtime: the kernel backend that the
/// environment chooses, with one worker and several, and simulated worlds of many seeds. The body
/// gets whether the world is simulated.
template <class Body>
void on_every_runtime(Body body, std::uint64_t seeds = 30);
/// The kernel backend only.
template <class Body>
void on_kernel_runtimes(Body body);

struct connection
{
    net::tcp_stream client;
    net::tcp_stream server;
};

inline net::endpoint loopback(std::uint16_t port = 0)
{
    return {net::ipv4::loopback(), port};
}

inline bz::task<connection> connect_pair(net::tcp_listener& listener)
{
    const net::endpoint where = bz::or_throw(listener.local_endpoint(), "local_endpoint");
    auto [client, server] =
        co_await bz::when_all(net::tcp_stream::connect(where), listener.accept());
    co_return connection{bz::or_throw(std::move(client), "connect"),
                         bz::or_throw(std::move(server), "accept")};
}

inline bz::task<connection> connect_pair()
{
    auto listener = bz::or_throw(co_await net::tcp_listener::bind(loopback()), "bind");
    co_return co_await connect_pair(listener);
}

/// Bytes that differ at most places.
[[nodiscard]] std::string pattern(std::size_t size, unsigned salt = 0);

inline std::span<std::byte> writable(std::string& text)
{
    return std::as_writable_bytes(std::span(text));
}

/// Sends back whatever arrives until the peer ends.
bz::task<void> echo(net::tcp_stream stream);

template <class Body>
void run_once(bz::runtime& runtime, Body& body, bool simulated)
{
    runtime.block_on([&body, simulated]() -> bz::task<void> { return body(simulated); });
    report_failures();
}

/// Where a failure happened.
class runtime_note
{
public:
    explicit runtime_note(std::string text);
    ~runtime_note();
    runtime_note(const runtime_note&) = delete;
    runtime_note& operator=(const runtime_note&) = delete;
};

template <class Body>
void on_kernel_runtimes(Body body)
{
    for (const unsigned workers : {1u, 3u})
    {
        bz::runtime_config config;
        config.io_threads = workers;
        bz::runtime kernel(std::move(config));
        const runtime_note note(std::string(kernel.backend_name()) + ", workers " +
                                std::to_string(workers));
        run_once(kernel, body, false);
    }
}

template <class Body>
void on_every_runtime(Body body, std::uint64_t seeds)
{
    on_kernel_runtimes(body);
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        bz::runtime_config config;
        config.io_threads = static_cast<unsigned>(1 + seed % 3);
        config.backend = bz::backend_choice::sim;
        config.simulation.seed = seed;
        bz::runtime simulated(std::move(config));
        const runtime_note note("simulation, seed " + std::to_string(seed));
        run_once(simulated, body, true);
    }
}

} // namespace net_tests
