// The parallel half of parallel_sort: quicksort down to pieces that one thread sorts on its own.
// Thread rule: run() inside a loop; the pieces that it hands out do not overlap.
#pragma once

#include <blitzio/compute/detail/parallel_loop.hpp>
#include <blitzio/compute/detail/sort_values.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace blitzio::compute::detail
{

template <std::random_access_iterator Iterator, class Compare>
class quicksort
{
    using value_type = std::iter_value_t<Iterator>;
    using difference = std::iter_difference_t<Iterator>;

public:
    quicksort(parallel_loop& loop, Compare& compare) : loop_(loop), compare_(compare)
    {
        leaf_ = static_cast<difference>(std::max(loop.options().grain, leaf_min));
    }

    void run(Iterator first, Iterator last)
    {
        // Both look no further than the order holds.
        if (std::is_sorted(first, last, std::ref(compare_)))
        {
            return;
        }
        const auto descending = [this](const auto& left, const auto& right) {
            return !std::invoke(compare_, right, left);
        };
        if (std::adjacent_find(first, last, descending) == last)
        {
            std::reverse(first, last);
            return;
        }
        const auto count = static_cast<std::size_t>(last - first);
        sort(first, last, 2 * static_cast<unsigned>(std::bit_width(count)));
    }

private:
    static constexpr std::size_t leaf_min = 65536;
    static constexpr difference samples = 63;
    /// Elements between two questions whether to go on.
    static constexpr difference stretch = 16384;
    /// Writing both places costs less than guessing which one, if it is only some registers.
    static constexpr bool without_branches =
        std::is_trivially_copyable_v<value_type> && sizeof(value_type) <= 16;

    /// `levels`: how many splits it may take until the input is held to be against us.
    void sort(Iterator first, Iterator last, unsigned levels)
    {
        if (!loop_.go_on())
        {
            loop_.cut_short();
            return;
        }
        if (last - first <= leaf_ || levels == 0)
        {
            sort_leaf(first, last);
            return;
        }
        const auto [left_end, right_begin, complete] = split(first, last);
        if (!complete)
        {
            loop_.cut_short();
            return;
        }
        fork(
            loop_, [&, end = left_end](bool) { sort(first, end, levels - 1); },
            [&, begin = right_begin](bool) { sort(begin, last, levels - 1); });
    }

    void sort_leaf(Iterator first, Iterator last)
    {
        if constexpr (sorts_numbers<Iterator, Compare>)
        {
            value_type* const begin = std::to_address(first);
            sort_values(begin, begin + (last - first), is_plain_greater<Compare, value_type>);
        }
        else
        {
            std::sort(first, last, std::ref(compare_));
        }
    }

    struct parts
    {
        Iterator left_end;
        Iterator right_begin; // what lies between is where it belongs
        bool complete;
    };

    parts split(Iterator first, Iterator last)
    {
        std::iter_swap(first, middle_of_samples(first, last));
        const auto less = [this](const value_type& value, const value_type& pivot) -> bool {
            return std::invoke(compare_, value, pivot);
        };
        auto [border, complete] = partition(first, std::next(first), last, less);
        const Iterator left_end = std::prev(border);
        std::iter_swap(first, left_end);
        if (complete && left_end - first < (last - first) / 16)
        {
            // Many elements may equal the pivot: they are done.
            const auto not_greater = [this](const value_type& value,
                                            const value_type& pivot) -> bool {
                return !std::invoke(compare_, pivot, value);
            };
            std::tie(border, complete) = partition(left_end, border, last, not_greater);
        }
        return {left_end, border, complete};
    }

    /// Brings those before `*pivot` by `belongs` to the front. False: the loop has to end; all
    /// elements are still there.
    template <class Belongs>
    std::pair<Iterator, bool> partition(Iterator pivot, Iterator first, Iterator last,
                                        Belongs belongs)
    {
        if constexpr (!without_branches)
        {
            const auto& value = *pivot;
            return {std::partition(first, last,
                                   [&](const auto& other) { return belongs(other, value); }),
                    true};
        }
        else
        {
            const value_type value = *pivot;
            Iterator border = first;
            while (first != last)
            {
                if (loop_.stop_requested())
                {
                    return {border, false};
                }
                const Iterator end = first + std::min(stretch, last - first);
                for (; first != end; ++first)
                {
                    // Lomuto's partition, with the comparison as a number.
                    const value_type current = *first;
                    const bool front = belongs(current, value);
                    *first = *border;
                    *border = current;
                    border += front;
                }
            }
            return {border, true};
        }
    }

    Iterator middle_of_samples(Iterator first, Iterator last)
    {
        std::array<Iterator, samples> chosen;
        const auto count = static_cast<std::uint64_t>(last - first);
        // Not evenly spaced, since that is what orderly inputs are, too.
        std::uint64_t random = count * 0x9e3779b97f4a7c15u | 1u;
        for (Iterator& place : chosen)
        {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            place = first + static_cast<difference>(random % count);
        }
        const auto middle = chosen.begin() + samples / 2;
        std::nth_element(chosen.begin(), middle, chosen.end(),
                         [this](const Iterator& left, const Iterator& right) -> bool {
                             return std::invoke(compare_, *left, *right);
                         });
        return *middle;
    }

    parallel_loop& loop_;
    Compare& compare_;
    difference leaf_;
};

} // namespace blitzio::compute::detail
