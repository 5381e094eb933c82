// What a runtime costs while its tasks wait, while it is idle, and when it begins and ends.
#include "core.hpp"

#include <blitzio/net.hpp>
#include <blitzio/sync.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <fstream>
#include <thread>
#include <utility>
#include <vector>

namespace bz = blitzio;

namespace compare
{

namespace
{

using namespace std::chrono_literals;

constexpr std::uint64_t parked_tasks = 1'000'000;
constexpr std::uint64_t idle_tasks = 1'000;
constexpr std::uint64_t live_operations = 10'000;
constexpr std::uint64_t connections = 200;

double resident_bytes()
{
    std::ifstream status("/proc/self/statm");
    double pages = 0;
    status >> pages >> pages;
    return pages * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

bz::task<void> park(bz::sync::event& awaited, std::atomic<std::uint64_t>& begun)
{
    begun.fetch_add(1, std::memory_order_relaxed);
    auto woken = co_await awaited.wait();
    require(woken.has_value(), "a parked task was cancelled");
}

bz::task<void> park_all(bz::runtime& runtime, bz::sync::event& awaited, std::uint64_t count)
{
    std::atomic<std::uint64_t> begun{0};
    for (std::uint64_t index = 0; index < count; ++index)
    {
        static_cast<void>(runtime.spawn(park(awaited, begun)));
        if (index % 64 == 0)
        {
            co_await bz::yield(); // the queue of those that have not begun stays short
        }
    }
    while (begun.load(std::memory_order_relaxed) != count)
    {
        co_await bz::yield();
    }
}

bz::task<void> sleep_long(std::atomic<std::uint64_t>& begun, std::atomic<std::uint64_t>& ended)
{
    begun.fetch_add(1, std::memory_order_relaxed);
    auto slept = co_await bz::sleep_for(1h);
    require(!slept.has_value(), "a sleep of an hour has ended");
    ended.fetch_add(1, std::memory_order_relaxed);
}

bz::task<void> read_nothing(bz::net::tcp_stream stream, std::atomic<std::uint64_t>& begun,
                            std::atomic<std::uint64_t>& ended)
{
    std::array<std::byte, 64> buffer{};
    begun.fetch_add(1, std::memory_order_relaxed);
    static_cast<void>(co_await stream.read_some(buffer));
    ended.fetch_add(1, std::memory_order_relaxed);
}

bz::task<void> load(bz::runtime& runtime, std::atomic<std::uint64_t>& begun,
                    std::atomic<std::uint64_t>& ended)
{
    const bz::net::endpoint any_port{bz::net::ipv4::loopback(), 0};
    auto listener = co_await bz::net::tcp_listener::bind(any_port);
    require(listener.has_value(), "bind failed");
    auto where = listener->local_endpoint();
    require(where.has_value(), "no local endpoint");
    for (std::uint64_t index = 0; index < connections; ++index)
    {
        auto here = co_await bz::net::tcp_stream::connect(*where);
        auto there = co_await listener->accept();
        require(here.has_value() && there.has_value(), "connecting failed");
        static_cast<void>(runtime.spawn(read_nothing(std::move(*here), begun, ended)));
        static_cast<void>(runtime.spawn(read_nothing(std::move(*there), begun, ended)));
    }
    for (std::uint64_t index = 2 * connections; index < live_operations; ++index)
    {
        static_cast<void>(runtime.spawn(sleep_long(begun, ended)));
    }
    while (begun.load(std::memory_order_relaxed) != live_operations)
    {
        co_await bz::yield();
    }
    static_cast<void>(co_await bz::sleep_for(10ms)); // the last of them wait by now
}

bz::task<void> busy_until_stopped(std::atomic<std::uint32_t>& begun)
{
    static_cast<void>(co_await bz::spawn_blocking([] { return 1; }));
    begun.store(1, std::memory_order_release);
    begun.notify_one();
    while (!(co_await bz::this_task::stop()).stop_requested())
    {
        co_await bz::yield();
    }
}

void start_and_stop(unsigned threads)
{
    std::atomic<std::uint64_t> begun_sleeps{0};
    std::atomic<std::uint64_t> ended_sleeps{0};
    std::atomic<std::uint32_t> begun{0};
    constexpr std::uint64_t sleeps = 30;
    bz::runtime runtime({.io_threads = threads});
    for (std::uint64_t index = 0; index < sleeps; ++index)
    {
        static_cast<void>(runtime.spawn(sleep_long(begun_sleeps, ended_sleeps)));
    }
    static_cast<void>(runtime.spawn(busy_until_stopped(begun)));
    begun.wait(0, std::memory_order_acquire);
    require(runtime.shutdown(10s).complete, "the runtime did not stop");
    require(ended_sleeps == begun_sleeps, "a sleep was lost");
}

} // namespace

void run_parked(const options& opts, const char* name)
{
    bz::runtime runtime({.io_threads = opts.threads});
    bz::sync::event awaited;
    bz::sync::event warm_up(true);
    runtime.block_on(park_all(runtime, warm_up, 1'000));
    const double before = resident_bytes();
    const cost spent = cost_of([&] { runtime.block_on(park_all(runtime, awaited, parked_tasks)); });
    const auto tasks = static_cast<double>(parked_tasks);
    const double bytes = (resident_bytes() - before) / tasks;
    awaited.set();
    runtime.run();
    // What the coroutine itself holds: the operation that it awaits and its two references.
    const auto locals = static_cast<double>(sizeof(awaited.wait()) + 2 * sizeof(void*));
    print_line(name, {{"bytes", bytes},
                      {"locals_bytes", locals},
                      {"beyond_locals_bytes", bytes - locals},
                      {"ns_per_task", spent.wall_ns / tasks}});
}

void run_idle(const options& opts, const char* name)
{
    bz::runtime runtime({.io_threads = opts.threads});
    bz::sync::event awaited;
    std::atomic<std::uint64_t> begun{0};
    std::atomic<std::uint64_t> ended{0};
    runtime.block_on(park_all(runtime, awaited, idle_tasks));
    auto sleeping = runtime.spawn(sleep_long(begun, ended));
    std::this_thread::sleep_for(500ms);
    rusage first{};
    rusage last{};
    ::getrusage(RUSAGE_SELF, &first);
    const cost spent =
        cost_of([&] { std::this_thread::sleep_for(std::chrono::duration<double>(opts.seconds)); });
    ::getrusage(RUSAGE_SELF, &last);
    // One voluntary switch is the measuring thread's own sleep.
    print_line(name, {{"cpu_percent", 100 * spent.cpu_ns / spent.wall_ns},
                      {"voluntary", static_cast<double>(last.ru_nvcsw - first.ru_nvcsw)},
                      {"involuntary", static_cast<double>(last.ru_nivcsw - first.ru_nivcsw)},
                      {"seconds", spent.wall_ns * 1e-9}});
    awaited.set();
    require(runtime.shutdown(10s).complete, "the runtime did not stop");
}

void run_shutdown(const options& opts, const char* name)
{
    std::atomic<std::uint64_t> begun{0};
    std::atomic<std::uint64_t> ended{0};
    bz::runtime runtime({.io_threads = opts.threads});
    runtime.block_on(load(runtime, begun, ended));
    require(ended == 0, "an operation ended before the shutdown");
    bool complete = false;
    const cost spent = cost_of([&] { complete = runtime.shutdown(30s).complete; });
    require(complete && ended == live_operations, "the shutdown left operations behind");
    print_line(name, {{"ms", spent.wall_ns * 1e-6}, {"cpu_ms", spent.cpu_ns * 1e-6}});
}

void run_start_stop(const options& opts, const char* name)
{
    constexpr std::size_t cycles_min = 20;
    constexpr std::size_t cycles_max = 500;
    std::vector<double> took;
    double total = 0;
    while (took.size() < cycles_min || (total < opts.seconds * 3e9 && took.size() < cycles_max))
    {
        took.push_back(cost_of([&] { start_and_stop(opts.threads); }).wall_ns);
        total += took.back();
    }
    std::ranges::sort(took);
    print_line(name, {{"ms", took[took.size() / 2] * 1e-6},
                      {"worst_ms", took.back() * 1e-6},
                      {"cycles", static_cast<double>(took.size())}});
}

} // namespace compare
