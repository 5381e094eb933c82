// Collecting reports of the tasks that a runtime knows. Thread rule: any thread, also while the
// workers run or hang: the lists are walked under their own locks, which are never held for long.
#pragma once

#include <blitzio/io/task_report.hpp>

#include <cstddef>

namespace blitzio::detail
{

class runtime_core;
struct known_task;

/// Under the lock of the list that the task is in.
[[nodiscard]] task_report report_of(const known_task& task, std::chrono::nanoseconds now);

[[nodiscard]] runtime_dump make_dump(const runtime_core& runtime, std::size_t tasks_max);

} // namespace blitzio::detail
