// What a runtime tells about its tasks while it runs, hangs or ends.
// Thread rule: plain values; dump() and shutdown() of runtime make them.
#pragma once

#include <blitzio/io/stop_token.hpp>

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

namespace blitzio
{

/// One task that has not ended.
struct task_report
{
    /// The name given at its spawn; often empty.
    std::string name;
    /// Where it was spawned: "file:line".
    std::string spawned_at;
    /// False: it has not awaited anything yet; the next three are empty.
    bool has_awaited = false;
    /// The kind of operation that it awaits, or awaited last: "sleep", "timeout<sleep>", "yield".
    /// An operation inside a combinator shows as the combinator.
    std::string operation;
    /// Where that await is written: "file:line".
    std::string awaits_at;
    /// The coroutine that it is written in.
    std::string awaits_in;
    /// How long ago that await began, to about 20 ms; by the clock as the workers saw it last.
    std::chrono::nanoseconds waiting{};
    /// Why it was asked to stop, if it was.
    stop_reason stop = stop_reason::none;
};

struct worker_report
{
    unsigned index = 0;
    /// True: it sleeps, because it has nothing to do.
    bool parked = false;
    /// How long ago its loop looked at the clock, to about 20 ms. Of a worker that is not parked and
    /// has not looked for long, the task that it runs computes or blocks.
    std::chrono::nanoseconds since_turn{};
};

/// What a runtime's tasks wait in. A task that runs at this moment, or is ready to, shows with the
/// await that it has left last.
struct runtime_dump
{
    std::vector<worker_report> workers;
    std::vector<task_report> tasks;
    /// Tasks that there are; more than `tasks` has when that was limited. Those of a scope count from
    /// their first await on.
    std::size_t task_count = 0;

    /// A line for each worker and task, for people.
    [[nodiscard]] std::string to_string() const;
};

/// What became of a request to end.
struct shutdown_report
{
    /// True: every task has ended, and with them every operation.
    bool complete = false;
    /// How long that took, or how long was waited.
    std::chrono::nanoseconds took{};
    /// Tasks that were asked to stop at the beginning.
    std::size_t asked = 0;
    /// Tasks that have not stopped; more than `remaining` names when there are very many.
    std::size_t remaining_count = 0;
    std::vector<task_report> remaining;

    [[nodiscard]] std::string to_string() const;
};

/// One line: where it was spawned, its name, what it awaits, where and since when.
[[nodiscard]] std::string to_string(const task_report& task);

} // namespace blitzio
