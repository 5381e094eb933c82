// How the scheduler knows that what has just become runnable belongs to a task of high priority: a
// runnable has no room for that, so its run function says it.
// Thread rule: constants.
#pragma once

#include <blitzio/io/detail/placement.hpp>
#include <blitzio/io/detail/runnable.hpp>
#include <blitzio/io/task_env.hpp>

namespace blitzio::detail
{

/// Do the same as the functions after which they are named, for tasks of high priority. Each must be
/// in is_urgent(), and no two of them may be one function to the linker.
void continue_urgent_op(runnable* item) noexcept;
void fire_urgent_sleep(runnable* item) noexcept;
void return_urgent_call(runnable* item) noexcept;

[[nodiscard]] inline bool is_urgent(const runnable& item) noexcept
{
    return item.run == &continue_urgent_op || item.run == &fire_urgent_sleep ||
           item.run == &return_urgent_call;
}

[[nodiscard]] inline bool has_high_priority(const task_env& env) noexcept
{
    return env.home() != nullptr && env.home()->priority == task_priority::high;
}

} // namespace blitzio::detail
