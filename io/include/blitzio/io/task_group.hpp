// Structured concurrency: tasks that cannot outlive the scope that started them.
// Thread rule: a task_group may be used by the scope's body and by the group's own tasks, on any
// worker.
#pragma once

#include <blitzio/io/detail/linked_stop.hpp>
#include <blitzio/io/detail/placement.hpp>
#include <blitzio/io/detail/spawn_cell.hpp>
#include <blitzio/io/spawn_options.hpp>

#include <atomic>
#include <exception>
#include <functional>
#include <source_location>
#include <system_error>
#include <type_traits>
#include <utility>

namespace blitzio
{

namespace detail
{
template <class Body>
class scope_operation;
} // namespace detail

/// The tasks of one scope(). The first that throws, or returns an error, makes the others stop.
class task_group
{
public:
    task_group() noexcept = default;
    task_group(const task_group&) = delete;
    task_group& operator=(const task_group&) = delete;

    /// Starts a task, or a callable that returns one (kept alive for as long as the task runs).
    /// The result of a task<T> with a plain value is dropped; an error counts as failure.
    /// One allocation besides the coroutine frame.
    template <class Work>
        requires detail::spawnable<Work>
    void spawn(Work&& work, const char* name = "",
               std::source_location where = std::source_location::current());
    /// The same with all options. The priority is the child's own, not that of the scope's task.
    template <class Work>
        requires detail::spawnable<Work>
    void spawn(Work&& work, const spawn_options& options,
               std::source_location where = std::source_location::current());

    /// Asks all tasks of the group, and the scope's body, to stop.
    void request_stop(stop_reason reason = stop_reason::user) noexcept
    {
        stop_.source().request_stop(reason);
    }

    /// The token that the group's tasks see.
    [[nodiscard]] stop_token get_stop_token() noexcept
    {
        return stop_.source().get_token();
    }

    /// Tasks that have not ended yet, the scope's body not counted.
    [[nodiscard]] std::size_t size() const noexcept
    {
        return (pending_.load(std::memory_order_relaxed) & ~starting) - 1;
    }

private:
    /// Whoever starts the scope counts, too, until the body's first suspension: a scope that has ended
    /// by then is not continued from inside its start, so a loop of them does not grow the stack.
    static constexpr std::size_t starting = ~(~std::size_t{0} >> 1);

    template <class>
    friend class detail::scope_operation;
    template <class Work>
    class child_cell;

    void begin(const task_env& env, detail::waiter who) noexcept
    {
        env_ = env;
        stop_.link(env.stop);
        env_.stop = stop_.source().get_token();
        on_complete_ = who;
        pending_.store(1 | starting, std::memory_order_relaxed); // the body
    }

    /// The first failure is kept; it stops the others.
    void record_failure(std::exception_ptr thrown, std::error_code error) noexcept
    {
        if (!failed_.exchange(true, std::memory_order_relaxed))
        {
            // Read by the scope after the last count-down, which orders it.
            exception_ = std::move(thrown);
            error_ = error;
        }
        stop_.source().request_stop(stop_reason::sibling);
    }

    template <class T>
    void inspect(detail::outcome_slot<T>& outcome) noexcept
    {
        if (outcome.has_exception())
        {
            record_failure(outcome.exception(), {});
        }
        else if constexpr (is_result<T>)
        {
            if (!outcome.value())
            {
                record_failure(nullptr, outcome.value().error());
            }
        }
    }

    [[nodiscard]] std::coroutine_handle<> one_ended() noexcept
    {
        // acq_rel: the last one sees the results and failures of all others.
        if (pending_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        {
            return on_complete_();
        }
        return std::noop_coroutine();
    }

    /// True: somebody has not ended, and will continue the scope.
    [[nodiscard]] bool started() noexcept
    {
        return pending_.fetch_sub(starting, std::memory_order_acq_rel) != starting;
    }

    task_env env_;
    detail::linked_stop stop_;
    detail::waiter on_complete_;
    std::atomic<std::size_t> pending_{1};
    std::atomic<bool> failed_{false};
    std::exception_ptr exception_;
    std::error_code error_;
};

template <class Work>
class task_group::child_cell : public detail::known_task
{
public:
    using value_type = detail::spawn_value_t<Work>;

    template <class Source>
    child_cell(detail::task_origin origin, task_group& group, Source&& work) noexcept(
        std::is_nothrow_constructible_v<detail::spawned_body<Work>, Source>)
        : known_task(&first_run, *group.env_.runtime, group.env_.stop, origin), group_(group),
          work_(std::forward<Source>(work))
    {
    }

private:
    static void first_run(detail::runnable* item) noexcept
    {
        auto& self = *static_cast<child_cell*>(item);
        try
        {
            self.work_.make();
        }
        catch (...)
        {
            self.group_.record_failure(std::current_exception(), {});
            detail::resume(self.finish());
            return;
        }
        static_cast<void>(self.work_.body.start(self.env, {&on_finished, &self}));
    }

    static std::coroutine_handle<> on_finished(void* context) noexcept
    {
        auto& self = *static_cast<child_cell*>(context);
        auto outcome = self.work_.body.take_outcome();
        self.group_.inspect(outcome);
        return self.finish();
    }

    std::coroutine_handle<> finish() noexcept
    {
        task_group& group = group_;
        detail::remove_child(*this);
        detail::destroy_cell(this);
        return group.one_ended();
    }

    task_group& group_;
    detail::spawned_body<Work> work_;
};

template <class Work>
    requires detail::spawnable<Work>
void task_group::spawn(Work&& work, const char* name, std::source_location where)
{
    spawn(std::forward<Work>(work), spawn_options{.name = name}, where);
}

template <class Work>
    requires detail::spawnable<Work>
void task_group::spawn(Work&& work, const spawn_options& options, std::source_location where)
{
    using cell_type = child_cell<std::remove_cvref_t<Work>>;
    cell_type* cell = nullptr;
    if (options.is_ordinary() && env_.origin.details() == nullptr) [[likely]]
    {
        cell = detail::create_plain_cell<cell_type>(where, *this, std::forward<Work>(work));
    }
    else
    {
        auto details = env_.details();
        details.name = options.name;
        details.spawned_at = where;
        details.home = detail::placement_below(*env_.runtime, details.home, options.priority);
        cell = detail::create_detailed_cell<cell_type>(details, *this, std::forward<Work>(work));
    }
    pending_.fetch_add(1, std::memory_order_relaxed);
    detail::launch_child(*cell);
}

namespace detail
{

template <class Body>
class scope_operation : public awaitable_base<scope_operation<Body>>
{
    using task_type = std::invoke_result_t<Body&, task_group&>;

public:
    using value_type = typename task_type::value_type;

    explicit scope_operation(Body body) : body_(std::move(body)) {}

    /// Only before start().
    scope_operation(scope_operation&& other) : body_(std::move(other.body_)) {}

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        group_.begin(env, who);
        try
        {
            running_ = std::invoke(body_, group_);
        }
        catch (...)
        {
            outcome_.emplace_exception(std::current_exception());
            static_cast<void>(group_.one_ended());
            return group_.started();
        }
        static_cast<void>(running_.start(group_.env_, {&on_body_ended, this}));
        return group_.started();
    }

    value_type await_resume()
    {
        group_.stop_.unlink();
        if (!outcome_.has_exception() && group_.failed_.load(std::memory_order_relaxed))
        {
            if (group_.exception_ != nullptr)
            {
                std::rethrow_exception(group_.exception_);
            }
            if constexpr (is_result<value_type>)
            {
                // An error of the body that is not a mere consequence of the stop says more.
                const bool body_was_stopped =
                    !outcome_.value() && outcome_.value().error() == std::errc::operation_canceled;
                if (outcome_.value() || body_was_stopped)
                {
                    return fail(group_.error_);
                }
            }
        }
        return outcome_.take();
    }

private:
    static std::coroutine_handle<> on_body_ended(void* context) noexcept
    {
        auto& self = *static_cast<scope_operation*>(context);
        self.outcome_ = self.running_.take_outcome();
        self.group_.inspect(self.outcome_);
        return self.group_.one_ended();
    }

    Body body_;
    task_group group_;
    task_type running_;
    outcome_slot<value_type> outcome_;
};

} // namespace detail

/// Runs `body(group)`, a coroutine that may spawn tasks into the group, and ends when the body and
/// every task have ended. Gives the body's result; if the body succeeded and a task failed, the
/// first failure: its exception, or its error when the body returns result<T>.
///
/// Failure of the body or of any task makes all others stop. Success of the body does not: the tasks
/// are waited for.
/// Cancellation: a stop request of the awaiting task reaches body and tasks.
template <class Body>
    requires std::invocable<Body&, task_group&>
[[nodiscard]] auto scope(Body&& body)
{
    return detail::scope_operation<std::remove_cvref_t<Body>>(std::forward<Body>(body));
}

} // namespace blitzio
