// How tasks and their exceptions are named in messages. Thread rule: any thread.
#pragma once

#include <blitzio/io/task_env.hpp>

#include <string>

namespace blitzio::detail
{

/// "file:line (name)" of where the task was spawned.
[[nodiscard]] std::string place_of(const task_env& env);

} // namespace blitzio::detail
