// The timer of timeout() and with_deadline(). Thread rule: begin() on a worker; the ends of operation
// and timer on any worker.
#include <blitzio/io/timeout.hpp>

#include <blitzio/io/detail/runtime_access.hpp>

namespace blitzio::detail
{

bool timeout_base::begin(const task_env& env, waiter who) noexcept
{
    child_env_ = env;
    stop_.link(env.stop);
    child_env_.stop = stop_.source().get_token();
    on_complete_ = who;
    auto expiry = bound_;
    if (kind_ == bound_kind::from_start)
    {
        const auto current = now(*env.runtime);
        // No bound that anybody means is so far away that the sum does not fit.
        expiry = bound_ < no_deadline - current ? current + bound_ : no_deadline;
    }
    if (expiry >= env.deadline())
    {
        // The stop that comes with the earlier deadline arrives through the link.
        holders_.store(2, std::memory_order_relaxed);
        return true;
    }
    child_details_ = env.details();
    child_details_.deadline = expiry;
    child_env_.origin = task_origin(child_details_);
    timer_.owner = this;
    timer_.run = &on_timer;
    holders_.store(3, std::memory_order_relaxed);
    armed_ = arm_timer(*env.runtime, timer_, expiry);
    limit_reached_ = !armed_;
    return armed_;
}

void timeout_base::on_timer(runnable* item) noexcept
{
    auto& self = *static_cast<node*>(item)->owner;
    self.stop_.source().request_stop(stop_reason::deadline);
    if (self.holders_.fetch_sub(1, std::memory_order_acq_rel) == 1)
    {
        resume(self.on_complete_());
    }
}

bool timeout_base::operation_ended(int holders) noexcept
{
    const int leaving = holders + (armed_ && cancel_timer(timer_) ? 1 : 0);
    return holders_.fetch_sub(leaving, std::memory_order_acq_rel) == leaving;
}

} // namespace blitzio::detail
