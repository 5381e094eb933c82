// What a task can ask about itself. Thread rule: awaited in tasks; never suspends.
#pragma once

#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/placement.hpp>
#include <blitzio/io/spawn_options.hpp>

#include <chrono>
#include <optional>

namespace blitzio::this_task
{

/// The environment: runtime, stop token, name. Valid for as long as the task runs.
[[nodiscard]] inline auto env() noexcept
{
    return detail::immediate_operation([](const task_env& current) noexcept { return &current; });
}

/// The stop token that the task was started with.
[[nodiscard]] inline auto stop() noexcept
{
    return detail::immediate_operation(
        [](const task_env& current) noexcept { return current.stop; });
}

/// When this task will be asked to stop at the latest, by the runtime's clock (steady_clock, or the
/// virtual clock of a simulation): the earliest of all timeout() and with_deadline() around it.
/// Nothing when there is none, and inside shield().
[[nodiscard]] inline auto deadline() noexcept
{
    using time_point = std::chrono::steady_clock::time_point;
    return detail::immediate_operation(
        [](const task_env& current) noexcept -> std::optional<time_point> {
            if (current.deadline() == no_deadline)
            {
                return std::nullopt;
            }
            return time_point(std::chrono::duration_cast<time_point::duration>(current.deadline()));
        });
}

/// The priority that the task was spawned with.
[[nodiscard]] inline auto priority() noexcept
{
    return detail::immediate_operation([](const task_env& current) noexcept {
        return current.home() == nullptr ? task_priority::normal : current.home()->priority;
    });
}

} // namespace blitzio::this_task
