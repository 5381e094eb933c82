// Giving other tasks a turn. Thread rule: awaited in tasks.
#pragma once

#include <blitzio/io/detail/operation.hpp>

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

} // namespace detail

/// Lets everything run that is runnable on this worker now, then continues (possibly on another
/// worker). Cancellation: none, it always continues. No allocation.
[[nodiscard]] inline detail::yield_operation yield() noexcept
{
    return {};
}

} // namespace blitzio
