// Starting, cancelling and finishing operations, sleeps and time-outs.
// Thread rule: start functions on workers; cancel paths on any thread.
#include <blitzio/io/blocking.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/sleep.hpp>
#include <blitzio/io/timeout.hpp>

#include "runtime_core.hpp"
#include "scheduler/worker.hpp"

#include <cerrno>

namespace blitzio::detail
{

namespace
{

void continue_op(runnable* item) noexcept
{
    resume(static_cast<op*>(item)->on_complete());
}

/// Runs on the home worker, from its inbox.
void cancel_at_home(runnable* item) noexcept
{
    op& target = op::of_cancel_node(*item);
    target.home->cancel_op(target);
}

} // namespace

void op_canceller::operator()() const noexcept
{
    if (target->state.request_cancel())
    {
        target->cancel_node.run = &cancel_at_home;
        target->home->post(target->cancel_node);
    }
}

bool start_op(op& operation, op_stop_slot& stop, const task_env& env, waiter who) noexcept
{
    worker& here = *current_worker();
    operation.on_complete = who;
    operation.run = &continue_op;
    operation.home = &here;
    if (env.stop.stop_possible())
    {
        operation.cancellable = true;
        operation.state.reset();
        stop.arm(env.stop, op_canceller{&operation});
        if (!operation.state.begin())
        {
            operation.result = -ECANCELED;
            return false;
        }
    }
    if (!here.submit(operation))
    {
        return true;
    }
    if (operation.cancellable && !operation.state.complete())
    {
        return true; // the cancel request that is on its way continues the waiter
    }
    if (here.consume_budget())
    {
        return false;
    }
    here.push(operation);
    return true;
}

// --- sleep ------------------------------------------------------------------------------------

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
    timer_.run = &on_timer;
    cancellable_ = env.stop.stop_possible();
    if (cancellable_)
    {
        state_.reset();
        stop_.arm(env.stop, sleep_canceller{this});
    }
    const auto deadline = absolute_ ? amount_ : now(*runtime_) + amount_;
    if (!arm_timer(*runtime_, timer_, deadline))
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

// --- timeout ----------------------------------------------------------------------------------

bool timeout_base::begin(const task_env& env, waiter who) noexcept
{
    child_env_ = env;
    stop_.link(env.stop);
    child_env_.stop = stop_.source().get_token();
    on_complete_ = who;
    timer_.owner = this;
    timer_.run = &on_timer;
    holders_.store(2, std::memory_order_relaxed);
    if (!arm_timer(*env.runtime, timer_, now(*env.runtime) + duration_))
    {
        limit_reached_ = true;
        return false;
    }
    return true;
}

void timeout_base::on_timer(runnable* item) noexcept
{
    auto& self = *static_cast<node*>(item)->owner;
    self.expired_ = true;
    self.stop_.source().request_stop(stop_reason::deadline);
    // acq_rel: whoever is last sees what the other has stored.
    if (self.holders_.fetch_sub(1, std::memory_order_acq_rel) == 1)
    {
        resume(self.on_complete_());
    }
}

bool timeout_base::operation_ended() noexcept
{
    const int leaving = cancel_timer(timer_) ? 2 : 1;
    return holders_.fetch_sub(leaving, std::memory_order_acq_rel) == leaving;
}

// --- blocking ---------------------------------------------------------------------------------

void blocking_job::canceller::operator()() const noexcept
{
    target->withdraw();
}

void blocking_job::on_pool_thread(runnable* item) noexcept
{
    auto& self = *static_cast<node*>(item)->owner;
    self.call_(self);
    if (!self.cancellable_ || self.state_.complete())
    {
        self.come_back();
    }
}

void blocking_job::back_on_worker(runnable* item) noexcept
{
    resume(static_cast<node*>(item)->owner->on_complete_());
}

void blocking_job::come_back() noexcept
{
    node_.run = &back_on_worker;
    schedule(*runtime_, node_);
}

void blocking_job::withdraw() noexcept
{
    if (!state_.request_cancel())
    {
        return;
    }
    if (withdraw_blocking(*runtime_, node_))
    {
        refused_ = std::error_code(ECANCELED, std::system_category());
        static_cast<void>(state_.complete());
    }
    if (state_.cancel_finished())
    {
        come_back();
    }
}

bool blocking_job::begin(const task_env& env, waiter who,
                         void (*call)(blocking_job&) noexcept) noexcept
{
    runtime_ = env.runtime;
    on_complete_ = who;
    call_ = call;
    token_ = env.stop;
    node_.owner = this;
    node_.run = &on_pool_thread;
    if (env.stop.stop_requested())
    {
        refused_ = std::error_code(ECANCELED, std::system_category());
        return false;
    }
    cancellable_ = env.stop.stop_possible();
    if (cancellable_)
    {
        state_.reset();
        stop_.arm(env.stop, canceller{this});
        if (!state_.begin())
        {
            refused_ = std::error_code(ECANCELED, std::system_category());
            return false;
        }
    }
    const auto queued = submit_blocking(*runtime_, node_);
    if (queued)
    {
        return true;
    }
    refused_ = queued.error();
    // With a cancel on its way, that one continues the waiter.
    return cancellable_ && !state_.complete();
}

} // namespace blitzio::detail
