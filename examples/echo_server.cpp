// Sends back what it receives, to any number of clients, until SIGINT or SIGTERM.
//
//     echo_server [--port P] [--threads N]
//
// Port 0: any; the first line of the output names it. Threads 0: as many as there are processors.
// Thread rule: one task per connection, on any worker; main() waits for signals.
#include "support/accept_all.hpp"
#include "support/arguments.hpp"

#include <blitzio/blitzio.hpp>

#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <span>
#include <utility>

#include <unistd.h>

namespace bz = blitzio;

namespace
{

bz::task<bz::result<void>> serve(bz::net::tcp_stream stream)
{
    std::array<std::byte, 16 * 1024> buffer;
    for (;;)
    {
        const std::size_t received = co_await bz::try_(stream.read_some(buffer));
        if (received == 0)
        {
            co_return {};
        }
        co_await bz::try_(stream.write_all(std::span(buffer).first(received)));
    }
}

/// Ends when it is stopped, or when the listener fails; main() hears of the latter by a signal.
bz::task<bz::result<void>> serve_all(bz::net::tcp_listener listener)
{
    auto ended = co_await example::accept_all(listener, serve);
    if (!ended && ended.error() == std::errc::operation_canceled)
    {
        co_return {};
    }
    ::kill(::getpid(), SIGTERM);
    co_return ended;
}

/// The signals that end the program, delivered to nobody but whoever waits for them.
sigset_t block_signals()
{
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    // Threads inherit the mask, so this comes before the runtime starts its own.
    pthread_sigmask(SIG_BLOCK, &ending, nullptr);
    return ending;
}

} // namespace

int main(int argc, char** argv)
{
    const example::arguments given(argc, argv, {"--port", "--threads"});
    const auto port = static_cast<std::uint16_t>(given.number("--port", 0, 65535));
    const unsigned threads = given.number("--threads", 0, 256);
    const sigset_t ending = block_signals();
    auto runtime = bz::runtime::create({.io_threads = threads, .name = "echo"});
    if (!runtime)
    {
        std::fprintf(stderr, "echo_server: %s\n", runtime.error().message.c_str());
        return 2;
    }
    const bz::net::endpoint where{bz::net::ipv4::loopback(), port};
    auto listener = runtime->block_on(bz::net::tcp_listener::bind(where));
    if (!listener)
    {
        std::fprintf(stderr, "%s\n", bz::describe(listener.error(), to_string(where)).c_str());
        return 1;
    }
    std::printf("listening on %s\n", to_string(*listener->local_endpoint()).c_str());
    std::fflush(stdout);

    auto server = runtime->spawn(serve_all(*std::move(listener)));
    int received = 0;
    sigwait(&ending, &received);
    server.request_stop();
    return example::exit_code(runtime->block_on(std::move(server)), "echo_server");
}
