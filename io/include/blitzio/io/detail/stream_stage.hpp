// The next() of stages that make values of values: an operation that asks the stage above as often
// as it takes, without a coroutine.
// Thread rule: as operations; the steps may complete on different workers, one after the other.
#pragma once

#include <blitzio/io/detail/child_starter.hpp>
#include <blitzio/io/detail/late_value.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/outcome_slot.hpp>
#include <blitzio/io/detail/start_gate.hpp>
#include <blitzio/io/detail/stream_scope.hpp>
#include <blitzio/io/detail/stream_step.hpp>

#include <concepts>
#include <exception>
#include <type_traits>
#include <utility>

namespace blitzio
{

/// What the pipe operator joins and for_each() and the like run; see stream.hpp. Sources that only
/// have next() are wrapped.
template <class Stage>
concept stream_stage =
    std::move_constructible<Stage> && requires(Stage& stage, stream_scope& scope) {
        typename Stage::value_type;
        stage.open(scope);
        { stage.close() } noexcept;
        { stage.next() } -> awaitable_operation;
        requires std::same_as<await_result_t<decltype(stage.next())>,
                              stream_step<typename Stage::value_type>>;
    };

namespace detail
{

/// The operation that next() of `Stage` gives.
template <class Stage>
using next_operation_t = decltype(std::declval<Stage&>().next());

/// What a stage made of a value.
enum class stage_verdict : unsigned char
{
    emitted, // there is an outcome
    more,    // not yet, ask above for another value
    work,    // an operation was made that decides
};

/// For stages that never wait themselves.
struct no_work
{
};

/// `Logic` has
///     input, output, work           types; work is no_work or an operation
///     bool exhausted()              true: the end, without asking above
///     stage_verdict feed(input&&, outcome&, late_value<work>&)
///     stage_verdict finish(late_value<work>&, outcome&)     the operation has ended
///     void at_end(outcome&)         above has ended: a last value, or the end
/// where outcome is outcome_slot<stream_step<output>>. All of them may throw.
template <class Upstream, class Logic>
class logic_stage
{
public:
    using value_type = typename Logic::output;
    using outcome = outcome_slot<stream_step<value_type>>;
    class next_operation;

    logic_stage(Upstream&& upstream, Logic&& logic)
        : upstream_(std::move(upstream)), logic_(std::move(logic))
    {
    }

    void open(stream_scope& scope)
    {
        upstream_.open(scope);
    }

    void close() noexcept
    {
        upstream_.close();
    }

    [[nodiscard]] next_operation next() noexcept
    {
        return next_operation(*this);
    }

private:
    Upstream upstream_;
    Logic logic_;
    /// Ended, failed or thrown.
    bool finished_ = false;
};

template <class Upstream, class Logic>
class logic_stage<Upstream, Logic>::next_operation
    : public awaitable_base<typename logic_stage<Upstream, Logic>::next_operation>,
      private runnable
{
    using input_step = stream_step<typename Logic::input>;
    using work_type = typename Logic::work;
    static constexpr bool waits = !std::is_same_v<work_type, no_work>;

    enum class progress : unsigned char
    {
        done,
        again,
        pending,
    };

public:
    explicit next_operation(logic_stage& stage) noexcept : stage_(&stage) {}

    /// Only before start().
    next_operation(next_operation&& other) noexcept : runnable(), stage_(other.stage_) {}

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        env_ = &env;
        on_complete_ = who;
        gate_.begin();
        return go_on(progress::again) && gate_.suspend();
    }

    [[nodiscard]] stream_step<value_type> await_resume()
    {
        return outcome_.take();
    }

private:
    /// True: something is under way that ends through its waiter, or has done so.
    [[nodiscard]] bool go_on(progress last) noexcept
    {
        while (last == progress::again)
        {
            last = guarded([this] { return pull(); });
            if (last == progress::again)
            {
                // A stage that drops all it gets may never wait for anything.
                if (env_->stop.stop_requested())
                {
                    last = finish(fail(std::errc::operation_canceled));
                }
                else if (!consume_budget())
                {
                    this->run = &on_turn;
                    schedule_last(*env_->runtime, *this);
                    return true;
                }
            }
        }
        return last == progress::pending;
    }

    template <class Call>
    progress guarded(Call call) noexcept
    {
        try
        {
            return call();
        }
        catch (...)
        {
            stage_->finished_ = true;
            outcome_.emplace_exception(std::current_exception());
            return progress::done;
        }
    }

    /// A task that ends while it is started is not continued from there, so that a stage which takes
    /// many of them for one value does not grow the stack.
    template <waiter::complete_function Ended, class Child>
    [[nodiscard]] bool start_step(Child& child) noexcept
    {
        if constexpr (transferable<Child>)
        {
            step_gate_.begin();
            const waiter gated{[](void* self) noexcept -> std::coroutine_handle<> {
                                   if (!static_cast<next_operation*>(self)->step_gate_.end())
                                   {
                                       return std::noop_coroutine();
                                   }
                                   return Ended(self);
                               },
                               this};
            return child.start(*env_, gated) && step_gate_.suspend();
        }
        else
        {
            return child.start(*env_, {Ended, this});
        }
    }

    progress finish(stream_step<value_type> step)
    {
        stage_->finished_ = true;
        outcome_.emplace_value(std::move(step));
        return progress::done;
    }

    progress pull()
    {
        if (stage_->finished_ || stage_->logic_.exhausted())
        {
            return finish(end_step<value_type>());
        }
        asking_.emplace_from([this] { return stage_->upstream_.next(); });
        if (start_step<&on_asked>(*asking_))
        {
            return progress::pending;
        }
        return digest();
    }

    progress digest()
    {
        input_step step = asking_->await_resume();
        asking_.reset();
        if (!step)
        {
            return finish(fail(step.error()));
        }
        if (!step->has_value())
        {
            stage_->finished_ = true;
            stage_->logic_.at_end(outcome_);
            return progress::done;
        }
        const auto verdict = stage_->logic_.feed(std::move(**step), outcome_, work_);
        if constexpr (waits)
        {
            if (verdict == stage_verdict::work)
            {
                if (start_step<&on_worked>(*work_))
                {
                    return progress::pending;
                }
                return finish_work();
            }
        }
        return judge(verdict);
    }

    progress finish_work()
    {
        const auto verdict = stage_->logic_.finish(work_, outcome_);
        work_.reset();
        return judge(verdict);
    }

    progress judge(stage_verdict verdict) noexcept
    {
        if (verdict == stage_verdict::more)
        {
            return progress::again;
        }
        if (!outcome_.value()) // an error that the stage's function gave
        {
            stage_->finished_ = true;
        }
        return progress::done;
    }

    [[nodiscard]] std::coroutine_handle<> continue_with(progress reached) noexcept
    {
        if (go_on(reached))
        {
            return std::noop_coroutine();
        }
        return gate_.end() ? on_complete_() : std::noop_coroutine();
    }

    static std::coroutine_handle<> on_asked(void* context) noexcept
    {
        auto& self = *static_cast<next_operation*>(context);
        return self.continue_with(self.guarded([&self] { return self.digest(); }));
    }

    static std::coroutine_handle<> on_worked(void* context) noexcept
    {
        auto& self = *static_cast<next_operation*>(context);
        return self.continue_with(self.guarded([&self] { return self.finish_work(); }));
    }

    static void on_turn(runnable* item) noexcept
    {
        auto& self = *static_cast<next_operation*>(item);
        resume(self.continue_with(progress::again));
    }

    logic_stage* stage_;
    const task_env* env_ = nullptr;
    waiter on_complete_;
    start_gate<> gate_;
    start_gate<> step_gate_;
    late_value<next_operation_t<Upstream>> asking_;
    [[no_unique_address]] late_value<work_type> work_;
    outcome outcome_;
};

} // namespace detail

} // namespace blitzio
