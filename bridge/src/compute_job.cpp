// Going to the pool and coming back. Thread rule: see the header.
#include <blitzio/bridge/detail/compute_job.hpp>

#include "brief_wait.hpp"
#include "call_scope.hpp"

#include <blitzio/io/detail/computing_thread.hpp>
#include <blitzio/io/detail/resume.hpp>
#include <blitzio/io/detail/runtime_access.hpp>

namespace blitzio::detail
{

namespace
{

/// Where block_on() must not wait: see runtime.hpp.
[[maybe_unused]] const bool block_on_asks = [] {
    set_computes_for([](const runtime_core& runtime) noexcept {
        const auto* const context = compute::detail::current_context();
        return context != nullptr && context->runtime == &runtime;
    });
    return true;
}();

} // namespace

bool compute_job::begin(compute::pool* pool, const task_env& env, waiter who,
                        call_function call) noexcept
{
    token_ = env.stop;
    if (token_.stop_requested())
    {
        refused_ = std::make_error_code(std::errc::operation_canceled);
        return false;
    }
    runtime_ = env.runtime;
    env_ = &env;
    on_complete_ = who;
    call_ = call;
    back_.owner = this;
    if (runs_jobs_inline(*runtime_))
    {
        back_.run = &compute_job::in_simulation;
        run_simulated_job(*runtime_, back_);
        return true;
    }
    back_.run = &compute_job::back_on_worker;
    job_.owner = this;
    job_.run = &compute_job::on_pool_thread;
    if (pool == nullptr)
    {
        const auto found = compute::find_default_pool();
        if (!found)
        {
            refused_ = found.error();
            return false;
        }
        pool = *found;
    }
    outside_ = external_work(*runtime_);
    if (const auto queued = pool->enqueue(job_); !queued)
    {
        outside_.end();
        refused_ = queued.error();
        return false;
    }
    wait_briefly(*pool, hand_off_);
    // Last: after true the awaiting frame may be running on another worker.
    return hand_off_.start_waiting();
}

bool compute_job::give_way(const task_env& env, waiter who) noexcept
{
    on_complete_ = who;
    back_.owner = this;
    back_.run = &compute_job::back_on_worker;
    schedule_last(*env.runtime, back_);
    return true;
}

void compute_job::make_call() noexcept
{
    if (token_.stop_requested())
    {
        refused_ = std::make_error_code(std::errc::operation_canceled);
        return;
    }
    const call_scope inside(context_of(*env_));
    call_(*this);
}

compute::detail::compute_context compute_job::context_of(const task_env& env) noexcept
{
    return {.runtime = env.runtime,
            .stop = env.stop,
            .deadline = env.deadline(),
            .locals = env.locals(),
            .steady_deadline = env.deadline() != no_deadline && !is_simulated(*env.runtime)};
}

void compute_job::on_pool_thread(compute::job* item) noexcept
{
    auto& self = *static_cast<pool_job*>(item)->owner;
    self.make_call();
    // Ends last: from complete() on the job may be gone.
    const external_work outside = std::move(self.outside_);
    if (self.hand_off_.complete().must_wake_receiver)
    {
        schedule(*self.runtime_, self.back_);
    }
}

void compute_job::in_simulation(runnable* item) noexcept
{
    auto& self = *static_cast<way_back*>(item)->owner;
    self.make_call();
    // The world runs jobs between the workers' turns; coroutines continue on workers only.
    self.back_.run = &compute_job::back_on_worker;
    schedule(*self.runtime_, self.back_);
}

void compute_job::back_on_worker(runnable* item) noexcept
{
    resume(static_cast<way_back*>(item)->owner->on_complete_());
}

} // namespace blitzio::detail
