// Waiting for several operations at once: when_all stops at the first failure, gather does not.
// Thread rule: awaited in tasks; the children may complete on different workers, at the same time.
#pragma once

#include <blitzio/io/detail/child_counter.hpp>
#include <blitzio/io/task.hpp>

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace blitzio
{

namespace detail
{

enum class on_failure : unsigned char
{
    stop_others,
    go_on,
};

template <on_failure Reaction, class... Operations>
class when_all_operation : public awaitable_base<when_all_operation<Reaction, Operations...>>,
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
            if (first_thrown_.index() != no_child)
            {
                std::exception_ptr first;
                (sort_out(Index, std::get<Index>(outcomes_), first), ...);
                std::rethrow_exception(std::move(first));
            }
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
        if (outcome.has_exception())
        {
            first_thrown_.claim(Index);
        }
        if (Reaction == on_failure::stop_others && is_failure(outcome))
        {
            stop_siblings();
        }
    }

    template <class T>
    void sort_out(std::size_t index, outcome_slot<T>& outcome, std::exception_ptr& first) noexcept
    {
        if (index == first_thrown_.index())
        {
            first = outcome.exception();
            return;
        }
        report_if_thrown(outcome);
    }

    std::tuple<Operations...> children_;
    std::tuple<outcome_slot<await_result_t<Operations>>...> outcomes_;
    first_child first_thrown_;
};

template <on_failure Reaction, class Operation>
class when_all_range_operation
    : public awaitable_base<when_all_range_operation<Reaction, Operation>>,
      private child_list<Operation, when_all_range_operation<Reaction, Operation>>
{
    using children = child_list<Operation, when_all_range_operation>;
    using typename children::child;
    using child_result = await_result_t<Operation>;
    friend children;

public:
    using outcome_type = std::conditional_t<std::is_void_v<child_result>, void,
                                            std::vector<stored_type<child_result>>>;

    template <class Range>
    explicit when_all_range_operation(std::in_place_t, Range&& operations)
        : children(std::forward<Range>(operations))
    {
    }

    /// Only before start().
    when_all_range_operation(when_all_range_operation&& other) noexcept
        : children(static_cast<children&&>(other))
    {
    }

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        return this->start_all(*this, env, who);
    }

    outcome_type await_resume()
    {
        this->stop_.unlink();
        if (const auto first = first_thrown_.index(); first != no_child)
        {
            for (child& ended : this->children_)
            {
                if (this->index_of(ended) != first)
                {
                    this->report_if_thrown(ended.outcome);
                }
            }
            std::rethrow_exception(this->children_[first].outcome.exception());
        }
        if constexpr (!std::is_void_v<child_result>)
        {
            outcome_type values;
            values.reserve(this->children_.size());
            for (child& ended : this->children_)
            {
                values.push_back(std::move(ended.outcome.value()));
            }
            return values;
        }
    }

private:
    void collect(child& ended) noexcept
    {
        this->store(ended);
        if (ended.outcome.has_exception())
        {
            first_thrown_.claim(this->index_of(ended));
        }
        if (Reaction == on_failure::stop_others && is_failure(ended.outcome))
        {
            this->stop_siblings();
        }
    }

    first_child first_thrown_;
};

} // namespace detail

/// Runs all operations at once and gives their results as a tuple, in order (std::monostate for
/// void). Fails fast: the first child that throws or returns an error makes the others stop; all are
/// awaited in any case.
/// Exceptions: the first to be thrown is thrown again. Further ones go to
/// runtime_config::on_unobserved_exception, or are printed; those that only say operation_canceled
/// are consequences of the stop and are dropped.
/// Cancellation: a stop request of the awaiting task reaches every child. No allocation.
template <awaitable_operation... Operations>
    requires(sizeof...(Operations) > 0 && (!std::is_lvalue_reference_v<Operations> && ...))
[[nodiscard]] auto when_all(Operations&&... operations)
{
    return detail::when_all_operation<detail::on_failure::stop_others,
                                      std::remove_cvref_t<Operations>...>(std::move(operations)...);
}

/// The same for any number of operations of one type; gives a vector (nothing for task<void>).
/// One allocation for all of them.
template <operation_range Range>
[[nodiscard]] auto when_all(Range&& operations)
{
    return detail::when_all_range_operation<detail::on_failure::stop_others,
                                            std::ranges::range_value_t<Range>>(
        std::in_place, std::forward<Range>(operations));
}

/// Like when_all, but nobody is stopped: every child runs to its own end, and its value or error is
/// in the result. What children throw is treated as by when_all, after all have ended; give
/// capture(operation) to have exceptions among the results.
template <awaitable_operation... Operations>
    requires(sizeof...(Operations) > 0 && (!std::is_lvalue_reference_v<Operations> && ...))
[[nodiscard]] auto gather(Operations&&... operations)
{
    return detail::when_all_operation<detail::on_failure::go_on,
                                      std::remove_cvref_t<Operations>...>(std::move(operations)...);
}

template <operation_range Range>
[[nodiscard]] auto gather(Range&& operations)
{
    return detail::when_all_range_operation<detail::on_failure::go_on,
                                            std::ranges::range_value_t<Range>>(
        std::in_place, std::forward<Range>(operations));
}

} // namespace blitzio
