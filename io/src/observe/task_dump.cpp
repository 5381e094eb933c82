// Reports of tasks and workers, and their texts. Thread rule: see the header.
#include "observe/task_dump.hpp"

#include "observe/operation_name.hpp"
#include "runtime_core.hpp"

#include <cstdint>

namespace blitzio
{

namespace
{

std::string place(std::string_view file, std::uint_least32_t line)
{
    return file.empty() ? "unknown place" : std::string(file) + ':' + std::to_string(line);
}

std::string milliseconds(std::chrono::nanoseconds time)
{
    return std::to_string(time.count() / 1'000'000) + " ms";
}

std::string_view text_of(stop_reason reason) noexcept
{
    switch (reason)
    {
    case stop_reason::none: return "not asked to stop";
    case stop_reason::user: return "asked to stop (user)";
    case stop_reason::deadline: return "asked to stop (deadline)";
    case stop_reason::sibling: return "asked to stop (sibling)";
    case stop_reason::shutdown: return "asked to stop (shutdown)";
    }
    return "asked to stop";
}

} // namespace

std::string to_string(const task_report& task)
{
    std::string text = "spawned at " + task.spawned_at;
    if (!task.name.empty())
    {
        text += " (" + task.name + ')';
    }
    text += task.has_awaited ? ": in " + task.operation + " at " + task.awaits_at + ", " +
                                   task.awaits_in + ", for " + milliseconds(task.waiting)
                             : std::string(": has not awaited anything");
    if (task.stop != stop_reason::none)
    {
        text += "; ";
        text += text_of(task.stop);
    }
    return text;
}

std::string runtime_dump::to_string() const
{
    std::string text;
    for (const auto& worker : workers)
    {
        text += "worker " + std::to_string(worker.index) +
                (worker.parked ? ": parked for " : ": runs, its last turn was before ") +
                milliseconds(worker.since_turn) + '\n';
    }
    text += std::to_string(task_count) + " tasks\n";
    for (const auto& task : tasks)
    {
        text += "  " + blitzio::to_string(task) + '\n';
    }
    if (tasks.size() < task_count)
    {
        text += "  and " + std::to_string(task_count - tasks.size()) + " more\n";
    }
    return text;
}

std::string shutdown_report::to_string() const
{
    if (complete)
    {
        return "all of " + std::to_string(asked) + " tasks have ended within " +
               milliseconds(took) + '\n';
    }
    std::string text = std::to_string(remaining_count) + " tasks have not ended within " +
                       milliseconds(took) + ":\n";
    for (const auto& task : remaining)
    {
        text += "  " + blitzio::to_string(task) + '\n';
    }
    if (remaining.size() < remaining_count)
    {
        text += "  and " + std::to_string(remaining_count - remaining.size()) + " more\n";
    }
    return text;
}

namespace detail
{

task_report report_of(const known_task& task, std::chrono::nanoseconds now)
{
    const task_env& env = task.env;
    task_report report;
    report.name = env.name();
    const auto spawned_at = env.spawned_at();
    report.spawned_at = place(spawned_at.file_name(), spawned_at.line());
    report.stop = env.stop.reason();
    const auto note = env.awaiting.read(env);
    report.has_awaited = note.has_awaited;
    if (note.has_awaited)
    {
        report.operation = readable_operation_name(*note.operation);
        report.awaits_at = place(note.where.file_name(), note.where.line());
        report.awaits_in = note.where.function_name();
        report.waiting = coarse_clock::age(note.since_units, now);
    }
    return report;
}

runtime_dump make_dump(const runtime_core& runtime, std::size_t tasks_max)
{
    runtime_dump dump;
    const auto now = runtime.now();
    for (unsigned index = 0; index < runtime.worker_count(); ++index)
    {
        const worker& each = runtime.worker_at(index);
        dump.workers.push_back({.index = index,
                                .parked = each.is_parked(),
                                .since_turn = coarse_clock::age(each.last_turn(), now)});
    }
    runtime.for_each_task([&](const known_task& task) {
        if (++dump.task_count <= tasks_max)
        {
            dump.tasks.push_back(report_of(task, now));
        }
    });
    return dump;
}

} // namespace detail

} // namespace blitzio
