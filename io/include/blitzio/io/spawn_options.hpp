// How a task is started. Thread rule: plain values.
#pragma once

#include <cstdint>

namespace blitzio
{

/// Who goes first on a worker. Tasks of high priority run before the others that are ready, but leave
/// them at least one turn in fifteen; those of low priority run when nobody else is ready, and get at
/// least one in 32 of the turns that are left otherwise: nobody starves, whatever the load.
///
/// It counts for the first run of a task and each time it goes on: what a sleep, an operation of the
/// driver or a blocking call has ended, or a yield. What another task wakes through the types of sync
/// comes in that task's order: next, usually. It interrupts nobody, and operations and timers are not
/// looked at more often because of it: a worker that computes is not shared.
/// A runtime whose tasks are all normal pays one predictable branch per continuation for this.
enum class task_priority : std::uint8_t
{
    normal,
    high,
    low,
};

struct spawn_options
{
    /// For dumps and error reports; must outlive the task (a literal, usually).
    const char* name = "";
    /// Of the task and of everything that it awaits in place (tasks, combinators), not of the tasks
    /// that it spawns: those say so themselves, `{.priority = co_await this_task::priority()}`.
    task_priority priority = task_priority::normal;

    /// True when everything is as it is by default.
    [[nodiscard]] constexpr bool is_ordinary() const noexcept
    {
        return *name == '\0' && priority == task_priority::normal;
    }
};

} // namespace blitzio
