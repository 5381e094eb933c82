// What a running task knows of its surroundings: its runtime, its stop token, its name.
// Thread rule: immutable while the task runs; owned by whoever launched it (a spawn cell or a
// combinator in an awaiting frame) and passed down by pointer, so awaiting a child costs no atomics.
#pragma once

#include <blitzio/io/detail/await_note.hpp>
#include <blitzio/io/stop_token.hpp>

#include <source_location>

namespace blitzio
{

namespace detail
{
class runtime_core;
class worker;
} // namespace detail

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
    /// The only worker that may run the task; null: any. Its children inherit it.
    detail::worker* home = nullptr;
    /// What the task waits in; for dumps.
    detail::await_note awaiting{};
};

} // namespace blitzio
