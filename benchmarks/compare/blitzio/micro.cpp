// The compute hand-off of blitzio, twin of peers/tokio/src/bin/micro.rs and peers/go/micro: one
// JSON line each. Every benchmark body is a task on a worker; the main thread only waits for it.
#include "support.hpp"

#include <blitzio/bridge.hpp>
#include <blitzio/io.hpp>

#include <cstdint>
#include <utility>
#include <vector>

namespace bz = blitzio;
using compare::require;

namespace
{

constexpr std::uint64_t tasks_in_flight = 64;

struct fixture
{
    bz::runtime runtime;
    bz::compute::pool pool;
};

bz::task<void> compute_round_trips(fixture& f, std::uint64_t count)
{
    for (std::uint64_t index = 0; index < count; ++index)
    {
        auto answer =
            co_await bz::compute_on(f.pool, [index] { return compare::increment(index); });
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

bz::task<void> blocking_round_trips(fixture&, std::uint64_t count)
{
    for (std::uint64_t index = 0; index < count; ++index)
    {
        auto answer = co_await bz::spawn_blocking([index] { return compare::increment(index); });
        require(answer && *answer == index + 1, "wrong answer from spawn_blocking");
    }
}

using body = bz::task<void> (*)(fixture&, std::uint64_t);

void measure(const compare::options& opts, fixture& f, const char* name, body run)
{
    if (opts.wants(name))
    {
        compare::measure(opts, name, tasks_in_flight,
                         [&](std::uint64_t count) { f.runtime.block_on(run(f, count)); });
    }
}

} // namespace

int main(int argc, char** argv)
{
    const auto opts = compare::parse_options(argc, argv);
    fixture f{.runtime = bz::runtime({.io_threads = opts.threads}),
              .pool = bz::compute::pool({.threads = opts.compute})};
    measure(opts, f, "compute_round_trip", compute_round_trips);
    measure(opts, f, "compute_round_trip_64", compute_round_trips_in_flight);
    measure(opts, f, "spawn_blocking_round_trip", blocking_round_trips);
    return 0;
}
