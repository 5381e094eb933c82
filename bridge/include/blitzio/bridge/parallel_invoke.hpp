// Calling several things at once on the threads of a pool, from a task.
// Thread rule: awaited in tasks; the callables run on several threads of the pool. Stops, errors and
// lifetime: parallel_options.hpp.
#pragma once

#include <blitzio/bridge/detail/parallel_operation.hpp>
#include <blitzio/bridge/parallel_options.hpp>
#include <blitzio/compute/parallel_invoke.hpp>

#include <concepts>
#include <ranges>
#include <source_location>
#include <tuple>
#include <type_traits>
#include <utility>

namespace blitzio
{

namespace detail
{

template <class... Functions>
auto make_invoke(compute::pool* pool, parallel_options chosen, std::source_location where,
                 Functions&&... functions)
{
    chosen.inline_max = 0;
    return make_parallel(
        pool, std::views::iota(std::size_t{0}, sizeof...(Functions)), chosen, where,
        [all = std::tuple<std::decay_t<Functions>...>(std::forward<Functions>(functions)...)](
            auto&, const compute::parallel_options& options, stop_token stop) mutable {
            return std::apply(
                [&](auto&... each) { return compute::detail::invoke_all(options, stop, each...); },
                all);
        });
}

} // namespace detail

/// Calls every `function()` or `function(stop_token)` once on the threads of `pool`, at the same time
/// as far as there are threads: result<std::tuple<...>> of what they give, in the order given here,
/// std::monostate for nothing. What a function gives is taken as it is, a result, too.
template <compute::detail::invocable_with_or_without_stop... Functions>
    requires(sizeof...(Functions) > 0)
[[nodiscard]] auto parallel_invoke(compute::pool& pool, Functions&&... functions)
{
    return detail::make_invoke(&pool, {}, std::source_location::current(),
                               std::forward<Functions>(functions)...);
}

/// The same; of the options only admission and deadline count.
template <compute::detail::invocable_with_or_without_stop... Functions>
    requires(sizeof...(Functions) > 0)
[[nodiscard]] auto parallel_invoke(compute::pool& pool, parallel_options options,
                                   Functions&&... functions)
{
    return detail::make_invoke(&pool, options, std::source_location::current(),
                               std::forward<Functions>(functions)...);
}

/// The same on the process's default pool.
template <compute::detail::invocable_with_or_without_stop... Functions>
    requires(sizeof...(Functions) > 0)
[[nodiscard]] auto parallel_invoke(Functions&&... functions)
{
    return detail::make_invoke(nullptr, {}, std::source_location::current(),
                               std::forward<Functions>(functions)...);
}

} // namespace blitzio
