// as_completed(): the results of many operations, in the order in which they end, as a stream.
// Thread rule: the stream as stream.hpp says; the operations may run on different workers, at once.
#pragma once

#include <blitzio/io/detail/child_counter.hpp>
#include <blitzio/io/detail/spin_lock.hpp>
#include <blitzio/io/stream.hpp>

#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

namespace blitzio
{

/// One result of as_completed(): which operation of the range, and what it gave.
template <class T>
struct completed
{
    std::size_t index;
    [[no_unique_address]] detail::stored_type<T> value;
};

namespace detail
{

/// Invariant under the lock: at most `running_max_` operations have been scheduled and not taken over
/// by the consumer, so that results waiting to be taken count as running. The consumer waits only when
/// none is finished.
template <class Operation>
class completion_stage
{
    using result_type = await_result_t<Operation>;

    struct child : runnable
    {
        explicit child(Operation&& given) noexcept : work(std::move(given)) {}
        child(child&& other) noexcept : runnable(), work(std::move(other.work)) {}

        Operation work;
        outcome_slot<result_type> outcome;
        completion_stage* stage = nullptr;
        child* following = nullptr; // among the finished
    };

public:
    using value_type = completed<result_type>;
    class next_operation;

    template <class Range>
    completion_stage(Range&& operations, std::size_t running_max)
        : running_max_(running_max == 0 ? 1 : running_max)
    {
        if constexpr (std::ranges::sized_range<Range>)
        {
            children_.reserve(std::ranges::size(operations));
        }
        for (auto&& operation : operations)
        {
            children_.emplace_back(std::move(operation));
        }
    }

    /// Only before open().
    completion_stage(completion_stage&& other) noexcept
        : children_(std::move(other.children_)), running_max_(other.running_max_)
    {
    }

    ~completion_stage()
    {
        // What nobody took: values are destroyed with their children, exceptions are told.
        for (child* left = first_; left != nullptr; left = left->following)
        {
            if (left->outcome.has_exception())
            {
                report_suppressed(scope_env_, left->outcome.exception());
            }
        }
    }

    void open(stream_scope& scope) noexcept
    {
        scope_ = &scope;
        scope_env_ = scope.env();
        for (std::size_t count = 0; count < running_max_ && count < children_.size(); ++count)
        {
            launch_next();
        }
    }

    void close() noexcept
    {
        next_operation* told = nullptr;
        {
            const spin_guard held(lock_);
            closed_ = true;
            told = std::exchange(consumer_, nullptr);
        }
        wake(told);
    }

    [[nodiscard]] next_operation next() noexcept
    {
        return next_operation(*this);
    }

private:
    /// By the consumer, or before there is one.
    void launch_next() noexcept
    {
        child& started = children_[launched_++];
        started.stage = this;
        started.run = &first_run;
        scope_->add();
        schedule_last(*scope_->env().runtime, started);
    }

    static void first_run(runnable* item) noexcept
    {
        auto& self = *static_cast<child*>(item);
        if (!self.work.start(self.stage->scope_->env(), {&on_ended, &self}))
        {
            resume(on_ended(&self));
        }
    }

    static std::coroutine_handle<> on_ended(void* context) noexcept
    {
        auto& self = *static_cast<child*>(context);
        store_outcome(self.outcome, [&self] { return self.work.await_resume(); });
        completion_stage& stage = *self.stage;
        next_operation* told = nullptr;
        {
            const spin_guard held(stage.lock_);
            (stage.last_ == nullptr ? stage.first_ : stage.last_->following) = &self;
            stage.last_ = &self;
            told = std::exchange(stage.consumer_, nullptr);
        }
        stage.wake(told);
        return stage.scope_->one_ended();
    }

    void wake(next_operation* told) noexcept
    {
        if (told != nullptr)
        {
            schedule(*scope_env_.runtime, *told);
        }
    }

    std::vector<child> children_;
    std::size_t running_max_;
    std::size_t launched_ = 0;
    std::size_t taken_ = 0;
    stream_scope* scope_ = nullptr;
    task_env scope_env_;
    spin_lock lock_;
    child* first_ = nullptr;
    child* last_ = nullptr;
    next_operation* consumer_ = nullptr;
    bool closed_ = false;
};

template <class Operation>
class completion_stage<Operation>::next_operation
    : public awaitable_base<typename completion_stage<Operation>::next_operation>,
      public runnable
{
public:
    explicit next_operation(completion_stage& stage) noexcept : stage_(&stage) {}

    /// Only before start().
    next_operation(next_operation&& other) noexcept : runnable(), stage_(other.stage_) {}

    [[nodiscard]] bool start(const task_env&, waiter who) noexcept
    {
        on_complete_ = who;
        this->run = [](runnable* item) noexcept {
            resume(static_cast<next_operation*>(item)->on_complete_());
        };
        const spin_guard held(stage_->lock_);
        if (stage_->first_ != nullptr || stage_->closed_ ||
            stage_->taken_ == stage_->children_.size())
        {
            return false;
        }
        stage_->consumer_ = this;
        return true;
    }

    [[nodiscard]] stream_step<value_type> await_resume()
    {
        child* ended = nullptr;
        bool more = false;
        {
            const spin_guard held(stage_->lock_);
            more = !stage_->closed_;
            ended = stage_->first_;
            if (ended != nullptr)
            {
                stage_->first_ = ended->following;
                if (stage_->first_ == nullptr)
                {
                    stage_->last_ = nullptr;
                }
            }
        }
        if (ended == nullptr)
        {
            return end_step<value_type>();
        }
        ++stage_->taken_;
        if (more && stage_->launched_ < stage_->children_.size())
        {
            stage_->launch_next();
        }
        const auto index = static_cast<std::size_t>(ended - stage_->children_.data());
        if constexpr (std::is_void_v<result_type>)
        {
            ended->outcome.take();
            return make_step<value_type>({index, {}});
        }
        else
        {
            return make_step<value_type>({index, ended->outcome.take()});
        }
    }

private:
    completion_stage* stage_;
    waiter on_complete_;
};

} // namespace detail

/// Runs the operations of a range, at most `running_max` at a time, and gives a source of completed<T>
/// in the order in which they end; an error is a value like others:
///     co_await (as_completed(std::move(downloads), 8)
///               | streams::for_each([](completed<result<page>> next) { ... }));
/// A result that waits to be taken counts as running, so that a slow consumer bounds what is going on.
/// What an operation throws is thrown at the await, and the others are stopped. When the consumer ends
/// early, those that run are stopped and awaited, those that have not begun never begin.
/// One allocation for all of them.
template <operation_range Range>
[[nodiscard]] auto as_completed(Range&& operations,
                                std::size_t running_max = static_cast<std::size_t>(-1))
{
    return detail::completion_stage<std::ranges::range_value_t<Range>>(
        std::forward<Range>(operations), running_max);
}

} // namespace blitzio
