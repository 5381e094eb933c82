// Giving other tasks a turn. Thread rule: awaited in tasks.
#pragma once

#include <blitzio/io/detail/operation.hpp>

#include <coroutine>

namespace blitzio
{

namespace detail
{

class yield_operation : public awaitable_base<yield_operation>
{
public:
    yield_operation() noexcept = default;
    yield_operation(yield_operation&&) noexcept {}

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        if (env.home() != nullptr)
        {
            come_home_last(env, who);
            return true;
        }
        if (goes_on_alone())
        {
            return false;
        }
        on_complete_ = who;
        node_.owner = this;
        node_.run = [](runnable* item) noexcept {
            resume(static_cast<node*>(item)->owner->on_complete_());
        };
        schedule_last(*env.runtime, node_);
        return true;
    }

    void await_resume() const noexcept {}

private:
    struct node : runnable
    {
        yield_operation* owner = nullptr;
    };

    node node_;
    waiter on_complete_;
};

/// Gives way when the task has had its share.
class yield_if_needed_operation : public yield_operation
{
public:
    template <class Promise>
    bool await_suspend(std::coroutine_handle<Promise> awaiting) noexcept
    {
        return start(awaiting.promise().env(), waiter_of(awaiting));
    }

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        return !consume_budget() && yield_operation::start(env, who);
    }
};

} // namespace detail

/// Lets everything run that is runnable on this worker now, then continues (possibly on another
/// worker); when there is nothing, it continues at once, except each 61st time, when the worker looks
/// for what has come meanwhile. Cancellation: none, it always continues. No allocation.
[[nodiscard]] inline detail::yield_operation yield() noexcept
{
    return {};
}

/// For loops that may go on for long without waiting for anything: does nothing most of the time,
/// and lets the others run when the task has used up what it may do in a row (operations that did
/// not have to wait count, too). Cancellation: none. No allocation.
[[nodiscard]] inline detail::yield_if_needed_operation yield_if_needed() noexcept
{
    return {};
}

} // namespace blitzio
