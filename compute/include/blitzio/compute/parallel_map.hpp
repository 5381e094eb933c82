// One result for each element of a range, inside a job of a pool.
// Thread rule: see parallel.hpp.
#pragma once

#include <blitzio/compute/detail/elements.hpp>
#include <blitzio/compute/detail/parallel_loop.hpp>
#include <blitzio/compute/detail/result_buffer.hpp>
#include <blitzio/compute/parallel_options.hpp>

namespace blitzio::compute
{

namespace detail
{

/// result<std::vector<R>>, or result<void> when there is nothing to collect.
template <class Result>
struct map_result
{
    using type = result<std::vector<Result>>;
};
template <>
struct map_result<void>
{
    using type = result<void>;
};

template <class Range, class Function>
using map_result_t = typename map_result<element_result_t<Range, Function>>::type;

} // namespace detail

/// Calls `function(element)` or `function(element, stop_token)` for every element of `range` and
/// gives the results in input order: a result<std::vector<R>>, or result<void> when `function`
/// gives nothing. R needs a move constructor, nothing else. Any forward range will do; random access
/// saves a list of its positions.
template <std::ranges::forward_range Range, class Function>
    requires detail::takes_element<std::remove_reference_t<Function>,
                                   std::ranges::range_reference_t<Range>>
auto parallel_map(Range&& range, Function&& function, parallel_options options = {},
                  stop_token stop = {})
    -> detail::map_result_t<std::remove_reference_t<Range>, std::remove_reference_t<Function>>
{
    using range_type = std::remove_reference_t<Range>;
    using value_type = detail::element_result_t<range_type, std::remove_reference_t<Function>>;
    const detail::index_iterators<range_type> elements(range);
    detail::result_buffer<value_type> results(elements.count());
    auto done = detail::run_loop(options, stop, [&](detail::parallel_loop& loop) {
        const stop_token token = loop.token();
        detail::for_all(loop, elements, [&](std::size_t index, auto&& element) {
            results.fill(index, [&]() -> decltype(auto) {
                return detail::call_with(function, token, std::forward<decltype(element)>(element));
            });
        });
    });
    if (!done)
    {
        return std::unexpected(done.error());
    }
    return results.take();
}

/// `element = function(element)` for every element of `range`. After an error some elements have
/// changed and others have not.
template <std::ranges::forward_range Range, class Function>
    requires detail::takes_element<std::remove_reference_t<Function>,
                                   std::ranges::range_reference_t<Range>>
result<void> parallel_map_in_place(Range&& range, Function&& function,
                                   parallel_options options = {}, stop_token stop = {})
{
    using range_type = std::remove_reference_t<Range>;
    const detail::index_iterators<range_type> elements(range);
    return detail::run_loop(options, stop, [&](detail::parallel_loop& loop) {
        const stop_token token = loop.token();
        detail::for_all(loop, elements, [&](std::size_t, auto&& element) {
            element = detail::call_with(function, token, element);
        });
    });
}

/// Writes `function(element)` for every element of `range` to `out` and what follows it, which has
/// room for all. After an error some are written and others are not.
template <std::ranges::forward_range Range, std::random_access_iterator Out, class Function>
    requires detail::takes_element<std::remove_reference_t<Function>,
                                   std::ranges::range_reference_t<Range>>
result<void> parallel_map_into(Range&& range, Out out, Function&& function,
                               parallel_options options = {}, stop_token stop = {})
{
    using range_type = std::remove_reference_t<Range>;
    const detail::index_iterators<range_type> elements(range);
    return detail::run_loop(options, stop, [&](detail::parallel_loop& loop) {
        const stop_token token = loop.token();
        detail::for_all(loop, elements, [&](std::size_t index, auto&& element) {
            out[static_cast<std::iter_difference_t<Out>>(index)] =
                detail::call_with(function, token, std::forward<decltype(element)>(element));
        });
    });
}

} // namespace blitzio::compute
