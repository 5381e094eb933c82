// Sleeping by the wheel first, then between the worker's other tasks, then in a short loop.
// Thread rule: see the header.
#include <blitzio/io/precise_sleep.hpp>

#include "limits.hpp"

#include <blitzio/io/detail/atomics.hpp>
#include <blitzio/io/detail/runtime_access.hpp>

#include <algorithm>
#include <cerrno>

namespace blitzio::detail
{

bool precise_sleep_operation::start(const task_env& env, waiter who) noexcept
{
    runtime_ = env.runtime;
    stop_ = env.stop;
    on_complete_ = who;
    look_.owner = this;
    look_.run = &look;
    const auto current = now(*runtime_);
    if (!absolute_)
    {
        amount_ = add_saturated(current, amount_);
    }
    // The clock shows nothing below 0, and the subtractions of a time far below could overflow.
    amount_ = std::max(amount_, std::chrono::nanoseconds(0));
    if (amount_ - limits::precise_sleep_awake <= current)
    {
        return !arrived_or_queued();
    }
    coarse_.amount_ = amount_ - limits::precise_sleep_awake;
    if (coarse_.start(env, {&on_coarse_end, this}))
    {
        return true;
    }
    // Refused, or stopped before it began.
    outcome_ = coarse_.await_resume().error();
    return false;
}

/// The wheel has done its part.
std::coroutine_handle<> precise_sleep_operation::on_coarse_end(void* context) noexcept
{
    auto& self = *static_cast<precise_sleep_operation*>(context);
    if (const auto waited = self.coarse_.await_resume(); !waited)
    {
        self.outcome_ = waited.error();
        return self.on_complete_();
    }
    return self.arrived_or_queued() ? self.on_complete_() : std::noop_coroutine();
}

void precise_sleep_operation::look(runnable* item) noexcept
{
    auto& self = *static_cast<node*>(item)->owner;
    if (self.arrived_or_queued())
    {
        resume(self.on_complete_());
    }
}

bool precise_sleep_operation::arrived_or_queued() noexcept
{
    if (stop_.stop_requested())
    {
        outcome_ = std::error_code(ECANCELED, std::system_category());
        return true;
    }
    auto left = amount_ - now(*runtime_);
    // Virtual time stands still while a task runs: there only the turns make it pass.
    while (left.count() > 0 && left <= limits::precise_sleep_spin && !is_simulated(*runtime_))
    {
        std_atomics::pause();
        left = amount_ - now(*runtime_);
    }
    if (left.count() <= 0)
    {
        return true;
    }
    // The last access: another worker may take it from here.
    schedule_last(*runtime_, look_);
    return false;
}

result<void> precise_sleep_operation::await_resume() noexcept
{
    if (outcome_)
    {
        return fail(outcome_);
    }
    return {};
}

} // namespace blitzio::detail
