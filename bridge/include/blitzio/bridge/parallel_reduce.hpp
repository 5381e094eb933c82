// One value out of all elements of a range, computed on all threads of a pool, from a task.
// Thread rule: awaited in tasks; the callables run on several threads of the pool at once. Stops,
// errors and lifetime: parallel_options.hpp.
#pragma once

#include <blitzio/bridge/detail/parallel_operation.hpp>
#include <blitzio/bridge/parallel_options.hpp>
#include <blitzio/compute/parallel_reduce.hpp>

#include <concepts>
#include <ranges>
#include <source_location>
#include <utility>

namespace blitzio
{

namespace detail
{

template <class T, class Transform, class Combine>
auto reduce_body(T&& identity, Transform&& transform, Combine&& combine)
{
    return [identity = std::move(identity), transform = std::forward<Transform>(transform),
            combine = std::forward<Combine>(combine)](
               auto& elements, const compute::parallel_options& options, stop_token stop) mutable {
        return compute::parallel_reduce(elements, std::move(identity), transform, combine, options,
                                        stop);
    };
}

} // namespace detail

/// `combine`s what `transform(element)` or `transform(element, stop_token)` gives for every element
/// of `range`, beginning with `identity`, on the threads of `pool`: result<T>. Values are combined in
/// input order, but grouped as the threads come to it: `combine(T, T)` is associative, and `identity`
/// changes nothing and may be used any number of times. With options.deterministic the grouping is
/// always the same, and so is a sum of floating-point numbers.
template <std::ranges::viewable_range Range, std::movable T, class Transform, class Combine>
    requires std::ranges::forward_range<Range>
[[nodiscard]] auto parallel_reduce(compute::pool& pool, Range&& range, T identity,
                                   Transform&& transform, Combine&& combine,
                                   parallel_options options = {},
                                   std::source_location where = std::source_location::current())
{
    return detail::make_parallel(&pool, std::forward<Range>(range), options, where,
                                 detail::reduce_body(std::move(identity),
                                                     std::forward<Transform>(transform),
                                                     std::forward<Combine>(combine)));
}

/// The same on the process's default pool.
template <std::ranges::viewable_range Range, std::movable T, class Transform, class Combine>
    requires std::ranges::forward_range<Range>
[[nodiscard]] auto parallel_reduce(Range&& range, T identity, Transform&& transform,
                                   Combine&& combine, parallel_options options = {},
                                   std::source_location where = std::source_location::current())
{
    return detail::make_parallel(nullptr, std::forward<Range>(range), options, where,
                                 detail::reduce_body(std::move(identity),
                                                     std::forward<Transform>(transform),
                                                     std::forward<Combine>(combine)));
}

} // namespace blitzio
