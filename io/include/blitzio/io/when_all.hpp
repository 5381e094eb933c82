// Waiting for several operations at once.
// Thread rule: awaited in tasks; the children may complete on different workers, at the same time.
#pragma once

#include <blitzio/io/detail/linked_stop.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/outcome_slot.hpp>
#include <blitzio/io/task.hpp>

#include <atomic>
#include <cstddef>
#include <memory>
#include <tuple>
#include <utility>
#include <vector>

namespace blitzio
{

namespace detail
{

/// The counting part of all combinators that wait for every child.
class child_counter
{
protected:
    void begin_children(std::size_t count, const task_env& env, waiter who) noexcept
    {
        env_ = env;
        stop_.link(env.stop);
        env_.stop = stop_.source().get_token();
        on_complete_ = who;
        // One more than there are children: nobody continues the parent while it still starts them.
        pending_.store(count + 1, std::memory_order_relaxed);
    }

    /// One child, or the starting loop, is through. True: it was the last one.
    [[nodiscard]] bool count_down() noexcept
    {
        // acq_rel: the last one sees what every other child has stored.
        return pending_.fetch_sub(1, std::memory_order_acq_rel) == 1;
    }

    [[nodiscard]] std::coroutine_handle<> child_ended() noexcept
    {
        return count_down() ? on_complete_() : std::noop_coroutine();
    }

    /// Starts the child at `Index` of `self`, whose collect<Index>() takes its result.
    template <std::size_t Index, class Self, class Child>
    static void start_child(Self& self, Child& child) noexcept
    {
        const waiter ended{[](void* parent) noexcept {
                               auto& combinator = *static_cast<Self*>(parent);
                               combinator.template collect<Index>();
                               return combinator.child_ended();
                           },
                           &self};
        if (!child.start(self.env_, ended))
        {
            self.template collect<Index>();
            // Never the last: the starting loop still holds its own count.
            static_cast<void>(self.count_down());
        }
    }

    task_env env_;
    linked_stop stop_;
    waiter on_complete_;
    std::atomic<std::size_t> pending_{0};
};

template <class T>
bool is_failure(outcome_slot<T>& outcome) noexcept
{
    if constexpr (is_result<T>)
    {
        return outcome.has_exception() || !outcome.value().has_value();
    }
    else
    {
        return outcome.has_exception();
    }
}

template <class... Operations>
class when_all_operation : public awaitable_base<when_all_operation<Operations...>>,
                           private child_counter
{
public:
    using outcome_type = std::tuple<stored_type<await_result_t<Operations>>...>;

    explicit when_all_operation(Operations&&... operations) noexcept
        : children_(std::move(operations)...)
    {
    }

    when_all_operation(when_all_operation&& other) noexcept : children_(std::move(other.children_))
    {
    }

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        begin_children(sizeof...(Operations), env, who);
        [this]<std::size_t... Index>(std::index_sequence<Index...>) {
            (child_counter::start_child<Index>(*this, std::get<Index>(children_)), ...);
        }(std::index_sequence_for<Operations...>{});
        return !count_down();
    }

    outcome_type await_resume()
    {
        stop_.unlink();
        return [this]<std::size_t... Index>(std::index_sequence<Index...>) {
            (rethrow_first(std::get<Index>(outcomes_)), ...);
            return outcome_type(std::move(std::get<Index>(outcomes_).value())...);
        }(std::index_sequence_for<Operations...>{});
    }

private:
    friend child_counter;

    template <std::size_t Index>
    void collect() noexcept
    {
        auto& outcome = std::get<Index>(outcomes_);
        store_outcome(outcome, [this] { return std::get<Index>(children_).await_resume(); });
        if (is_failure(outcome))
        {
            stop_.source().request_stop(stop_reason::sibling);
        }
    }

    template <class T>
    static void rethrow_first(outcome_slot<T>& outcome)
    {
        if (outcome.has_exception())
        {
            std::rethrow_exception(outcome.exception());
        }
    }

    std::tuple<Operations...> children_;
    std::tuple<outcome_slot<await_result_t<Operations>>...> outcomes_;
};

template <class T>
class when_all_range_operation : public awaitable_base<when_all_range_operation<T>>,
                                 private child_counter
{
public:
    using outcome_type = std::conditional_t<std::is_void_v<T>, void, std::vector<stored_type<T>>>;

    explicit when_all_range_operation(std::vector<task<T>> children)
        : children_(std::make_unique<child[]>(children.size())), size_(children.size())
    {
        for (std::size_t index = 0; index < size_; ++index)
        {
            children_[index].work = std::move(children[index]);
        }
    }

    when_all_range_operation(when_all_range_operation&& other) noexcept
        : children_(std::move(other.children_)), size_(std::exchange(other.size_, 0))
    {
    }

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        begin_children(size_, env, who);
        for (std::size_t index = 0; index < size_; ++index)
        {
            auto& started = children_[index];
            started.parent = this;
            static_cast<void>(started.work.start(env_, {&on_ended, &started}));
        }
        return !count_down();
    }

    outcome_type await_resume()
    {
        stop_.unlink();
        for (std::size_t index = 0; index < size_; ++index)
        {
            if (children_[index].outcome.has_exception())
            {
                std::rethrow_exception(children_[index].outcome.exception());
            }
        }
        if constexpr (!std::is_void_v<T>)
        {
            outcome_type values;
            values.reserve(size_);
            for (std::size_t index = 0; index < size_; ++index)
            {
                values.push_back(std::move(children_[index].outcome.value()));
            }
            return values;
        }
    }

private:
    struct child
    {
        task<T> work;
        outcome_slot<T> outcome;
        when_all_range_operation* parent = nullptr;
    };

    static std::coroutine_handle<> on_ended(void* ended) noexcept
    {
        auto& done = *static_cast<child*>(ended);
        auto& parent = *done.parent;
        done.outcome = done.work.take_outcome();
        if (is_failure(done.outcome))
        {
            parent.stop_.source().request_stop(stop_reason::sibling);
        }
        return parent.child_ended();
    }

    std::unique_ptr<child[]> children_;
    std::size_t size_;
};

} // namespace detail

/// Runs all operations at once and gives their results as a tuple, in order (std::monostate for
/// void). Fails fast: the first child that throws or returns an error makes the others stop; all are
/// awaited in any case. The first exception, in order of the arguments, is thrown again.
/// Cancellation: a stop request of the awaiting task reaches every child. No allocation.
template <awaitable_operation... Operations>
    requires(sizeof...(Operations) > 0 && (!std::is_lvalue_reference_v<Operations> && ...))
[[nodiscard]] auto when_all(Operations&&... operations)
{
    return detail::when_all_operation<std::remove_cvref_t<Operations>...>(std::move(operations)...);
}

/// The same for any number of tasks of one type; gives a vector (nothing for task<void>).
/// One allocation for all of them.
template <class T>
[[nodiscard]] auto when_all(std::vector<task<T>> tasks)
{
    return detail::when_all_range_operation<T>(std::move(tasks));
}

} // namespace blitzio
