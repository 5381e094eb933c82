// One value out of all elements of a range, inside a job of a pool.
// Thread rule: see parallel.hpp.
#pragma once

#include <blitzio/compute/detail/elements.hpp>
#include <blitzio/compute/detail/parallel_loop.hpp>
#include <blitzio/compute/parallel_options.hpp>

#include <optional>

namespace blitzio::compute
{

namespace detail
{

template <class Range, class T, class Transform, class Combine>
class reduction
{
public:
    reduction(parallel_loop& loop, const index_iterators<Range>& elements, const T& identity,
              Transform& transform, Combine& combine)
        : loop_(loop), elements_(elements), identity_(identity), transform_(transform),
          combine_(combine)
    {
        // Enough leaves for the threads of any machine, if their number must not decide.
        const std::size_t least =
            loop.options().deterministic ? elements.count() / leaves_of_deterministic + 1 : 1;
        grain_ = std::max(loop.options().grain, least);
    }

    [[nodiscard]] std::optional<T> run()
    {
        return reduce(0, elements_.count(), splitter(loop_.width()), false);
    }

private:
    static constexpr std::size_t leaves_of_deterministic = 512;

    /// Nothing if the loop has to end.
    std::optional<T> reduce(std::size_t first, std::size_t last, splitter splits, bool moved)
    {
        const std::size_t count = last - first;
        const bool wanted =
            loop_.options().deterministic || (!loop_.options().sequential && splits.split(moved));
        if (count <= grain_ || !wanted)
        {
            return fold(first, last);
        }
        const std::size_t middle = first + count / 2;
        std::optional<T> left;
        std::optional<T> right;
        const bool both = fork(
            loop_, [&](bool) { left = reduce(first, middle, splits, false); },
            [&](bool elsewhere) { right = reduce(middle, last, splits, elsewhere); });
        if (!both || !left || !right)
        {
            return std::nullopt;
        }
        return std::optional<T>(std::in_place,
                                std::invoke(combine_, std::move(*left), std::move(*right)));
    }

    std::optional<T> fold(std::size_t first, std::size_t last)
    {
        const stop_token token = loop_.token();
        T sum(identity_);
        const std::size_t done =
            elements_.visit(loop_, first, last, [&](std::size_t, auto&& element) {
                sum = std::invoke(
                    combine_, std::move(sum),
                    call_with(transform_, token, std::forward<decltype(element)>(element)));
            });
        if (done != last - first)
        {
            loop_.cut_short();
            return std::nullopt;
        }
        return std::optional<T>(std::in_place, std::move(sum));
    }

    parallel_loop& loop_;
    const index_iterators<Range>& elements_;
    const T& identity_;
    Transform& transform_;
    Combine& combine_;
    std::size_t grain_ = 1;
};

} // namespace detail

/// `combine`s what `transform(element)` or `transform(element, stop_token)` gives for every element
/// of `range`, beginning with `identity`; result<T>. Values are combined in input order, but grouped
/// as the threads come to it: `combine(T, T)` is associative, and `identity` changes nothing and may
/// be used any number of times. With options.deterministic the grouping is always the same.
template <std::ranges::forward_range Range, std::movable T, class Transform, class Combine>
    requires detail::takes_element<std::remove_reference_t<Transform>,
                                   std::ranges::range_reference_t<Range>>
result<T> parallel_reduce(Range&& range, T identity, Transform&& transform, Combine&& combine,
                          parallel_options options = {}, stop_token stop = {})
{
    using range_type = std::remove_reference_t<Range>;
    const detail::index_iterators<range_type> elements(range);
    std::optional<T> reduced;
    const auto done = detail::run_loop(options, stop, [&](detail::parallel_loop& loop) {
        detail::reduction<range_type, T, std::remove_reference_t<Transform>,
                          std::remove_reference_t<Combine>>
            all(loop, elements, identity, transform, combine);
        reduced = all.run();
    });
    if (!done)
    {
        return std::unexpected(done.error());
    }
    return std::move(*reduced);
}

} // namespace blitzio::compute
