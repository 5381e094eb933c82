// A stop request at every suspension point: a program of everything that can be awaited is stopped
// after k steps of the simulated scheduler, for every k until it ends by itself. Each time all of
// it must end, with nothing left behind. Thread rule: the test's thread.
#include "support/allocation_counter.hpp"
#include "support/raw_operations.hpp"
#include "support/runtimes.hpp"

#include "driver/sim/sim_backend.hpp"
#include "runtime_core.hpp"

#include <blitzio/io.hpp>
#include <blitzio/io/detail/frame_pool.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;
using blitzio::result;
using blitzio::task;
using blitzio::try_;
using blitzio::detail::descriptor;
using blitzio::detail::op_kind;
using blitzio::test::raw_opening;
using blitzio::test::raw_step;
using blitzio::test::raw_transfer;
namespace open_flags = blitzio::detail::open_flags;

namespace
{

/// What the parts of the program have begun and not yet ended.
struct presence
{
    static inline int alive = 0;

    presence()
    {
        ++alive;
    }
    presence(const presence&) = delete;
    presence& operator=(const presence&) = delete;
    ~presence()
    {
        --alive;
    }
};

task<result<int>> after(std::chrono::milliseconds delay, int value)
{
    const presence here;
    co_await try_(blitzio::sleep_for(delay));
    co_return value;
}

task<result<void>> send_all(int fd, std::string data)
{
    const presence here;
    for (std::size_t done = 0; done < data.size();)
    {
        done +=
            co_await try_(raw_transfer(op_kind::send, fd, data.data() + done, data.size() - done));
    }
    co_return {};
}

task<result<std::string>> receive_all(int fd, std::size_t length)
{
    const presence here;
    std::string all(length, '\0');
    for (std::size_t done = 0; done < length;)
    {
        const std::size_t count =
            co_await try_(raw_transfer(op_kind::recv, fd, all.data() + done, length - done));
        if (count == 0)
        {
            co_return blitzio::fail(std::errc::connection_aborted);
        }
        done += count;
    }
    co_return all;
}

struct socket_ends
{
    descriptor first;
    descriptor second;
};

task<result<socket_ends>> make_pair()
{
    auto& os = blitzio::detail::system_of(*(co_await blitzio::this_task::env())->runtime);
    int fds[2];
    if (const int made = os.socket_pair(fds); made < 0)
    {
        co_return blitzio::fail(blitzio::detail::error_from_kernel(made));
    }
    co_return socket_ends{descriptor(os, fds[0]), descriptor(os, fds[1])};
}

/// Bytes both ways at once, under a deadline that leaves time.
task<result<int>> exchange()
{
    const presence here;
    const socket_ends ends = co_await try_(make_pair());
    auto [sent, received] =
        co_await blitzio::when_all(send_all(ends.first.get(), std::string(300, 'e')),
                                   blitzio::timeout(10s, receive_all(ends.second.get(), 300)));
    co_await try_(std::move(sent));
    const std::string text = co_await try_(std::move(received));
    co_return static_cast<int>(std::ranges::count(text, 'e'));
}

/// A wait that a deadline ends, and a race that a timer wins.
task<result<int>> deadlines()
{
    const presence here;
    const socket_ends ends = co_await try_(make_pair());
    char byte = 0;
    auto late =
        co_await blitzio::timeout(2ms, raw_transfer(op_kind::recv, ends.first.get(), &byte, 1));
    if (late || late.error() != std::errc::timed_out)
    {
        co_return late ? blitzio::fail(std::errc::protocol_error) : blitzio::fail(late.error());
    }
    auto decided = co_await blitzio::race(raw_transfer(op_kind::recv, ends.first.get(), &byte, 1),
                                          after(1ms, 7));
    if (decided.index() != 1)
    {
        const auto& received = std::get<0>(decided);
        co_return received ? blitzio::fail(std::errc::protocol_error)
                           : blitzio::fail(received.error());
    }
    const int value = co_await try_(std::move(std::get<1>(decided)));
    auto best = co_await try_(blitzio::race_ok(after(3ms, 5), after(1ms, 6)));
    co_return value + best.value;
}

/// Files: opened, written, read, closed.
task<result<int>> files()
{
    const presence here;
    const descriptor file = co_await try_(
        raw_opening("/scratch", open_flags::read | open_flags::write | open_flags::create));
    std::array<char, 4> data{'d', 'a', 't', 'a'};
    std::size_t written = 0;
    while (written < data.size())
    {
        written += co_await try_(raw_transfer(op_kind::write_at, file.get(), data.data() + written,
                                              data.size() - written, written));
    }
    data = {};
    std::size_t read = 0;
    while (read < data.size())
    {
        read += co_await try_(raw_transfer(op_kind::read_at, file.get(), data.data() + read,
                                           data.size() - read, read));
    }
    co_return data == std::array<char, 4>{'d', 'a', 't', 'a'} ? 4 : -1000;
}

/// A listener that accepts what the other half connects.
task<result<int>> connections()
{
    const presence here;
    auto& os = blitzio::detail::system_of(*(co_await blitzio::this_task::env())->runtime);
    const auto socket = [&os] {
        return descriptor(os, os.open_socket(blitzio::detail::socket_family::ipv4,
                                             blitzio::detail::socket_type::stream));
    };
    const descriptor listening = socket();
    const descriptor client = socket();
    // An address of zeros, but for the family and loopback, which stand at fixed places.
    blitzio::detail::socket_address address;
    address.storage[0] = std::byte{2};
    address.storage[4] = std::byte{127};
    address.storage[7] = std::byte{1};
    address.size = 16;
    if (os.bind(listening.get(), address) != 0 || os.listen(listening.get(), 4) != 0 ||
        os.local_address(listening.get(), address) != 0)
    {
        co_return blitzio::fail(std::errc::address_not_available);
    }
    auto [connected, accepted] =
        co_await blitzio::when_all(raw_step(client.get(), address), raw_opening(listening.get()));
    co_await try_(std::move(connected));
    const descriptor server = co_await try_(std::move(accepted));
    char out = 'c';
    co_await try_(raw_transfer(op_kind::send, client.get(), &out, 1));
    char in = 0;
    co_await try_(raw_transfer(op_kind::recv, server.get(), &in, 1));
    co_return in == 'c' ? 1 : -1000;
}

/// Tasks of their own: spawned and joined, in a scope, on the blocking pool.
task<result<int>> tasks()
{
    const presence here;
    auto& core = *(co_await blitzio::this_task::env())->runtime;
    auto joined = blitzio::detail::spawn_on(
        core, [] { return after(1ms, 10); }, {}, std::source_location::current());
    int in_scope = 0;
    co_await try_(blitzio::scope([&in_scope](blitzio::task_group& group) -> task<result<void>> {
        for (int index = 0; index < 3; ++index)
        {
            group.spawn([&in_scope, index]() -> task<result<void>> {
                const presence inside;
                co_await blitzio::yield();
                in_scope += co_await try_(after(std::chrono::milliseconds(index), 1));
                co_return {};
            });
        }
        co_await try_(raw_step());
        co_return {};
    }));
    const int blocking = co_await try_(blitzio::spawn_blocking([] { return 20; }));
    const int other = co_await try_(co_await std::move(joined));
    co_return in_scope + blocking + other;
}

/// Ticks, of which one is missed, and a sleep that is awake at its end.
task<result<int>> ticks()
{
    const presence here;
    blitzio::interval every(2ms, blitzio::missed_ticks::skip);
    int seen = 0;
    for (int round = 0; round < 4; ++round)
    {
        const auto due = co_await try_(every.tick());
        seen += due.time_since_epoch().count() > 0 ? 1 : 0;
        if (round == 1)
        {
            co_await try_(blitzio::sleep_for(5ms));
        }
    }
    co_await try_(blitzio::precise_sleep(1500us));
    co_await try_(blitzio::precise_sleep(20us));
    co_return seen;
}

constexpr int expected_total = 300 + 7 + 6 + 4 + 1 + 3 + 20 + 10 + 4;

task<result<int>> program()
{
    const presence here;
    auto [first, second, third] = co_await blitzio::when_all(exchange(), deadlines(), files());
    int total = co_await try_(std::move(first));
    total += co_await try_(std::move(second));
    total += co_await try_(std::move(third));
    total += co_await try_(connections());
    total += co_await try_(ticks());
    total += co_await try_(tasks());
    co_return total;
}

blitzio::runtime make_simulation(std::uint64_t seed)
{
    return blitzio::runtime({.io_threads = static_cast<unsigned>(1 + seed % 3),
                             .backend = blitzio::backend_choice::sim,
                             .simulation = {.seed = seed}});
}

/// Seeds vary the order of what the simulation does. One thread runs all of it, which a sanitizer
/// slows down twenty times and more, and a build without optimisation ten times: there, fewer of
/// them reach every step, too.
#if defined(BLITZIO_TEST_SANITIZED) || !defined(__OPTIMIZE__)
constexpr std::uint64_t seeds = 3;
#else
constexpr std::uint64_t seeds = 20;
#endif

/// Runs up to `steps` steps; false: the program has ended before.
bool run_steps(blitzio::runtime& runtime, std::uint64_t steps)
{
    std::uint64_t taken = 0;
    bool ended = false;
    runtime.core().simulate_until([&] {
        ended = runtime.core().live_task_count() == 0;
        return ended || taken++ == steps;
    });
    return !ended;
}

void check_nothing_left(blitzio::runtime& runtime, std::int64_t frames_before)
{
    const auto metrics = runtime.metrics();
    CHECK(metrics.live_tasks == 0);
    CHECK(metrics.live_frames == frames_before);
    CHECK(metrics.operations_in_flight == 0);
    CHECK(metrics.timers_armed == 0);
    CHECK(runtime.core().simulation().world().open_descriptors() == 0);
    CHECK(runtime.core().simulation().world().statistics().violations == 0);
    CHECK(presence::alive == 0);
}

/// True: the program ended before `steps` were taken.
bool stop_after(std::uint64_t seed, std::uint64_t steps)
{
    const std::int64_t frames_before = blitzio::detail::live_frames();
    auto runtime = make_simulation(seed);
    auto handle = runtime.spawn(program());
    const bool stopped = run_steps(runtime, steps);
    if (stopped)
    {
        handle.request_stop();
    }
    const auto outcome = runtime.block_on(std::move(handle));
    // The request may come too late for anything to notice: success beats cancel.
    if (outcome || !stopped)
    {
        CHECK(outcome == expected_total);
    }
    else
    {
        CHECK(outcome.error() == std::errc::operation_canceled);
    }
    runtime.run();
    check_nothing_left(runtime, frames_before);
    return !stopped;
}

} // namespace

TEST_CASE("a program is stopped after every number of steps and leaves nothing", "[stop][sim]")
{
    for (std::uint64_t seed = 1; seed <= 2 * seeds; ++seed)
    {
        std::uint64_t steps = 0;
        for (bool ended = false; !ended; ++steps)
        {
            INFO("seed " << seed << ", stopped after " << steps << " steps");
            ended = stop_after(seed, steps);
            REQUIRE(steps < 100'000);
        }
        CHECK(steps > 50);
    }
}

TEST_CASE("a runtime that goes away after every number of steps leaves nothing", "[stop][sim]")
{
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        bool ended = false;
        for (std::uint64_t steps = 0; !ended; ++steps)
        {
            INFO("seed " << seed << ", ended after " << steps << " steps");
            const std::int64_t frames_before = blitzio::detail::live_frames();
            {
                auto runtime = make_simulation(seed);
                static_cast<void>(runtime.spawn(program()));
                ended = !run_steps(runtime, steps);
            }
            CHECK(blitzio::detail::live_frames() == frames_before);
            CHECK(presence::alive == 0);
            REQUIRE(steps < 100'000);
        }
    }
}

TEST_CASE("a program that is stopped at a point is stopped there again", "[stop][sim]")
{
    const auto trace = [](std::uint64_t steps) {
        auto runtime = make_simulation(5);
        auto handle = runtime.spawn(program());
        static_cast<void>(run_steps(runtime, steps));
        handle.request_stop();
        static_cast<void>(runtime.block_on(std::move(handle)));
        runtime.run();
        return runtime.simulation_trace_hash();
    };
    for (std::uint64_t steps = 0; steps < 200; steps += 7)
    {
        CHECK(trace(steps) == trace(steps));
    }
}
