// What a running task knows of its surroundings: its runtime, its stop token, its name.
// Thread rule: immutable while the task runs; owned by whoever launched it (a spawn cell or a
// combinator in an awaiting frame) and passed down by pointer, so awaiting a child costs no atomics.
#pragma once

#include <blitzio/io/detail/await_note.hpp>
#include <blitzio/io/stop_token.hpp>

#include <chrono>
#include <source_location>

namespace blitzio
{

namespace detail
{
class runtime_core;
struct local_binding;
struct placement;
} // namespace detail

/// The deadline of what has none.
inline constexpr auto no_deadline = std::chrono::nanoseconds::max();

struct task_env
{
    /// The runtime whose workers run the task. Never null while a task runs.
    detail::runtime_core* runtime = nullptr;
    /// Asked by every operation before and while it waits.
    stop_token stop{};
    /// For people: dumps, stall reports, unobserved errors. Points to storage that outlives the task.
    const char* name = "";
    /// Where the task was spawned.
    std::source_location spawned_at{};
    /// When the stop will be requested at the latest, by the runtime's clock. Whatever shortens it
    /// for its children also requests their stop; nothing can make it later, except shield(), under
    /// which there is no stop. Spawned tasks have a stop of their own, and no deadline.
    std::chrono::nanoseconds deadline = no_deadline;
    /// The innermost task-local value that is visible; see task_local.hpp.
    const detail::local_binding* locals = nullptr;
    /// Which worker may run the task, and when; null: any, in turn. What it awaits inherits it.
    const detail::placement* home = nullptr;
    /// What the task waits in; for dumps.
    detail::await_note awaiting{};
};

} // namespace blitzio
