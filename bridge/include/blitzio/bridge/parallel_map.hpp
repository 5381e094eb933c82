// Computing a result for each element of a range on all threads of a pool, from a task.
// Thread rule: awaited in tasks; the callable runs on several threads of the pool at once.
#pragma once

#include <blitzio/bridge/compute_on.hpp>
#include <blitzio/compute/parallel.hpp>

#include <cstddef>
#include <ranges>
#include <utility>

namespace blitzio
{

struct parallel_map_options
{
    /// The fewest elements worth handing to another thread; inputs that are not larger are computed
    /// on one thread of the pool, without splitting. 0: one element.
    std::size_t grain = 0;
    /// Inputs of at most this many elements are computed at once on the worker that awaits, which
    /// saves the way to the pool and back; everything else on that worker waits meanwhile.
    std::size_t inline_max = 0;
};

namespace detail
{

/// What runs on the pool: the elements, the callable, and how to split them.
template <class View, class Function>
struct map_call
{
    View elements;
    Function function;
    parallel_map_options options;
    bool sequential = false;

    auto operator()(stop_token stop)
    {
        return compute::parallel_map(elements, function,
                                     {.grain = options.grain, .sequential = sequential}, stop);
    }

    /// Counts no further than it has to.
    [[nodiscard]] bool has_at_most(std::size_t limit)
    {
        if constexpr (std::ranges::sized_range<View>)
        {
            return static_cast<std::size_t>(std::ranges::size(elements)) <= limit;
        }
        else
        {
            auto position = std::ranges::begin(elements);
            const auto end = std::ranges::end(elements);
            std::size_t count = 0;
            while (position != end && count <= limit)
            {
                ++position;
                ++count;
            }
            return count <= limit;
        }
    }
};

template <class View, class Function>
class parallel_map_operation : public awaitable_base<parallel_map_operation<View, Function>>,
                               private compute_operation<map_call<View, Function>>
{
    using base = compute_operation<map_call<View, Function>>;
    using outcome_type = compute::detail::map_result_t<View, Function>;

public:
    parallel_map_operation(compute::pool* pool, map_call<View, Function>&& call)
        : base(pool, std::move(call))
    {
    }

    parallel_map_operation(parallel_map_operation&& other) : base(static_cast<base&&>(other)) {}

    using awaitable_base<parallel_map_operation<View, Function>>::await_ready;
    using awaitable_base<parallel_map_operation<View, Function>>::await_suspend;

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        auto& call = this->call();
        inline_ = call.has_at_most(call.options.inline_max);
        call.sequential = inline_ || is_simulated(*env.runtime);
        if (inline_)
        {
            store_outcome(here_, [&] { return call(env.stop); });
            return false;
        }
        return base::start(env, who);
    }

    outcome_type await_resume()
    {
        return inline_ ? here_.take() : base::await_resume();
    }

private:
    bool inline_ = false;
    outcome_slot<outcome_type> here_;
};

template <class Range, class Function>
auto make_parallel_map(compute::pool* pool, Range&& range, Function&& function,
                       parallel_map_options options)
{
    using view = std::views::all_t<Range>;
    using function_type = std::remove_cvref_t<Function>;
    return parallel_map_operation<view, function_type>(
        pool, map_call<view, function_type>{std::views::all(std::forward<Range>(range)),
                                            std::forward<Function>(function), options});
}

} // namespace detail

/// Computes `function(element)` or `function(element, stop_token)` for every element of `range` on
/// the threads of `pool`: one job that splits the range in two, and so on, while threads are idle.
/// Gives result<std::vector<R>> with the results in input order, or result<void> when `function`
/// gives nothing: all results or an error, never some. R needs only a move constructor.
///
/// `function` runs on several threads at once. A range given as an lvalue is borrowed and must
/// outlive the await; one given as an rvalue lives in the awaiting frame. Any forward range will
/// do; random access saves a list of its positions.
/// Cancellation: asked between any two elements; then operation_canceled, and the results made so
/// far are destroyed. A stop after the last element has no effect.
/// Errors: as compute_on. The first exception thrown by `function` is thrown again where it is
/// awaited, after every running call has ended.
template <std::ranges::viewable_range Range, class Function>
    requires std::ranges::forward_range<Range>
[[nodiscard]] auto parallel_map(compute::pool& pool, Range&& range, Function&& function,
                                parallel_map_options options = {})
{
    return detail::make_parallel_map(&pool, std::forward<Range>(range),
                                     std::forward<Function>(function), options);
}

/// The same on the process's default pool, compute::default_pool().
template <std::ranges::viewable_range Range, class Function>
    requires std::ranges::forward_range<Range>
[[nodiscard]] auto parallel_map(Range&& range, Function&& function,
                                parallel_map_options options = {})
{
    return detail::make_parallel_map(nullptr, std::forward<Range>(range),
                                     std::forward<Function>(function), options);
}

} // namespace blitzio
