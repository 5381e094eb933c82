// Sorting on all threads of a pool, inside one of its jobs.
// Thread rule: see parallel.hpp.
#pragma once

#include <blitzio/compute/detail/parallel_quicksort.hpp>
#include <blitzio/compute/parallel_options.hpp>

#include <functional>
#include <iterator>
#include <ranges>

namespace blitzio::compute
{

/// Sorts `range` in place by `compare`, a strict weak ordering (so no NaN among floating-point
/// numbers); equal elements end up in any order. O(n log n) whatever the input. Uses no memory
/// beside the stack.
/// Stops are asked for between pieces of at most some thousand elements. After an error, or an
/// exception of `compare`, all elements are there, in any order, if swapping and moving them does
/// not throw. The same holds for a `compare` that is no ordering: then the order is any, but
/// nothing is lost and nothing outside of the range is touched.
template <std::ranges::random_access_range Range, class Compare = std::ranges::less>
    requires std::sortable<std::ranges::iterator_t<Range>, Compare>
result<void> parallel_sort(Range&& range, Compare compare = {}, parallel_options options = {},
                           stop_token stop = {})
{
    using iterator = std::ranges::iterator_t<Range>;
    const iterator first = std::ranges::begin(range);
    const iterator last = std::ranges::next(first, std::ranges::end(range));
    return detail::run_loop(options, stop, [&](detail::parallel_loop& loop) {
        detail::quicksort<iterator, Compare>(loop, compare).run(first, last);
    });
}

} // namespace blitzio::compute
