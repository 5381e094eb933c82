// Quicksort on all threads of a loop. The first partitions are made by several threads together,
// until there are as many pieces as threads.
// Thread rule: run() inside a loop; the pieces that it hands out do not overlap.
//
// No comparison is trusted: whatever it answers, nothing outside of the range is touched, and when
// it throws all elements are still there. The sorts of pdqsort and of the standard library look for
// a border without asking where the range ends, which an inconsistent order takes them across; so
// they serve the standard orders of numbers only.
#pragma once

#include <blitzio/compute/detail/parallel_loop.hpp>
#include <blitzio/compute/detail/sort_values.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <iterator>
#include <memory>
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
        const difference threads = loop_.options().sequential ? 1 : loop_.width();
        sort(first, last, 2 * static_cast<unsigned>(std::bit_width(count)), threads);
    }

private:
    static constexpr std::size_t leaf_min = 65536;
    /// Elements between two questions whether to go on; also what is dealt to threads that
    /// partition together.
    static constexpr difference block = 4096;
    /// Numbers in a standard order are left to sort_values() from here on: above, the partition of
    /// Lomuto is faster than that of pdqsort.
    static constexpr difference numbers_leaf = 256;
    /// Up to here sorted by insertion.
    static constexpr difference few = 24;
    /// Writing both places costs less than guessing which one, if it is only some registers.
    static constexpr bool without_branches = std::is_trivially_copyable_v<value_type> &&
                                             std::copyable<value_type> && sizeof(value_type) <= 16;

    [[nodiscard]] bool before(const value_type& left, const value_type& right)
    {
        return std::invoke(compare_, left, right);
    }

    /// `levels`: how many splits it may take until the input is held to be against us. `threads`:
    /// as many partition this piece together.
    void sort(Iterator first, Iterator last, unsigned levels, difference threads)
    {
        if (!loop_.go_on())
        {
            loop_.cut_short();
            return;
        }
        if (last - first <= leaf_ || levels == 0)
        {
            sort_alone(first, last, levels);
            return;
        }
        const auto [left_end, right_begin, complete] = split(first, last, threads);
        if (!complete)
        {
            loop_.cut_short();
            return;
        }
        // The threads go where the elements are.
        const difference left_count = left_end - first;
        const difference count = std::max<difference>(left_count + (last - right_begin), 1);
        const difference for_left = std::clamp<difference>(
            (threads * left_count + count / 2) / count, 1, std::max<difference>(threads - 1, 1));
        fork(
            loop_, [&, end = left_end](bool) { sort(first, end, levels - 1, for_left); },
            [&, begin = right_begin](bool) {
                sort(begin, last, levels - 1, std::max<difference>(threads - for_left, 1));
            });
    }

    void sort_alone(Iterator first, Iterator last, unsigned levels)
    {
        for (; last - first > few; --levels)
        {
            if constexpr (sorts_numbers<Iterator, Compare>)
            {
                if (last - first <= numbers_leaf || levels == 0)
                {
                    value_type* const begin = std::to_address(first);
                    sort_values(begin, begin + (last - first),
                                is_plain_greater<Compare, value_type>);
                    return;
                }
            }
            if (last - first >= block && !loop_.go_on())
            {
                loop_.cut_short();
                return;
            }
            if (levels == 0)
            {
                sort_as_heap(first, last);
                return;
            }
            const auto [left_end, right_begin, complete] = split(first, last, 1);
            if (!complete)
            {
                loop_.cut_short();
                return;
            }
            // The shorter one, so that the stack is never deeper than the logarithm.
            if (left_end - first < last - right_begin)
            {
                sort_alone(first, left_end, levels - 1);
                first = right_begin;
            }
            else
            {
                sort_alone(right_begin, last, levels - 1);
                last = left_end;
            }
        }
        sort_by_insertion(first, last);
    }

    /// A value on its way, which ends up in its place whatever a comparison throws.
    struct traveller
    {
        Iterator place;
        value_type value;

        explicit traveller(Iterator from) : place(from), value(std::move(*from)) {}
        traveller(const traveller&) = delete;
        traveller& operator=(const traveller&) = delete;
        ~traveller() noexcept(std::is_nothrow_move_assignable_v<value_type>)
        {
            *place = std::move(value);
        }
    };

    void sort_by_insertion(Iterator first, Iterator last)
    {
        for (difference index = 1; index < last - first; ++index)
        {
            const Iterator current = first + index;
            if (!before(*current, *std::prev(current)))
            {
                continue;
            }
            traveller moved(current);
            do
            {
                *moved.place = std::move(*std::prev(moved.place));
                --moved.place;
            } while (moved.place != first && before(moved.value, *std::prev(moved.place)));
        }
    }

    /// Only for inputs that are against us. By swapping, which keeps all elements at any time.
    void sort_as_heap(Iterator first, Iterator last)
    {
        const auto sink = [&](difference node, difference count) {
            for (difference child = 2 * node + 1; child < count; child = 2 * node + 1)
            {
                if (child + 1 < count && before(first[child], first[child + 1]))
                {
                    ++child;
                }
                if (!before(first[node], first[child]))
                {
                    return;
                }
                std::iter_swap(first + node, first + child);
                node = child;
            }
        };
        difference count = last - first;
        for (difference node = count / 2; node > 0; --node)
        {
            sink(node - 1, count);
        }
        while (--count > 0)
        {
            std::iter_swap(first, first + count);
            sink(0, count);
        }
    }

    struct parts
    {
        Iterator left_end;
        Iterator right_begin; // what lies between is where it belongs
        bool complete;
    };

    parts split(Iterator first, Iterator last, difference threads)
    {
        std::iter_swap(first, middle_of_samples(first, last));
        const auto less = [this](const value_type& value, const value_type& pivot) -> bool {
            return std::invoke(compare_, value, pivot);
        };
        bordered found = partition(first, std::next(first), last, less, threads);
        const Iterator left_end = std::prev(found.last);
        std::iter_swap(first, left_end);
        if (found.complete && left_end - first < (last - first) / 16)
        {
            // Many elements may equal the pivot: they are done.
            const auto not_greater = [this](const value_type& value,
                                            const value_type& pivot) -> bool {
                return !std::invoke(compare_, pivot, value);
            };
            found = partition(left_end, found.last, last, not_greater, threads);
        }
        return {left_end, found.last, found.complete};
    }

    /// Before `first` are elements of one kind only, from `last` on of the other.
    struct bordered
    {
        Iterator first;
        Iterator last;
        bool complete;
    };

    /// Brings those before `*pivot` by `belongs` to the front. Not complete: the loop has to end;
    /// all elements are still there.
    template <class Belongs>
    bordered partition(Iterator pivot, Iterator first, Iterator last, Belongs belongs,
                       difference threads)
    {
        using pivot_type = std::conditional_t<without_branches, value_type, const value_type&>;
        pivot_type value = *pivot;
        threads = std::min(threads, (last - first) / static_cast<difference>(leaf_min));
        if (threads > 1)
        {
            const bordered found = share_out(value, first, last, {0, threads, threads}, belongs);
            if (!found.complete)
            {
                return found;
            }
            first = found.first;
            last = found.last;
        }
        if constexpr (without_branches)
        {
            return partition_share(value, first, last, {0, 1, 1}, belongs);
        }
        else
        {
            return partition_by_lists(value, first, last, belongs);
        }
    }

    /// The shares [first, last) of `all` into which a range is dealt, block by block like cards. So
    /// the borders of all shares lie close to each other, unless the input has the rhythm of the
    /// blocks. The idea is that of Francis and Pannan, "A parallel partition for enhanced parallel
    /// quicksort" (1992).
    struct shares
    {
        difference first;
        difference last;
        difference all;
    };

    /// What lies between the borders is still to be partitioned.
    template <class Belongs>
    bordered share_out(const value_type& pivot, Iterator first, Iterator last, shares dealt,
                       Belongs belongs)
    {
        if (dealt.last - dealt.first == 1)
        {
            return partition_share(pivot, first, last, dealt, belongs);
        }
        const difference middle = dealt.first + (dealt.last - dealt.first) / 2;
        bordered left{first, last, false};
        bordered right{first, last, false};
        fork(
            loop_,
            [&](bool) {
                left = share_out(pivot, first, last, {dealt.first, middle, dealt.all}, belongs);
            },
            [&](bool) {
                right = share_out(pivot, first, last, {middle, dealt.last, dealt.all}, belongs);
            });
        return {std::min(left.first, right.first), std::max(left.last, right.last),
                left.complete && right.complete};
    }

    /// One share.
    template <class Belongs>
    bordered partition_share(const value_type& pivot, Iterator first, Iterator last, shares dealt,
                             Belongs belongs)
    {
        const difference count = last - first;
        const difference others = (dealt.all - 1) * block;
        difference read = dealt.first * block;
        difference border = read;
        difference read_end = std::min(read + block, count);
        difference border_end = read_end;
        while (read < count)
        {
            if (loop_.stop_requested())
            {
                return {first, last, false};
            }
            const difference stretch = std::min(read_end - read, border_end - border);
            border += partition_stretch(pivot, first + read, first + border, stretch, belongs);
            read += stretch;
            if (border == border_end)
            {
                border += others;
                border_end = std::min(border + block, count);
            }
            if (read == read_end)
            {
                read += others;
                read_end = std::min(read + block, count);
            }
        }
        const Iterator end = first + std::min(border, count);
        return {end, end, true};
    }

    /// Lomuto's partition of some elements; how many belong to the front.
    template <class Belongs>
    static difference partition_stretch(const value_type& pivot, Iterator from, Iterator to,
                                        difference count, Belongs belongs)
    {
        const Iterator begin = to;
        if constexpr (without_branches)
        {
            const value_type value = pivot;
            for (const Iterator end = from + count; from != end; ++from)
            {
                // The comparison as a number.
                const value_type current = *from;
                const bool front = belongs(current, value);
                *from = *to;
                *to = current;
                to += front;
            }
        }
        else
        {
            for (const Iterator end = from + count; from != end; ++from)
            {
                if (belongs(*from, pivot))
                {
                    if (from != to)
                    {
                        std::iter_swap(from, to);
                    }
                    ++to;
                }
            }
        }
        return to - begin;
    }

    /// The partition of Edelkamp and Weiss, "BlockQuicksort: Avoiding Branch Mispredictions in
    /// Quicksort" (2016): first which elements are on the wrong side is written down without a
    /// branch, then they change places.
    template <class Belongs>
    bordered partition_by_lists(const value_type& pivot, Iterator first, Iterator last,
                                Belongs belongs)
    {
        // Nobody has looked at [first, last) yet.
        list left{first};
        list right{last};
        while (first != last)
        {
            if (loop_.stop_requested())
            {
                return {first, last, false};
            }
            if (left.empty())
            {
                const difference unknown = last - first;
                const difference count =
                    std::min(list::size, right.empty() ? (unknown + 1) / 2 : unknown);
                left.begin_at(first);
                for (difference index = 0; index < count; ++index, ++first)
                {
                    left.note(index, !belongs(*first, pivot));
                }
            }
            if (right.empty())
            {
                const difference count = std::min(list::size, last - first);
                right.begin_at(last);
                for (difference index = 1; index <= count; ++index)
                {
                    --last;
                    right.note(index, belongs(*last, pivot));
                }
            }
            for (difference pairs = std::min(left.count(), right.count()); pairs > 0; --pairs)
            {
                std::iter_swap(left.origin + left.take_first(), right.origin - right.take_first());
            }
        }
        while (!left.empty())
        {
            std::iter_swap(left.origin + left.take_last(), --first);
        }
        while (!right.empty())
        {
            std::iter_swap(right.origin - right.take_last(), first);
            ++first;
        }
        return {first, first, true};
    }

    /// Which elements of a few have to change sides, by their distance from the first or the last.
    struct list
    {
        static constexpr difference size = 64;

        Iterator origin;
        difference from = 0;
        difference to = 0;
        std::array<std::uint8_t, static_cast<std::size_t>(size) + 1> distances;

        explicit list(Iterator begin) : origin(begin) {}

        [[nodiscard]] bool empty() const noexcept
        {
            return from == to;
        }
        [[nodiscard]] difference count() const noexcept
        {
            return to - from;
        }
        void begin_at(Iterator begin)
        {
            origin = begin;
            from = 0;
            to = 0;
        }
        void note(difference distance, bool wrong) noexcept
        {
            distances[static_cast<std::size_t>(to)] = static_cast<std::uint8_t>(distance);
            to += wrong;
        }
        [[nodiscard]] difference take_first() noexcept
        {
            return distances[static_cast<std::size_t>(from++)];
        }
        [[nodiscard]] difference take_last() noexcept
        {
            return distances[static_cast<std::size_t>(--to)];
        }
    };

    /// The median of three medians of three medians ... of elements at random places: evenly spaced
    /// ones are what orderly inputs are made for.
    Iterator middle_of_samples(Iterator first, Iterator last)
    {
        const auto count = static_cast<std::uint64_t>(last - first);
        const unsigned depth = count < 256 ? 1 : count < 8192 ? 2 : count <= leaf_min ? 3 : 5;
        std::uint64_t random = (count + 1) * 0x9e3779b97f4a7c15u | 1u;
        return middle_of_samples(first, count, depth, random);
    }

    Iterator middle_of_samples(Iterator first, std::uint64_t count, unsigned depth,
                               std::uint64_t& random)
    {
        if (depth == 0)
        {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            return first + static_cast<difference>(random % count);
        }
        const Iterator one = middle_of_samples(first, count, depth - 1, random);
        const Iterator two = middle_of_samples(first, count, depth - 1, random);
        const Iterator three = middle_of_samples(first, count, depth - 1, random);
        if (before(*one, *two))
        {
            return before(*two, *three) ? two : before(*one, *three) ? three : one;
        }
        return before(*one, *three) ? one : before(*two, *three) ? three : two;
    }

    parallel_loop& loop_;
    Compare& compare_;
    difference leaf_;
};

} // namespace blitzio::compute::detail
