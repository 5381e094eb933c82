// Micro benchmarks of blitzio, twins of peers/tokio/src/bin/micro.rs and peers/go/micro: one JSON
// line each. Every benchmark body is a task on a worker; the main thread only waits for it.
#include <blitzio/bridge.hpp>
#include <blitzio/io.hpp>
#include <blitzio/sync.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

namespace bz = blitzio;

namespace
{

constexpr std::uint64_t tasks_in_flight = 64;

struct options
{
    unsigned threads = 1;
    unsigned compute = 1;
    double seconds = 0.3;
    std::string only;
};

void require(bool condition, const char* what)
{
    if (!condition)
    {
        std::fprintf(stderr, "blitzio_micro: %s\n", what);
        std::exit(1);
    }
}

double cpu_ns()
{
    std::timespec value{};
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &value);
    return static_cast<double>(value.tv_sec) * 1e9 + static_cast<double>(value.tv_nsec);
}

// The compiler must not see through the work that is handed off, as the peers' must not.
[[gnu::noinline]] std::uint64_t increment(std::uint64_t value)
{
    asm volatile("" : "+r"(value));
    return value + 1;
}

struct fixture
{
    bz::runtime runtime;
    bz::compute::pool pool;
};

bz::task<void> compute_round_trips(fixture& f, std::uint64_t count)
{
    for (std::uint64_t index = 0; index < count; ++index)
    {
        auto answer = co_await bz::compute_on(f.pool, [index] { return increment(index); });
        require(answer && *answer == index + 1, "wrong answer from compute_on");
    }
}

bz::task<void> compute_round_trips_in_flight(fixture& f, std::uint64_t count)
{
    std::vector<bz::join_handle<void>> tasks;
    tasks.reserve(tasks_in_flight);
    for (std::uint64_t index = 0; index < tasks_in_flight; ++index)
    {
        tasks.push_back(f.runtime.spawn(compute_round_trips(f, count / tasks_in_flight)));
    }
    for (auto& task : tasks)
    {
        co_await std::move(task);
    }
}

bz::task<std::uint64_t> incremented(std::uint64_t value)
{
    co_return increment(value);
}

bz::task<void> spawn_join(fixture& f, std::uint64_t count)
{
    for (std::uint64_t index = 0; index < count; ++index)
    {
        const std::uint64_t answer = co_await f.runtime.spawn(incremented(index));
        require(answer == index + 1, "wrong answer from a spawned task");
    }
}

bz::task<void> echo_values(bz::sync::channel_receiver<std::uint64_t> in,
                           bz::sync::channel_sender<std::uint64_t> out)
{
    for (;;)
    {
        auto value = co_await in.receive();
        if (!value)
        {
            co_return;
        }
        auto sent = co_await out.send(*value + 1);
        require(sent.has_value(), "the way back is closed");
    }
}

bz::task<void> channel_ping_pong(fixture& f, std::uint64_t count)
{
    auto [to_echo, from_main] = bz::sync::channel<std::uint64_t>(1);
    auto [to_main, from_echo] = bz::sync::channel<std::uint64_t>(1);
    auto echo = f.runtime.spawn(echo_values(std::move(from_main), std::move(to_main)));
    for (std::uint64_t index = 0; index < count; ++index)
    {
        auto sent = co_await to_echo.send(index);
        require(sent.has_value(), "the way there is closed");
        auto value = co_await from_echo.receive();
        require(value && *value == index + 1, "wrong value from the channel");
    }
    to_echo.close();
    co_await std::move(echo);
}

using body = bz::task<void> (*)(fixture&, std::uint64_t);

// Runs the body with growing counts until it lasts long enough, then prints the cost of the last
// run.
void measure(const options& opts, fixture& f, const char* name, body run)
{
    if (!opts.only.empty() && opts.only != name)
    {
        return;
    }
    std::uint64_t iterations = 1024;
    for (;;)
    {
        const double cpu_begin = cpu_ns();
        const auto begin = std::chrono::steady_clock::now();
        f.runtime.block_on(run(f, iterations));
        const std::chrono::duration<double, std::nano> elapsed =
            std::chrono::steady_clock::now() - begin;
        const double cpu = cpu_ns() - cpu_begin;
        const auto count = static_cast<double>(iterations);
        if (elapsed.count() >= opts.seconds * 1e9)
        {
            std::printf("{\"name\": \"%s\", \"ns_per_op\": %.1f, \"cpu_ns_per_op\": %.1f}\n", name,
                        elapsed.count() / count, cpu / count);
            std::fflush(stdout);
            return;
        }
        const double growth =
            std::clamp(opts.seconds * 1.2e9 / std::max(elapsed.count(), 1e3), 1.2, 20.0);
        iterations = static_cast<std::uint64_t>(count * growth) / tasks_in_flight * tasks_in_flight;
    }
}

options parse_options(int argc, char** argv)
{
    options opts;
    for (int index = 1; index < argc; index += 2)
    {
        const std::string name = argv[index];
        require(index + 1 < argc, "an option lacks its value");
        const char* const value = argv[index + 1];
        if (name == "--threads")
        {
            opts.threads = static_cast<unsigned>(std::max(1, std::atoi(value)));
        }
        else if (name == "--compute")
        {
            opts.compute = static_cast<unsigned>(std::max(1, std::atoi(value)));
        }
        else if (name == "--seconds")
        {
            opts.seconds = std::atof(value);
        }
        else if (name == "--only")
        {
            opts.only = value;
        }
        else
        {
            require(name == "--port", "unknown option");
        }
    }
    return opts;
}

} // namespace

int main(int argc, char** argv)
{
    const options opts = parse_options(argc, argv);
    fixture f{.runtime = bz::runtime({.io_threads = opts.threads}),
              .pool = bz::compute::pool({.threads = opts.compute})};
    measure(opts, f, "compute_round_trip", compute_round_trips);
    measure(opts, f, "compute_round_trip_64", compute_round_trips_in_flight);
    measure(opts, f, "spawn_join", spawn_join);
    measure(opts, f, "channel_ping_pong", channel_ping_pong);
    return 0;
}
