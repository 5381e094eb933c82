// Calling several things at once, inside a job of a pool.
// Thread rule: see parallel.hpp.
#pragma once

#include <blitzio/compute/detail/parallel_loop.hpp>
#include <blitzio/compute/parallel_options.hpp>

#include <functional>
#include <optional>
#include <tuple>
#include <utility>
#include <variant>

namespace blitzio::compute
{

namespace detail
{

template <class Function>
concept invocable_with_or_without_stop =
    std::invocable<Function&> || std::invocable<Function&, stop_token>;

template <class Function>
decltype(auto) invoke_part(Function& function, [[maybe_unused]] stop_token stop)
{
    if constexpr (std::invocable<Function&, stop_token>)
    {
        return std::invoke(function, stop);
    }
    else
    {
        return std::invoke(function);
    }
}

/// What a function gives, as a value; std::monostate for nothing.
template <class Function>
using part_result_t = std::conditional_t<
    std::is_void_v<decltype(invoke_part(std::declval<Function&>(), stop_token()))>, std::monostate,
    std::remove_cvref_t<decltype(invoke_part(std::declval<Function&>(), stop_token()))>>;

template <class... Functions>
class invocation
{
public:
    using results = std::tuple<std::optional<part_result_t<Functions>>...>;

    invocation(parallel_loop& loop, results& made, Functions&... functions)
        : loop_(loop), made_(made), functions_(functions...)
    {
    }

    void run()
    {
        between<0, sizeof...(Functions)>();
    }

private:
    /// Halves, so that the last one does not wait for all others to be handed out.
    template <std::size_t First, std::size_t Last>
    void between()
    {
        if constexpr (Last - First == 1)
        {
            call<First>();
        }
        else
        {
            constexpr std::size_t middle = First + (Last - First) / 2;
            fork(
                loop_, [this](bool) { between<First, middle>(); },
                [this](bool) { between<middle, Last>(); });
        }
    }

    template <std::size_t Index>
    void call()
    {
        if (loop_.stop_requested())
        {
            loop_.cut_short();
            return;
        }
        auto& function = std::get<Index>(functions_);
        auto& place = std::get<Index>(made_);
        if constexpr (std::is_void_v<decltype(invoke_part(function, stop_token()))>)
        {
            invoke_part(function, loop_.token());
            place.emplace();
        }
        else
        {
            place.emplace(invoke_part(function, loop_.token()));
        }
    }

    parallel_loop& loop_;
    results& made_;
    std::tuple<Functions&...> functions_;
};

/// parallel_invoke with the options that the bridge needs.
template <class... Functions>
auto invoke_all(const parallel_options& options, stop_token stop, Functions&... functions)
    -> result<std::tuple<part_result_t<Functions>...>>
{
    typename invocation<Functions...>::results made;
    const auto done = run_loop(options, stop, [&](parallel_loop& loop) {
        invocation<Functions...>(loop, made, functions...).run();
    });
    if (!done)
    {
        return std::unexpected(done.error());
    }
    return std::apply(
        [](auto&... parts) {
            return std::tuple<part_result_t<Functions>...>(std::move(*parts)...);
        },
        made);
}

} // namespace detail

/// Calls every `function()` or `function(stop_token)` once, at the same time as far as there are
/// threads, and gives a result<std::tuple<...>> of what they give, std::monostate for nothing. What
/// a function gives is taken as it is, a result, too.
template <detail::invocable_with_or_without_stop... Functions>
    requires(sizeof...(Functions) > 0)
auto parallel_invoke(Functions&&... functions)
{
    return detail::invoke_all(parallel_options{}, stop_token(), functions...);
}

} // namespace blitzio::compute
