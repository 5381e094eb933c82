// What a task costs while it waits.
#include "core.hpp"

#include <tmc/aw_yield.hpp>
#include <tmc/manual_reset_event.hpp>
#include <tmc/spawn.hpp>
#include <tmc/sync.hpp>

#include <unistd.h>

#include <atomic>
#include <fstream>

namespace compare
{

namespace
{

constexpr std::uint64_t parked_tasks = 1'000'000;

double resident_bytes()
{
    std::ifstream status("/proc/self/statm");
    double pages = 0;
    status >> pages >> pages;
    return pages * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

/// `waiting` counts those that have begun and not ended.
tmc::task<void> park(tmc::manual_reset_event& awaited, std::atomic<std::uint64_t>& waiting)
{
    waiting.fetch_add(1, std::memory_order_relaxed);
    co_await awaited;
    waiting.fetch_sub(1, std::memory_order_relaxed);
}

tmc::task<void> become(std::atomic<std::uint64_t>& waiting, std::uint64_t count)
{
    while (waiting.load(std::memory_order_relaxed) != count)
    {
        co_await tmc::reschedule();
    }
}

tmc::task<void> park_all(tmc::manual_reset_event& awaited, std::atomic<std::uint64_t>& waiting,
                         std::uint64_t count)
{
    for (std::uint64_t index = 0; index < count; ++index)
    {
        tmc::spawn(park(awaited, waiting)).detach();
        if (index % 64 == 0)
        {
            co_await tmc::reschedule(); // the queue of those that have not begun stays short
        }
    }
    co_await become(waiting, count);
}

tmc::task<void> release_all(tmc::manual_reset_event& awaited, std::atomic<std::uint64_t>& waiting)
{
    awaited.set();
    co_await become(waiting, 0);
}

template <class Executor>
void run(Executor& executor, const char* name)
{
    tmc::manual_reset_event warm_up;
    tmc::manual_reset_event awaited;
    std::atomic<std::uint64_t> waiting{0};
    tmc::post_waitable(executor, park_all(warm_up, waiting, 1'000)).get();
    tmc::post_waitable(executor, release_all(warm_up, waiting)).get();
    const double before = resident_bytes();
    const cost spent = cost_of(
        [&] { tmc::post_waitable(executor, park_all(awaited, waiting, parked_tasks)).get(); });
    const auto tasks = static_cast<double>(parked_tasks);
    const double bytes = (resident_bytes() - before) / tasks;
    tmc::post_waitable(executor, release_all(awaited, waiting)).get();
    // What the coroutine itself holds: the operation that it awaits and its two references.
    const auto locals = static_cast<double>(sizeof(tmc::aw_manual_reset_event) + 2 * sizeof(void*));
    print_line(name, {{"bytes", bytes},
                      {"locals_bytes", locals},
                      {"beyond_locals_bytes", bytes - locals},
                      {"ns_per_task", spent.wall_ns / tasks}});
}

} // namespace

void run_parked(tmc::ex_cpu& executor, const char* name)
{
    run(executor, name);
}

void run_parked(tmc::ex_cpu_st& executor, const char* name)
{
    run(executor, name);
}

} // namespace compare
