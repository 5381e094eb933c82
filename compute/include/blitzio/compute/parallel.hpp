// Parallel algorithms for use inside a job of a pool: the calling thread takes part and waits.
// Thread rule: call on a thread of a pool; the callable runs on several of its threads at once.
// Tasks use blitzio/bridge/parallel_map.hpp instead, which waits without a thread.
#pragma once

#include <blitzio/compute/detail/result_buffer.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/io/stop_token.hpp>

#include <concepts>
#include <cstddef>
#include <functional>
#include <iterator>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

namespace blitzio::compute
{

struct parallel_options
{
    /// The fewest elements worth handing to another thread; not more than that many are computed
    /// without any splitting. 0: one element.
    std::size_t grain = 0;
    /// One thread, in input order. For simulations and for debugging.
    bool sequential = false;
};

namespace detail
{

/// Computes the indices [first, last) and returns how many it finished before the token asked it to
/// stop. May throw; what it made until then stays where it is.
struct chunk_function
{
    void* context;
    std::size_t (*call)(void* context, std::size_t first, std::size_t last);
};

/// Calls `chunk` for stretches that together cover [0, count), on the threads of the current pool,
/// isolated from all other work: while it waits, this thread runs nothing else. True: every index
/// was finished. False: the token stopped it. Rethrows the first exception after all chunks ended.
[[nodiscard]] bool run_chunks(std::size_t count, const parallel_options& options, stop_token stop,
                              chunk_function chunk);

template <class Function, class Element>
concept takes_element_and_stop = std::invocable<Function&, Element, stop_token>;

template <class Function, class Element>
struct element_result
{
    using type = std::invoke_result_t<Function&, Element>;
};
template <class Function, class Element>
    requires takes_element_and_stop<Function, Element>
struct element_result<Function, Element>
{
    using type = std::invoke_result_t<Function&, Element, stop_token>;
};

/// What `function` gives for one element of `Range`, as a value.
template <class Range, class Function>
using element_result_t = std::remove_cvref_t<
    typename element_result<Function, std::ranges::range_reference_t<Range>>::type>;

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

/// The iterator of each index: computed where the range allows it, otherwise written down first,
/// so that no chunk has to walk there.
template <class Range>
class index_iterators
{
public:
    explicit index_iterators(Range& range)
    {
        if constexpr (random_access)
        {
            first_ = std::ranges::begin(range);
            count_ = static_cast<std::size_t>(std::ranges::distance(range));
        }
        else
        {
            for (auto position = std::ranges::begin(range); position != std::ranges::end(range);
                 ++position)
            {
                all_.push_back(position);
            }
            count_ = all_.size();
        }
    }

    [[nodiscard]] std::size_t count() const noexcept
    {
        return count_;
    }

    [[nodiscard]] std::ranges::iterator_t<Range> at(std::size_t index) const
    {
        if constexpr (random_access)
        {
            return first_ + static_cast<std::ranges::range_difference_t<Range>>(index);
        }
        else
        {
            return all_[index];
        }
    }

private:
    static constexpr bool random_access = std::ranges::random_access_range<Range>;
    struct nothing
    {
    };

    [[no_unique_address]] std::conditional_t<random_access, std::ranges::iterator_t<Range>, nothing>
        first_{};
    [[no_unique_address]] std::conditional_t<random_access, nothing,
                                             std::vector<std::ranges::iterator_t<Range>>> all_;
    std::size_t count_ = 0;
};

/// Everything that the chunks of one parallel_map share.
template <class Range, class Function>
class map_run
{
    using value_type = element_result_t<Range, Function>;

public:
    map_run(Range& range, Function& function, stop_token stop)
        : function_(function), stop_(stop), elements_(range), results_(elements_.count())
    {
    }

    map_result_t<Range, Function> run(const parallel_options& options)
    {
        const chunk_function chunk{this, [](void* self, std::size_t first, std::size_t last) {
                                       return static_cast<map_run*>(self)->compute(first, last);
                                   }};
        if (!run_chunks(elements_.count(), options, stop_, chunk))
        {
            return fail(std::errc::operation_canceled);
        }
        return results_.take();
    }

private:
    std::size_t compute(std::size_t first, std::size_t last)
    {
        auto position = elements_.at(first);
        for (std::size_t index = first; index != last; ++index)
        {
            if (stop_.stop_requested())
            {
                return index - first;
            }
            if constexpr (std::ranges::random_access_range<Range>)
            {
                results_.fill(index, [&]() -> decltype(auto) { return call(*position); });
                ++position;
            }
            else
            {
                results_.fill(index,
                              [&]() -> decltype(auto) { return call(*elements_.at(index)); });
            }
        }
        return last - first;
    }

    template <class Element>
    decltype(auto) call(Element&& element)
    {
        if constexpr (takes_element_and_stop<Function, Element>)
        {
            return std::invoke(function_, std::forward<Element>(element), stop_);
        }
        else
        {
            return std::invoke(function_, std::forward<Element>(element));
        }
    }

    Function& function_;
    stop_token stop_;
    index_iterators<Range> elements_;
    result_buffer<value_type> results_;
};

} // namespace detail

/// Calls `function(element)` or `function(element, stop_token)` for every element of `range`, on
/// the threads of the pool that the caller runs on, and gives the results in input order: a
/// result<std::vector<R>>, or result<void> when `function` gives nothing. `function` is called on
/// several threads at once. R needs a move constructor, nothing else.
///
/// Cancellation: asked between any two elements; then operation_canceled and no results. A request
/// that comes after the last element has no effect.
/// Errors: the first exception that `function` throws is thrown again, when no call is running any
/// more; the other results are destroyed.
/// Outside of a pool it runs on oneTBB's own threads.
template <std::ranges::forward_range Range, class Function>
auto parallel_map(Range&& range, Function&& function, parallel_options options = {},
                  stop_token stop = {})
    -> detail::map_result_t<std::remove_reference_t<Range>, std::remove_reference_t<Function>>
{
    detail::map_run<std::remove_reference_t<Range>, std::remove_reference_t<Function>> run(
        range, function, stop);
    return run.run(options);
}

} // namespace blitzio::compute
