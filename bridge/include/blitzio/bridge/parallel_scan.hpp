// All partial sums of a range, computed on all threads of a pool, from a task.
// Thread rule: awaited in tasks; the callable runs on several threads of the pool at once. Stops,
// errors and lifetime: parallel_options.hpp.
#pragma once

#include <blitzio/bridge/detail/parallel_operation.hpp>
#include <blitzio/bridge/parallel_options.hpp>
#include <blitzio/compute/parallel_scan.hpp>

#include <concepts>
#include <iterator>
#include <ranges>
#include <source_location>
#include <utility>

namespace blitzio
{

using compute::scan_kind;

namespace detail
{

template <class Out, class T, class Combine>
auto scan_body(Out out, T&& identity, Combine&& combine, scan_kind kind)
{
    return [out, identity = std::move(identity), combine = std::forward<Combine>(combine), kind](
               auto& elements, const compute::parallel_options& options, stop_token stop) mutable {
        return compute::parallel_scan(elements, out, std::move(identity), combine, kind, options,
                                      stop);
    };
}

} // namespace detail

/// Writes the partial sums of `range` to `out` and what follows it, which has room for all and
/// outlives the await: result<void>. `combine(T, element)` and `combine(T, T)` are associative,
/// `identity` changes nothing. `out` may be the beginning of `range` itself. After an error some are
/// written and others are not. See compute::parallel_scan.
template <std::ranges::viewable_range Range, std::random_access_iterator Out, std::movable T,
          class Combine>
    requires std::ranges::forward_range<Range>
[[nodiscard]] auto parallel_scan(compute::pool& pool, Range&& range, Out out, T identity,
                                 Combine&& combine, scan_kind kind = scan_kind::inclusive,
                                 parallel_options options = {},
                                 std::source_location where = std::source_location::current())
{
    return detail::make_parallel(
        &pool, std::forward<Range>(range), options, where,
        detail::scan_body(out, std::move(identity), std::forward<Combine>(combine), kind));
}

/// The same on the process's default pool.
template <std::ranges::viewable_range Range, std::random_access_iterator Out, std::movable T,
          class Combine>
    requires std::ranges::forward_range<Range>
[[nodiscard]] auto parallel_scan(Range&& range, Out out, T identity, Combine&& combine,
                                 scan_kind kind = scan_kind::inclusive,
                                 parallel_options options = {},
                                 std::source_location where = std::source_location::current())
{
    return detail::make_parallel(
        nullptr, std::forward<Range>(range), options, where,
        detail::scan_body(out, std::move(identity), std::forward<Combine>(combine), kind));
}

} // namespace blitzio
