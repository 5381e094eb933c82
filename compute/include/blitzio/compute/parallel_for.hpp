// Calling something for every element of a range, inside a job of a pool.
// Thread rule: see parallel.hpp.
#pragma once

#include <blitzio/compute/detail/elements.hpp>
#include <blitzio/compute/detail/parallel_loop.hpp>
#include <blitzio/compute/parallel_options.hpp>

namespace blitzio::compute
{

/// Calls `function(element)` or `function(element, stop_token)` for every element of `range`, in any
/// order. Success: it was called for all of them. If it returns a result, the first error stops the
/// loop and is its error; nothing else that it returns is looked at.
template <std::ranges::forward_range Range, class Function>
    requires detail::takes_element<std::remove_reference_t<Function>,
                                   std::ranges::range_reference_t<Range>>
result<void> parallel_for(Range&& range, Function&& function, parallel_options options = {},
                          stop_token stop = {})
{
    using range_type = std::remove_reference_t<Range>;
    const detail::index_iterators<range_type> elements(range);
    return detail::run_loop(options, stop, [&](detail::parallel_loop& loop) {
        const stop_token token = loop.token();
        detail::for_all(loop, elements, [&](std::size_t, auto&& element) {
            using returned = decltype(detail::call_with(function, token,
                                                        std::forward<decltype(element)>(element)));
            if constexpr (is_result<std::remove_cvref_t<returned>>)
            {
                const auto& outcome =
                    detail::call_with(function, token, std::forward<decltype(element)>(element));
                if (!outcome)
                {
                    loop.fail_with(outcome.error());
                }
            }
            else
            {
                static_cast<void>(
                    detail::call_with(function, token, std::forward<decltype(element)>(element)));
            }
        });
    });
}

/// The same for the indices (of the common type of both), or for the elements, from `first` to
/// before `last`.
template <class First, class Last, class Function>
    requires detail::index_or_iterator_pair<First, Last>
result<void> parallel_for(First first, Last last, Function&& function,
                          parallel_options options = {}, stop_token stop = {})
{
    return parallel_for(detail::range_between(first, last), function, options, stop);
}

} // namespace blitzio::compute
