// Ending with patience, and naming what did not end. Thread rule: never on a worker.
#include "observe/task_dump.hpp"
#include "runtime_core.hpp"

#include "limits.hpp"

namespace blitzio::detail
{

void runtime_core::ask_to_end() noexcept
{
    // Before the lists are walked: a task that is added later sees it (under the list's mutex).
    ending_.store(true, std::memory_order_relaxed);
    stop_tasks();
}

bool runtime_core::wait_until_idle_or(std::chrono::nanoseconds deadline)
{
    const auto all_ended = [this] { return live_task_count() == 0; };
    if (is_simulated() || runs_on_caller())
    {
        run_here_until(all_ended, deadline);
        return all_ended();
    }
    // Beyond this a wait overflows inside some standard libraries.
    constexpr std::chrono::nanoseconds wait_max = std::chrono::hours(24 * 365);
    const std::chrono::steady_clock::time_point until(
        std::min(deadline, add_saturated(now(), wait_max)));
    watch_.watchers.fetch_add(1, std::memory_order_relaxed);
    bool ended = false;
    {
        std::unique_lock lock(watch_.mutex);
        ended = watch_.changed.wait_until(lock, until, all_ended);
    }
    watch_.watchers.fetch_sub(1, std::memory_order_relaxed);
    return ended;
}

shutdown_report runtime_core::shutdown(std::chrono::nanoseconds deadline)
{
    shutdown_report report;
    const auto begin = now();
    report.asked = live_task_count();
    ask_to_end();
    report.complete = wait_until_idle_or(deadline);
    report.took = now() - begin;
    if (!report.complete)
    {
        runtime_dump left = make_dump(*this, limits::shutdown_names_max);
        report.remaining = std::move(left.tasks);
        report.remaining_count = left.task_count;
    }
    return report;
}

} // namespace blitzio::detail
