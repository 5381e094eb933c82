// Counts the lines of access logs that many senders send over TCP: received by tasks, parsed and
// added up on the compute pool, with a summary now and then and an exact one at the end. A pool that
// is behind makes the senders wait.
//
//     log_analytics --port P [--any-address] [--threads N] [--interval MS] [--top K]
//                   [--max-line B] [--exit-after-idle MS] [--once]
//
// The first line of the output names the port. Exit code: 0 after SIGINT, SIGTERM, or what --once
// and --exit-after-idle say; 1 when something failed; 2 for a wrong command line.
// Thread rule: main() waits for signals; see support/log_analytics for the parts.
#include "support/arguments.hpp"
#include "support/log_analytics/aggregator.hpp"
#include "support/log_analytics/options.hpp"
#include "support/log_analytics/receiver.hpp"
#include "support/log_analytics/report.hpp"

#include <blitzio/blitzio.hpp>
#include <blitzio/bridge/par_map.hpp>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include <unistd.h>

namespace bz = blitzio;
using namespace log_analytics;

namespace
{

class service
{
public:
    service(const options& wanted, bz::compute::pool& pool)
        : options_(wanted), pool_(pool), sums_(pool.threads() + 1, wanted.line_bytes_max),
          receiver_(wanted, sums_)
    {
    }

    /// Until the receiver ends, or `stopped` asks for it; then everything received is counted and
    /// told. main() hears of it by a signal.
    [[nodiscard]] bz::task<bz::result<void>> run(bz::net::tcp_listener listener,
                                                 bz::sync::event& stopped);

private:
    [[nodiscard]] bz::task<bz::result<void>> receive(bz::net::tcp_listener& listener,
                                                     receiver::blocks out,
                                                     bz::sync::event& stopped);
    [[nodiscard]] bz::task<bz::result<void>> count(bz::sync::channel_receiver<block> blocks);
    [[nodiscard]] bz::task<bz::result<void>> tell_now_and_then();
    [[nodiscard]] bz::task<bz::result<void>> tell(const char* title);

    options options_;
    bz::compute::pool& pool_;
    aggregator sums_;
    receiver receiver_;
    std::size_t complaints_told_ = 0;
    std::chrono::steady_clock::time_point begun_ = std::chrono::steady_clock::now();
};

bz::task<bz::result<void>> service::run(bz::net::tcp_listener listener, bz::sync::event& stopped)
{
    auto [out, blocks] = bz::sync::channel<block>(2 * pool_.threads() + 2);
    // Counting ends when the receiver has dropped its end of the channel and that is empty.
    auto both = bz::when_all(receive(listener, std::move(out), stopped), count(std::move(blocks)));
    auto first = co_await bz::race(std::move(both), tell_now_and_then());
    if (first.index() == 1)
    {
        co_return std::get<1>(first); // nobody takes the summaries
    }
    auto [received, counted] = std::get<0>(std::move(first));
    for (const block& each : receiver_.left_over())
    {
        sums_.add(each);
    }
    co_await bz::try_(tell("final"));
    co_await bz::try_(std::move(received));
    co_return counted;
}

bz::task<bz::result<void>> service::receive(bz::net::tcp_listener& listener, receiver::blocks out,
                                            bz::sync::event& stopped)
{
    auto first = co_await bz::race(receiver_.run(listener, std::move(out)), stopped.wait());
    co_return first.index() == 0 ? std::get<0>(first) : bz::result<void>();
}

bz::task<bz::result<void>> service::count(bz::sync::channel_receiver<block> blocks)
{
    namespace streams = bz::streams;
    streams::par_options bounds;
    bounds.ordered = false; // sums do not care
    const auto add = [this](block lines) {
        sums_.add(lines);
        return lines.length;
    };
    const auto drop = [](std::size_t) {};
    co_return co_await (streams::repeat([&] { return blocks.receive(); }) |
                        streams::par_map(pool_, add, bounds) | streams::for_each(drop));
}

bz::task<bz::result<void>> service::tell_now_and_then()
{
    if (options_.interval.count() == 0)
    {
        bz::sync::event never;
        co_return co_await never.wait();
    }
    for (;;)
    {
        co_await bz::try_(bz::sleep_for(options_.interval));
        co_await bz::try_(tell("live"));
    }
}

bz::task<bz::result<void>> service::tell(const char* title)
{
    // Adding up many paths takes time, and so may the terminal.
    co_return co_await bz::spawn_blocking([this, title]() -> bz::result<void> {
        const summary& sum = sums_.collect();
        for (; complaints_told_ < sum.complaints.size(); ++complaints_told_)
        {
            std::fprintf(stderr, "log_analytics: malformed line of %s\n",
                         sum.complaints[complaints_told_].c_str());
        }
        const std::chrono::duration<double> since = std::chrono::steady_clock::now() - begun_;
        const circumstances about{since.count(), receiver_.senders(), receiver_.connected(),
                                  receiver_.unfinished()};
        const std::string text = to_text(title, sum, about, options_.top);
        if (std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0)
        {
            return bz::fail(std::make_error_code(std::errc::io_error));
        }
        return {};
    });
}

/// The signals that end the program, delivered to nobody but whoever waits for them.
sigset_t block_signals()
{
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    // Threads inherit the mask, so this comes before the first one.
    pthread_sigmask(SIG_BLOCK, &ending, nullptr);
    return ending;
}

int serve(const options& wanted)
{
    const sigset_t ending = block_signals();
    bz::compute::pool pool({.threads = wanted.threads, .name = "parse"});
    bz::runtime runtime({.io_threads = pool.threads(), .name = "receive"});
    const auto address = wanted.any_address ? bz::net::ipv4::any() : bz::net::ipv4::loopback();
    const bz::net::endpoint where{address, wanted.port};
    auto listener = runtime.block_on(bz::net::tcp_listener::bind(where));
    if (!listener)
    {
        std::fprintf(stderr, "%s\n", bz::describe(listener.error(), to_string(where)).c_str());
        return 1;
    }
    std::printf("listening on %s\n", to_string(*listener->local_endpoint()).c_str());
    std::fflush(stdout);

    service work(wanted, pool);
    bz::sync::event stopped;
    const auto run = [&work, &stopped](bz::net::tcp_listener from) -> bz::task<bz::result<void>> {
        const auto ended = co_await work.run(std::move(from), stopped);
        ::kill(::getpid(), SIGTERM);
        co_return ended;
    };
    auto running = runtime.spawn(run(*std::move(listener)));
    int received = 0;
    sigwait(&ending, &received);
    stopped.set();
    return example::exit_code(runtime.block_on(std::move(running)), "log_analytics");
}

} // namespace

int main(int argc, char** argv)
{
    const auto wanted = parse(argc, argv);
    try
    {
        return serve(wanted);
    }
    catch (const std::exception& error)
    {
        std::fprintf(stderr, "log_analytics: %s\n", error.what());
        return 1;
    }
}
