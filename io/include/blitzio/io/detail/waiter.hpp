// Who is told when an operation ends: a coroutine, a combinator that counts its children, or a
// thread that blocks. Thread rule: invoked exactly once, by whichever thread finishes the operation.
#pragma once

#include <coroutine>

namespace blitzio::detail
{

/// A small callable instead of a bare coroutine handle, so that threads and stackful tasks can wait
/// on the same operation objects. `complete` returns the coroutine to continue with (possibly
/// std::noop_coroutine()), which lets a finishing task transfer to it without growing the stack.
struct waiter
{
    using complete_function = std::coroutine_handle<> (*)(void* context) noexcept;

    complete_function complete = nullptr;
    void* context = nullptr;

    [[nodiscard]] std::coroutine_handle<> operator()() const noexcept
    {
        // Most waiters are coroutines: a compare instead of an indirect call.
        return complete == &handle_of ? std::coroutine_handle<>::from_address(context)
                                      : complete(context);
    }

    explicit operator bool() const noexcept
    {
        return complete != nullptr;
    }

    /// The waiter that continues `coroutine`.
    static waiter of(std::coroutine_handle<> coroutine) noexcept
    {
        return {&handle_of, coroutine.address()};
    }

    static std::coroutine_handle<> handle_of(void* address) noexcept
    {
        return std::coroutine_handle<>::from_address(address);
    }
};

} // namespace blitzio::detail
