// Sorting a range on all threads of a pool, from a task.
// Thread rule: awaited in tasks; the comparison runs on several threads of the pool at once. Stops,
// errors and lifetime: parallel_options.hpp.
#pragma once

#include <blitzio/bridge/detail/parallel_operation.hpp>
#include <blitzio/bridge/parallel_options.hpp>
#include <blitzio/compute/parallel_sort.hpp>

#include <functional>
#include <iterator>
#include <ranges>
#include <source_location>
#include <utility>

namespace blitzio
{

namespace detail
{

template <class Compare>
auto sort_body(Compare&& compare)
{
    return [compare = std::move(compare)](auto& elements, const compute::parallel_options& options,
                                          stop_token stop) mutable {
        return compute::parallel_sort(elements, std::move(compare), options, stop);
    };
}

} // namespace detail

/// Sorts `range` in place by `compare`, a strict weak ordering, on the threads of `pool`:
/// result<void>. Equal elements end up in any order. Uses no memory beside the stack. After an error
/// all elements are there, in any order. See compute::parallel_sort.
template <std::ranges::viewable_range Range, class Compare = std::ranges::less>
    requires std::ranges::random_access_range<Range> && std::ranges::borrowed_range<Range> &&
             std::sortable<std::ranges::iterator_t<Range>, Compare>
[[nodiscard]] auto parallel_sort(compute::pool& pool, Range&& range, Compare compare = {},
                                 parallel_options options = {},
                                 std::source_location where = std::source_location::current())
{
    return detail::make_parallel(&pool, std::forward<Range>(range), options, where,
                                 detail::sort_body(std::move(compare)));
}

/// The same on the process's default pool.
template <std::ranges::viewable_range Range, class Compare = std::ranges::less>
    requires std::ranges::random_access_range<Range> && std::ranges::borrowed_range<Range> &&
             std::sortable<std::ranges::iterator_t<Range>, Compare>
[[nodiscard]] auto parallel_sort(Range&& range, Compare compare = {}, parallel_options options = {},
                                 std::source_location where = std::source_location::current())
{
    return detail::make_parallel(nullptr, std::forward<Range>(range), options, where,
                                 detail::sort_body(std::move(compare)));
}

} // namespace blitzio
