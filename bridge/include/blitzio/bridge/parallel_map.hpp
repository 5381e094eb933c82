// Computing a result for each element of a range on all threads of a pool, from a task.
// Thread rule: awaited in tasks; the callable runs on several threads of the pool at once. Stops,
// errors and lifetime: parallel_options.hpp.
#pragma once

#include <blitzio/bridge/detail/parallel_operation.hpp>
#include <blitzio/bridge/parallel_options.hpp>
#include <blitzio/compute/parallel_map.hpp>

#include <iterator>
#include <ranges>
#include <source_location>
#include <utility>

namespace blitzio
{

using parallel_map_options = parallel_options;

namespace detail
{

template <class Function>
auto map_body(Function&& function)
{
    return [function = std::forward<Function>(function)](
               auto& elements, const compute::parallel_options& options, stop_token stop) mutable {
        return compute::parallel_map(elements, function, options, stop);
    };
}

template <class Function>
auto map_in_place_body(Function&& function)
{
    return [function = std::forward<Function>(function)](
               auto& elements, const compute::parallel_options& options, stop_token stop) mutable {
        return compute::parallel_map_in_place(elements, function, options, stop);
    };
}

template <class Out, class Function>
auto map_into_body(Out out, Function&& function)
{
    return [out, function = std::forward<Function>(function)](
               auto& elements, const compute::parallel_options& options, stop_token stop) mutable {
        return compute::parallel_map_into(elements, out, function, options, stop);
    };
}

} // namespace detail

/// Computes `function(element)` or `function(element, stop_token)` for every element of `range` on
/// the threads of `pool`. Gives result<std::vector<R>> with the results in input order, or
/// result<void> when `function` gives nothing. R needs only a move constructor. Any forward range
/// will do; random access saves a list of its positions.
template <std::ranges::viewable_range Range, class Function>
    requires std::ranges::forward_range<Range>
[[nodiscard]] auto parallel_map(compute::pool& pool, Range&& range, Function&& function,
                                parallel_options options = {},
                                std::source_location where = std::source_location::current())
{
    return detail::make_parallel(&pool, std::forward<Range>(range), options, where,
                                 detail::map_body(std::forward<Function>(function)));
}

/// The same on the process's default pool, compute::default_pool().
template <std::ranges::viewable_range Range, class Function>
    requires std::ranges::forward_range<Range>
[[nodiscard]] auto parallel_map(Range&& range, Function&& function, parallel_options options = {},
                                std::source_location where = std::source_location::current())
{
    return detail::make_parallel(nullptr, std::forward<Range>(range), options, where,
                                 detail::map_body(std::forward<Function>(function)));
}

/// `element = function(element)` for every element of `range`: result<void>. After an error some
/// elements have changed and others have not.
template <std::ranges::viewable_range Range, class Function>
    requires std::ranges::forward_range<Range>
[[nodiscard]] auto parallel_map_in_place(
    compute::pool& pool, Range&& range, Function&& function, parallel_options options = {},
    std::source_location where = std::source_location::current())
{
    return detail::make_parallel(&pool, std::forward<Range>(range), options, where,
                                 detail::map_in_place_body(std::forward<Function>(function)));
}

/// The same on the process's default pool.
template <std::ranges::viewable_range Range, class Function>
    requires std::ranges::forward_range<Range>
[[nodiscard]] auto parallel_map_in_place(
    Range&& range, Function&& function, parallel_options options = {},
    std::source_location where = std::source_location::current())
{
    return detail::make_parallel(nullptr, std::forward<Range>(range), options, where,
                                 detail::map_in_place_body(std::forward<Function>(function)));
}

/// Writes `function(element)` for every element of `range` to `out` and what follows it, which has
/// room for all and outlives the await: result<void>. After an error some are written and others are
/// not.
template <std::ranges::viewable_range Range, std::random_access_iterator Out, class Function>
    requires std::ranges::forward_range<Range>
[[nodiscard]] auto parallel_map_into(compute::pool& pool, Range&& range, Out out,
                                     Function&& function, parallel_options options = {},
                                     std::source_location where = std::source_location::current())
{
    return detail::make_parallel(&pool, std::forward<Range>(range), options, where,
                                 detail::map_into_body(out, std::forward<Function>(function)));
}

/// The same on the process's default pool.
template <std::ranges::viewable_range Range, std::random_access_iterator Out, class Function>
    requires std::ranges::forward_range<Range>
[[nodiscard]] auto parallel_map_into(Range&& range, Out out, Function&& function,
                                     parallel_options options = {},
                                     std::source_location where = std::source_location::current())
{
    return detail::make_parallel(nullptr, std::forward<Range>(range), options, where,
                                 detail::map_into_body(out, std::forward<Function>(function)));
}

} // namespace blitzio
