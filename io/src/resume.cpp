// Continuing coroutines with a bounded stack. Thread rule: any thread; the state is per thread.
#include <blitzio/io/detail/resume.hpp>

#include "limits.hpp"

#include <utility>

namespace blitzio::detail
{

namespace
{

struct transfer_state
{
    unsigned remaining = limits::transfer_depth_max;
    std::coroutine_handle<> deferred;
};

constinit thread_local transfer_state transfers;

} // namespace

void resume(std::coroutine_handle<> coroutine) noexcept
{
    // An inner resume() gets a budget of its own: how deep those nest is bounded by the program's
    // own nesting of combinators, not by how long it runs.
    const unsigned outer = std::exchange(transfers.remaining, limits::transfer_depth_max);
    coroutine.resume();
    while (transfers.deferred)
    {
        transfers.remaining = limits::transfer_depth_max;
        std::exchange(transfers.deferred, nullptr).resume();
    }
    transfers.remaining = outer;
}

std::coroutine_handle<> transfer_bounded(std::coroutine_handle<> next) noexcept
{
    if (transfers.remaining > 0)
    {
        --transfers.remaining;
        return next;
    }
    transfers.deferred = next;
    return std::noop_coroutine();
}

} // namespace blitzio::detail
