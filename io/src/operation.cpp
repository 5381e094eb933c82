// Starting, cancelling and finishing operations and blocking calls.
// Thread rule: start functions on workers; cancel paths on any thread.
#include <blitzio/io/blocking.hpp>
#include <blitzio/io/detail/operation.hpp>

#include "runtime_core.hpp"
#include "scheduler/urgent.hpp"
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

void continue_urgent_op(runnable* item) noexcept
{
    continue_op(item);
}

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
    operation.run = has_high_priority(env) ? &continue_urgent_op : &continue_op;
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

// --- blocking ---------------------------------------------------------------------------------

void blocking_job::canceller::operator()() const noexcept
{
    target->withdraw();
}

void blocking_job::on_pool_thread(runnable* item) noexcept
{
    auto& self = *static_cast<node*>(item)->owner;
    self.call_(self);
    // Ends last: from complete() on the job may be gone.
    const external_work outside = std::move(self.outside_);
    if (!self.cancellable_ || self.state_.complete())
    {
        self.come_back();
    }
}

void blocking_job::back_on_worker(runnable* item) noexcept
{
    resume(static_cast<node*>(item)->owner->on_complete_());
}

void return_urgent_call(runnable* item) noexcept
{
    blocking_job::back_on_worker(item);
}

void blocking_job::come_back() noexcept
{
    node_.run = urgent_ ? &return_urgent_call : &back_on_worker;
    schedule(*runtime_, node_);
}

void blocking_job::withdraw() noexcept
{
    if (!state_.request_cancel())
    {
        return;
    }
    external_work outside;
    if (withdraw_blocking(*runtime_, node_))
    {
        outside = std::move(outside_);
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
    urgent_ = has_high_priority(env);
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
    if (!runs_jobs_inline(*runtime_))
    {
        outside_ = external_work(*runtime_);
    }
    const auto queued = submit_blocking(*runtime_, node_);
    if (queued)
    {
        return true;
    }
    outside_.end();
    refused_ = queued.error();
    // With a cancel on its way, that one continues the waiter.
    return cancellable_ && !state_.complete();
}

} // namespace blitzio::detail
