// A parallel algorithm as an operation: one job of a pool that splits itself.
// Thread rule: awaited in tasks; the callables run on several threads of the pool at once.
#pragma once

#include <blitzio/bridge/compute_on.hpp>
#include <blitzio/bridge/parallel_options.hpp>
#include <blitzio/compute/detail/context.hpp>
#include <blitzio/compute/parallel_options.hpp>

#include <cstddef>
#include <ranges>
#include <source_location>
#include <type_traits>
#include <utility>

namespace blitzio::detail
{

/// What runs on the pool: `body(elements, options, token)` calls the algorithm of compute.
template <class View, class Body>
struct parallel_call
{
    View elements;
    Body body;
    parallel_options options;
    bool sequential = false;

    auto operator()(stop_token stop)
    {
        return body(elements,
                    compute::parallel_options{.grain = options.grain,
                                              .sequential = sequential,
                                              .waits = options.waits,
                                              .deterministic = options.deterministic},
                    stop);
    }

    /// Counts no further than it has to.
    [[nodiscard]] bool has_at_most(std::size_t limit)
    {
        if constexpr (std::ranges::sized_range<View>)
        {
            return static_cast<std::size_t>(std::ranges::size(elements)) <= limit;
        }
        else
        {
            auto position = std::ranges::begin(elements);
            const auto end = std::ranges::end(elements);
            std::size_t count = 0;
            while (position != end && count <= limit)
            {
                ++position;
                ++count;
            }
            return count <= limit;
        }
    }
};

template <class View, class Body>
class parallel_operation : public awaitable_base<parallel_operation<View, Body>>,
                           private compute_operation<parallel_call<View, Body>>
{
    using call_type = parallel_call<View, Body>;
    using base = compute_operation<call_type>;
    using outcome_type = call_result_t<call_type>;

public:
    parallel_operation(compute::pool* pool, call_type&& call, compute_choice chosen)
        : base(pool, std::move(call), chosen)
    {
    }

    /// Only before start().
    parallel_operation(parallel_operation&& other) : base(static_cast<base&&>(other)) {}

    using awaitable_base<parallel_operation<View, Body>>::await_ready;
    using awaitable_base<parallel_operation<View, Body>>::await_suspend;

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        auto& call = this->call();
        inline_ = call.has_at_most(call.options.inline_max);
        call.sequential = inline_ || runs_jobs_inline(*env.runtime);
        if (inline_)
        {
            const auto context = base::context_of(env);
            const compute::detail::context_scope inside(&context);
            store_outcome(here_, [&] { return call(env.stop); });
            return false;
        }
        return base::start(env, who);
    }

    outcome_type await_resume()
    {
        return inline_ ? here_.take() : base::await_resume();
    }

private:
    bool inline_ = false;
    outcome_slot<outcome_type> here_;
};

/// `body` and what it captures live in the operation, and so in the awaiting frame.
template <class Range, class Body>
auto make_parallel(compute::pool* pool, Range&& range, parallel_options options,
                   std::source_location where, Body body)
{
    using view = std::views::all_t<Range>;
    using call = parallel_call<view, Body>;
    return parallel_operation<view, Body>(
        pool, call{std::views::all(std::forward<Range>(range)), std::move(body), options},
        compute_choice::for_loop({.admission = options.admission, .deadline = options.deadline},
                                 &call_site_of<call>(where)));
}

} // namespace blitzio::detail
