// The elements of a range by index, and calling something with one of them.
// Thread rule: construction by one thread; afterwards constant.
#pragma once

#include <blitzio/compute/detail/parallel_loop.hpp>
#include <blitzio/io/stop_token.hpp>

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <functional>
#include <iterator>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

namespace blitzio::compute::detail
{

template <class Function, class Element>
concept takes_element_and_stop = std::invocable<Function&, Element, stop_token>;

template <class Function, class Element>
concept takes_element =
    takes_element_and_stop<Function, Element> || std::invocable<Function&, Element>;

template <class Function, class Element>
decltype(auto) call_with(Function& function, [[maybe_unused]] stop_token stop, Element&& element)
{
    if constexpr (takes_element_and_stop<Function, Element>)
    {
        return std::invoke(function, std::forward<Element>(element), stop);
    }
    else
    {
        return std::invoke(function, std::forward<Element>(element));
    }
}

/// What `function` gives for one element of `Range`, as a value.
template <class Range, class Function>
using element_result_t =
    std::remove_cvref_t<decltype(call_with(std::declval<Function&>(), stop_token(),
                                           std::declval<std::ranges::range_reference_t<Range>>()))>;

/// Two indices of any integer types, or two iterators.
template <class First, class Last>
concept index_or_iterator_pair = (std::integral<First> && std::integral<Last>) ||
                                 (std::forward_iterator<First> && std::sentinel_for<Last, First>);

/// Either as a range.
template <class First, class Last>
auto range_between(First first, Last last)
{
    if constexpr (std::integral<First>)
    {
        using index = std::common_type_t<First, Last>;
        const auto begin = static_cast<index>(first);
        return std::views::iota(begin, std::max(begin, static_cast<index>(last)));
    }
    else
    {
        return std::ranges::subrange(first, last);
    }
}

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

    /// Calls `visit(index, reference)` for [first, last) until the loop has to end; how many.
    template <class Visit>
    std::size_t visit(parallel_loop& loop, std::size_t first, std::size_t last, Visit&& visit) const
    {
        pace steps(loop);
        std::size_t index = first;
        while (index != last)
        {
            const std::size_t step = steps.next(last - index);
            if (step == 0)
            {
                break;
            }
            visit_all(index, step, visit);
            index += step;
        }
        return index - first;
    }

private:
    static constexpr bool random_access = std::ranges::random_access_range<Range>;
    struct nothing
    {
    };

    /// Without a question, so that a compiler may vectorise it.
    template <class Visit>
    void visit_all(std::size_t index, std::size_t count, Visit& visit) const
    {
        if constexpr (random_access)
        {
            auto position = first_ + static_cast<std::ranges::range_difference_t<Range>>(index);
            for (std::size_t done = 0; done != count; ++done)
            {
                visit(index + done, *position);
                ++position;
            }
        }
        else
        {
            for (std::size_t done = 0; done != count; ++done)
            {
                visit(index + done, *all_[index + done]);
            }
        }
    }

    [[no_unique_address]] std::conditional_t<random_access, std::ranges::iterator_t<Range>, nothing>
        first_{};
    [[no_unique_address]] std::conditional_t<random_access, nothing,
                                             std::vector<std::ranges::iterator_t<Range>>> all_;
    std::size_t count_ = 0;
};

/// The chunks of one loop over all elements: `visit(index, reference)` for each.
template <class Range, class Visit>
class element_chunks
{
public:
    element_chunks(parallel_loop& loop, const index_iterators<Range>& elements, Visit& visit)
        : loop_(loop), elements_(elements), visit_(visit)
    {
    }

    bool run()
    {
        return loop_.run_chunks(elements_.count(), loop_.options().grain,
                                {this, [](void* self, std::size_t first, std::size_t last) {
                                     auto& chunks = *static_cast<element_chunks*>(self);
                                     return chunks.elements_.visit(chunks.loop_, first, last,
                                                                   chunks.visit_);
                                 }});
    }

private:
    parallel_loop& loop_;
    const index_iterators<Range>& elements_;
    Visit& visit_;
};

/// Calls `visit(index, reference)` for every element; true when it was called for all.
template <class Range, class Visit>
bool for_all(parallel_loop& loop, const index_iterators<Range>& elements, Visit&& visit)
{
    return element_chunks<Range, std::remove_reference_t<Visit>>(loop, elements, visit).run();
}

} // namespace blitzio::compute::detail
