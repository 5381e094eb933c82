// Calling something for every element of a range on all threads of a pool, from a task.
// Thread rule: awaited in tasks; the callable runs on several threads of the pool at once. Stops,
// errors and lifetime: parallel_options.hpp.
#pragma once

#include <blitzio/bridge/detail/parallel_operation.hpp>
#include <blitzio/bridge/parallel_options.hpp>
#include <blitzio/compute/parallel_for.hpp>

#include <ranges>
#include <source_location>
#include <utility>

namespace blitzio
{

namespace detail
{

template <class Function>
auto for_body(Function&& function)
{
    return [function = std::forward<Function>(function)](
               auto& elements, const compute::parallel_options& options, stop_token stop) mutable {
        return compute::parallel_for(elements, function, options, stop);
    };
}

} // namespace detail

/// Calls `function(element)` or `function(element, stop_token)` for every element of `range` on the
/// threads of `pool`, in any order: result<void>, success when it was called for all of them. If it
/// returns a result, the first error stops the loop and is its error.
template <std::ranges::viewable_range Range, class Function>
    requires std::ranges::forward_range<Range>
[[nodiscard]] auto parallel_for(compute::pool& pool, Range&& range, Function&& function,
                                parallel_options options = {},
                                std::source_location where = std::source_location::current())
{
    return detail::make_parallel(&pool, std::forward<Range>(range), options, where,
                                 detail::for_body(std::forward<Function>(function)));
}

/// The same on the process's default pool.
template <std::ranges::viewable_range Range, class Function>
    requires std::ranges::forward_range<Range>
[[nodiscard]] auto parallel_for(Range&& range, Function&& function, parallel_options options = {},
                                std::source_location where = std::source_location::current())
{
    return detail::make_parallel(nullptr, std::forward<Range>(range), options, where,
                                 detail::for_body(std::forward<Function>(function)));
}

/// For the indices (of the common type of both), or for the elements, from `first` to before `last`.
template <class First, class Last, class Function>
    requires compute::detail::index_or_iterator_pair<First, Last>
[[nodiscard]] auto parallel_for(compute::pool& pool, First first, Last last, Function&& function,
                                parallel_options options = {},
                                std::source_location where = std::source_location::current())
{
    return parallel_for(pool, compute::detail::range_between(first, last),
                        std::forward<Function>(function), options, where);
}

/// The same on the process's default pool.
template <class First, class Last, class Function>
    requires compute::detail::index_or_iterator_pair<First, Last>
[[nodiscard]] auto parallel_for(First first, Last last, Function&& function,
                                parallel_options options = {},
                                std::source_location where = std::source_location::current())
{
    return parallel_for(compute::detail::range_between(first, last),
                        std::forward<Function>(function), options, where);
}

} // namespace blitzio
