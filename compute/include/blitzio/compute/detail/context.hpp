// What a computation knows of the task that waits for it, wherever its parts run.
//
// A bridge sets it around the call it makes, a parallel loop around each of its chunks. It is found
// through a thread-local pointer, which is read and written out of line only: a body that waits in
// await_in_compute() may go on on another thread, and a compiler must not remember the address of
// the first one's variable.
// Thread rule: the pointer belongs to the calling thread; what it points to is constant while set.
#pragma once

#include <blitzio/io/stop_token.hpp>

#include <chrono>

namespace blitzio::detail
{
class runtime_core;
struct local_binding;
} // namespace blitzio::detail

namespace blitzio::compute::detail
{

struct compute_context
{
    /// Whose task waits. Null: nobody's, as for a job that was enqueued by hand.
    blitzio::detail::runtime_core* runtime = nullptr;
    /// Asked between the chunks of loops.
    stop_token stop{};
    /// By the runtime's clock; max() without one.
    std::chrono::nanoseconds deadline = std::chrono::nanoseconds::max();
    /// The task-local values that the task sees.
    const blitzio::detail::local_binding* locals = nullptr;
    /// The deadline is one of steady_clock, not of a virtual clock: loops look at it themselves, so
    /// that a late timer does not make them late.
    bool steady_deadline = false;
};

/// The context of the calling thread, or null outside of every computation.
[[nodiscard]] const compute_context* current_context() noexcept;

/// Sets it and gives the one before.
const compute_context* exchange_context(const compute_context* context) noexcept;

/// Sets a context for a scope on one stack. If the scope ends on another thread than it began on,
/// that thread is left without a context: what it had before is not what the first one had.
class context_scope
{
public:
    explicit context_scope(const compute_context* context) noexcept;
    context_scope(const context_scope&) = delete;
    context_scope& operator=(const context_scope&) = delete;
    ~context_scope();

private:
    const compute_context* before_;
    const void* thread_;
};

} // namespace blitzio::compute::detail
