// What a task can ask about itself. Thread rule: awaited in tasks; never suspends.
#pragma once

#include <blitzio/io/detail/operation.hpp>

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

} // namespace blitzio::this_task
