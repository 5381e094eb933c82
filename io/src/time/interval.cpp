// Ticks at a fixed period. Thread rule: see the header.
#include <blitzio/io/interval.hpp>

#include <stdexcept>
#include <string>

namespace blitzio
{

interval::interval(std::chrono::nanoseconds period, missed_ticks missed)
    : period_(period), missed_(missed)
{
    if (period.count() <= 0)
    {
        throw std::invalid_argument("interval: the period, " + std::to_string(period.count()) +
                                    " ns, must be positive");
    }
}

interval::interval(std::chrono::steady_clock::time_point first, std::chrono::nanoseconds period,
                   missed_ticks missed)
    : interval(period, missed)
{
    next_ = not_negative(first);
}

void interval::schedule_next(std::chrono::nanoseconds due, std::chrono::nanoseconds now) noexcept
{
    using detail::add_saturated;
    next_ = add_saturated(due, period_);
    if (missed_ == missed_ticks::burst || now - due <= tolerance)
    {
        return;
    }
    if (missed_ == missed_ticks::delay)
    {
        next_ = add_saturated(now, period_);
        return;
    }
    // What has passed of the period that runs now; the next tick is at its end.
    next_ = add_saturated(now, period_ - (now - due) % period_);
}

namespace detail
{

bool tick_operation::start(const task_env& env, waiter who) noexcept
{
    runtime_ = env.runtime;
    if (!owner_->next_)
    {
        owner_->next_ = now(*runtime_);
    }
    sleep_.amount_ = *owner_->next_;
    return sleep_.start(env, who);
}

result<std::chrono::steady_clock::time_point> tick_operation::await_resume() noexcept
{
    if (const auto waited = sleep_.await_resume(); !waited)
    {
        return fail(waited.error());
    }
    const auto due = sleep_.amount_;
    owner_->schedule_next(due, now(*runtime_));
    return std::chrono::steady_clock::time_point(due);
}

} // namespace detail

} // namespace blitzio
