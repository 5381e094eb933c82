// The only ways in which blitzio continues coroutines, with a bounded stack whatever the compiler.
// Thread rule: resume() is called by worker loops, by drivers and by operations that start a task.
#pragma once

#include <blitzio/io/detail/waiter.hpp>

#include <coroutine>

namespace blitzio::detail
{

/// Continues `coroutine`, and after it whatever was put off to bound the stack.
void resume(std::coroutine_handle<> coroutine) noexcept;

/// What await_suspend and final_suspend return instead of `next`. Compilers that do not turn a
/// symmetric transfer into a jump (GCC without optimisation or with sanitizers) add a stack frame
/// for each; after a bounded number of them the next coroutine goes back to the enclosing resume().
/// Called once per suspension, on what the waiter gave: a waiter itself never calls it.
std::coroutine_handle<> transfer_bounded(std::coroutine_handle<> next) noexcept;

inline std::coroutine_handle<> transfer(std::coroutine_handle<> next) noexcept
{
#if defined(__clang__)
    return next; // always a tail call here
#else
    return transfer_bounded(next);
#endif
}

/// Invokes a waiter from inside another one: an error that passes through a chain of try_ goes from
/// waiter to waiter. After a bounded number of them the enclosing resume() goes on with the chain.
std::coroutine_handle<> complete_bounded(waiter who) noexcept;

} // namespace blitzio::detail
