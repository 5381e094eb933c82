// The tasks that an open stream runs beside its consumer, and how they end with it.
// Thread rule: begin(), end() and stop() by the operation that opened the stream; add() by whoever
// holds a count already; one_ended() on any worker.
#pragma once

#include <blitzio/io/detail/linked_stop.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/outcome_slot.hpp>
#include <blitzio/io/task.hpp>

#include <atomic>
#include <cstddef>
#include <utility>

namespace blitzio
{

namespace detail
{
template <class Pipeline, class Body>
class stream_operation;
} // namespace detail

/// Given to the stages of a stream when it is opened. A stage that runs tasks of its own starts them
/// in env(), after add(), and each calls one_ended() as its last action. Their stop is requested when
/// the consumer has ended, or is asked to stop; the stream ends when all of them have.
class stream_scope
{
public:
    stream_scope() noexcept = default;
    stream_scope(const stream_scope&) = delete;
    stream_scope& operator=(const stream_scope&) = delete;

    /// The environment of the stages' tasks.
    [[nodiscard]] const task_env& env() const noexcept
    {
        return env_;
    }

    /// One task more. Before it is scheduled.
    void add() noexcept
    {
        pending_.fetch_add(1, std::memory_order_relaxed); // whoever adds is counted
    }

    /// The last access of a task to the stream. Returns the coroutine to go on with.
    [[nodiscard]] std::coroutine_handle<> one_ended() noexcept
    {
        return count_down(1) ? on_complete_() : std::noop_coroutine();
    }

private:
    template <class Pipeline, class Body>
    friend class detail::stream_operation;

    /// Counts the consumer, and whoever starts it.
    void begin(const task_env& env, detail::waiter who) noexcept
    {
        env_ = env;
        stop_.link(env.stop);
        env_.stop = stop_.source().get_token();
        on_complete_ = who;
        pending_.store(2, std::memory_order_relaxed);
    }

    [[nodiscard]] bool count_down(std::size_t count) noexcept
    {
        // acq_rel: the last one sees what the others have stored.
        return pending_.fetch_sub(count, std::memory_order_acq_rel) == count;
    }

    void stop() noexcept
    {
        stop_.source().request_stop(stop_reason::sibling);
    }

    void end() noexcept
    {
        stop_.unlink();
    }

    task_env env_;
    detail::linked_stop stop_;
    detail::waiter on_complete_;
    std::atomic<std::size_t> pending_{0};
};

namespace detail
{

/// One task of a stage, which lies in the stage and may run on another worker at once.
class stream_child : private runnable
{
public:
    stream_child() noexcept = default;
    /// Only before launch().
    stream_child(stream_child&&) noexcept {}

    /// `work` does not throw.
    void launch(stream_scope& scope, task<void> work) noexcept
    {
        scope_ = &scope;
        work_ = std::move(work);
        this->run = [](runnable* item) noexcept {
            auto& self = *static_cast<stream_child*>(item);
            static_cast<void>(self.work_.start(self.scope_->env(), {&on_ended, &self}));
        };
        scope.add();
        schedule_last(*scope.env().runtime, *this);
    }

private:
    static std::coroutine_handle<> on_ended(void* context) noexcept
    {
        auto& self = *static_cast<stream_child*>(context);
        const auto outcome = self.work_.take_outcome();
        if (outcome.has_exception())
        {
            report_unobserved(self.scope_->env(), outcome.exception());
        }
        return self.scope_->one_ended();
    }

    stream_scope* scope_ = nullptr;
    task<void> work_;
};

} // namespace detail

} // namespace blitzio
