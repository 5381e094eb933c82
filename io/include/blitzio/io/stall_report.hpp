// What is told about a task that holds its worker for too long.
// Thread rule: plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace blitzio
{

enum class stall_cause : std::uint8_t
{
    /// It uses the processor: it belongs on a compute pool.
    computes,
    /// It waits in a call that blocks its thread: it belongs on the pool of spawn_blocking.
    blocks,
};

/// A task has kept a worker from everything else for runtime_config::stall_threshold, and still does.
struct stall_report
{
    /// runtime_config::name, and the worker's number.
    std::string runtime;
    unsigned worker = 0;
    /// How long so far, at least; and how much of that it has used a processor.
    std::chrono::nanoseconds held{};
    std::chrono::nanoseconds processor_time{};
    stall_cause cause = stall_cause::computes;
    /// The task's name and where it was spawned ("file:line"); empty when they cannot be told.
    std::string task_name;
    std::string spawned_at;
    /// The await that it has left last ("file:line"); empty before the first one.
    std::string last_await;
    /// Where it is, the innermost function first; empty when that could not be found out.
    std::vector<std::string> stack;

    /// Some lines for people, with the advice.
    [[nodiscard]] std::string to_string() const;
};

} // namespace blitzio
