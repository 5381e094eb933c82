// An operation made of several driver operations, one after the other, without a coroutine: what
// read_exactly and write_all are built from.
// Thread rule: as driver_operation; the steps may complete on different workers.
#pragma once

#include <blitzio/io/detail/operation.hpp>

#include <coroutine>
#include <utility>

namespace blitzio::detail
{

/// `Derived` has
///     bool next_step(op&) noexcept          sets up the next driver operation; false: finished
///     void step_ended(std::int32_t) noexcept  takes the result of the last one
///     T finish() noexcept                   the result of the whole
template <class Derived>
class repeated_operation : public awaitable_base<Derived>
{
public:
    repeated_operation() noexcept = default;
    /// Only before start().
    repeated_operation(repeated_operation&& other) noexcept : op_(std::move(other.op_)) {}

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        env_ = &env;
        on_complete_ = who;
        return go_on();
    }

    auto await_resume() noexcept
    {
        stop_.disarm();
        return self().finish();
    }

protected:
    op op_;

private:
    [[nodiscard]] Derived& self() noexcept
    {
        return static_cast<Derived&>(*this);
    }

    /// True: a step is on its way, and this object may already be gone. False: all are done.
    [[nodiscard]] bool go_on() noexcept
    {
        while (self().next_step(op_))
        {
            if (start_op(op_, stop_, *env_, {&on_step_ended, this}))
            {
                return true;
            }
            end_step();
        }
        return false;
    }

    void end_step() noexcept
    {
        // Every step arms anew: the operation's state is used afresh.
        stop_.disarm();
        self().step_ended(op_.result);
    }

    static std::coroutine_handle<> on_step_ended(void* context) noexcept
    {
        auto& repeated = *static_cast<repeated_operation*>(context);
        repeated.end_step();
        if (repeated.go_on())
        {
            return std::noop_coroutine();
        }
        return repeated.on_complete_();
    }

    const task_env* env_ = nullptr;
    waiter on_complete_;
    op_stop_slot stop_;
};

} // namespace blitzio::detail
