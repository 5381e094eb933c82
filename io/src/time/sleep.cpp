// Arming timers on the current worker, and sleeping. Thread rule: see the headers.
#include <blitzio/io/sleep.hpp>

#include "runtime_core.hpp"
#include "scheduler/urgent.hpp"
#include "scheduler/worker.hpp"

#include <cerrno>

namespace blitzio::detail
{

namespace
{

timer_wheel& wheel_here(runtime_core& runtime) noexcept
{
    worker* const here = current_worker();
    if (here == nullptr || &here->core() != &runtime)
    {
        terminate_with("a timer was armed outside of the runtime's workers");
    }
    return here->timers();
}

} // namespace

bool arm_timer(runtime_core& runtime, timer& node, std::chrono::nanoseconds deadline) noexcept
{
    return wheel_here(runtime).insert(node, deadline);
}

bool arm_timer_after(runtime_core& runtime, timer& node, std::chrono::nanoseconds duration) noexcept
{
    return wheel_here(runtime).insert_after(node, duration);
}

void sleep_canceller::operator()() const noexcept
{
    target->cancel();
}

void sleep_operation::on_timer(runnable* item) noexcept
{
    auto& self = *static_cast<node*>(item)->owner;
    if (!self.cancellable_ || self.state_.complete())
    {
        resume(self.on_complete_());
    }
}

void fire_urgent_sleep(runnable* item) noexcept
{
    sleep_operation::on_timer(item);
}

void sleep_operation::on_cancelled(runnable* item) noexcept
{
    auto& self = *static_cast<node*>(item)->owner;
    resume(self.on_complete_());
}

void sleep_operation::cancel() noexcept
{
    if (!state_.request_cancel())
    {
        return;
    }
    if (cancel_timer(timer_))
    {
        // Both ends are ours now: the timer will not fire.
        outcome_ = std::error_code(ECANCELED, std::system_category());
        static_cast<void>(state_.complete());
    }
    if (state_.cancel_finished())
    {
        timer_.run = &on_cancelled;
        schedule(*runtime_, timer_);
    }
}

bool sleep_operation::start(const task_env& env, waiter who) noexcept
{
    runtime_ = env.runtime;
    on_complete_ = who;
    timer_.owner = this;
    timer_.run = has_high_priority(env) ? &fire_urgent_sleep : &on_timer;
    cancellable_ = env.stop.stop_possible();
    if (cancellable_)
    {
        state_.reset();
        stop_.arm(env.stop, sleep_canceller{this});
    }
    const bool armed = absolute_ ? arm_timer(*runtime_, timer_, amount_)
                                 : arm_timer_after(*runtime_, timer_, amount_);
    if (!armed)
    {
        outcome_ = make_error_code(io_errc::limit_reached);
        return false;
    }
    // Only now may a cancel look for the timer; it cannot have fired, we are on its worker.
    if (cancellable_ && !state_.begin())
    {
        static_cast<void>(cancel_timer(timer_));
        outcome_ = std::error_code(ECANCELED, std::system_category());
        return false;
    }
    return true;
}

result<void> sleep_operation::await_resume() noexcept
{
    stop_.disarm();
    if (outcome_)
    {
        return fail(outcome_);
    }
    return {};
}

} // namespace blitzio::detail
