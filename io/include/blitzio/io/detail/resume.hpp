// The only ways in which blitzio continues coroutines, with a bounded stack whatever the compiler.
// Thread rule: resume() is called by worker loops, by drivers and by operations that start a task.
#pragma once

#include <coroutine>

namespace blitzio::detail
{

/// Continues `coroutine`, and after it whatever it transferred to beyond the depth budget.
void resume(std::coroutine_handle<> coroutine) noexcept;

/// What await_suspend and final_suspend return instead of `next`. Compilers that do not turn a
/// symmetric transfer into a jump (GCC without optimisation or with sanitizers) add a stack frame
/// for each; after a bounded number of them the next coroutine goes back to the enclosing resume().
std::coroutine_handle<> transfer_bounded(std::coroutine_handle<> next) noexcept;

inline std::coroutine_handle<> transfer(std::coroutine_handle<> next) noexcept
{
#if defined(__clang__)
    return next; // always a tail call here
#else
    return transfer_bounded(next);
#endif
}

} // namespace blitzio::detail
