// Continuing coroutines with a bounded stack. Thread rule: any thread; the state is per thread.
#include <blitzio/io/detail/resume.hpp>

#include <blitzio/io/detail/assert.hpp>
#include <blitzio/io/detail/waiter.hpp>

#include "limits.hpp"
#include "running_coroutine.hpp"

#include <atomic>
#include <utility>

namespace blitzio::detail
{

namespace
{

/// What is put off waits here for the innermost resume(), which every caller reaches before anybody
/// can put off a second one.
struct transfer_state
{
    unsigned remaining = limits::transfer_depth_max;
    std::coroutine_handle<> deferred;
    waiter deferred_waiter;
    /// For whoever asks what the thread is at.
    std::atomic<void*> running{nullptr};
};

constinit thread_local transfer_state transfers;

/// The next thing that was put off; null: nothing.
std::coroutine_handle<> take_deferred(transfer_state& state) noexcept
{
    state.remaining = limits::transfer_depth_max;
    if (state.deferred)
    {
        return std::exchange(state.deferred, nullptr);
    }
    if (state.deferred_waiter)
    {
        return std::exchange(state.deferred_waiter, {})();
    }
    return nullptr;
}

} // namespace

const std::atomic<void*>& running_coroutine() noexcept
{
    return transfers.running;
}

void resume(std::coroutine_handle<> coroutine) noexcept
{
    // An inner resume() gets a budget of its own: how deep those nest is bounded by the program's
    // own nesting of combinators, not by how long it runs.
    const unsigned outer = std::exchange(transfers.remaining, limits::transfer_depth_max);
    void* const outer_coroutine = transfers.running.load(std::memory_order_relaxed);
    do
    {
        transfers.running.store(coroutine.address(), std::memory_order_relaxed);
        coroutine.resume();
        coroutine = take_deferred(transfers);
    } while (coroutine);
    transfers.running.store(outer_coroutine, std::memory_order_relaxed);
    transfers.remaining = outer;
}

std::coroutine_handle<> transfer_bounded(std::coroutine_handle<> next) noexcept
{
    if (transfers.remaining > 0)
    {
        --transfers.remaining;
        return next;
    }
    BLITZIO_ASSERT(!transfers.deferred);
    transfers.deferred = next;
    return std::noop_coroutine();
}

std::coroutine_handle<> complete_bounded(waiter who) noexcept
{
    if (transfers.remaining > 0)
    {
        --transfers.remaining;
        return who();
    }
    BLITZIO_ASSERT(!transfers.deferred_waiter);
    transfers.deferred_waiter = who;
    return std::noop_coroutine();
}

} // namespace blitzio::detail
