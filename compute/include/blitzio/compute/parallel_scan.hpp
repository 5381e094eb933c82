// All partial sums of a range, inside a job of a pool.
// Thread rule: see parallel.hpp.
#pragma once

#include <blitzio/compute/detail/elements.hpp>
#include <blitzio/compute/detail/parallel_loop.hpp>
#include <blitzio/compute/parallel_options.hpp>

#include <array>
#include <optional>

namespace blitzio::compute
{

namespace detail
{

/// In two passes over blocks of the input: first the sum of each, then, with the sum of all blocks
/// before it known, the partial sums of each. Few enough blocks for their sums to need no memory of
/// their own.
template <class Range, class Out, class T, class Combine>
class scan
{
public:
    scan(parallel_loop& loop, const index_iterators<Range>& elements, Out out, const T& identity,
         Combine& combine, bool inclusive)
        : loop_(loop), elements_(elements), out_(out), identity_(identity), combine_(combine),
          inclusive_(inclusive)
    {
        const std::size_t count = elements.count();
        const std::size_t least = std::max(loop.options().grain, block_min);
        const std::size_t wanted = loop.options().sequential || loop.width() == 1
                                       ? 1
                                       : std::min(blocks_max, 4 * std::size_t{loop.width()});
        blocks_ = std::clamp<std::size_t>(count / least, 1, wanted);
    }

    void run()
    {
        if (blocks_ > 1)
        {
            // The last block's sum is asked for by nobody.
            const auto sum = [&](std::size_t block) { return sum_block(block); };
            if (!each_block(blocks_ - 1, sum))
            {
                return;
            }
            T before(identity_);
            for (std::size_t block = 0; block + 1 < blocks_; ++block)
            {
                T next(std::invoke(combine_, std::as_const(before), std::move(*sums_[block])));
                sums_[block].emplace(std::move(before));
                before = std::move(next);
            }
            sums_[blocks_ - 1].emplace(std::move(before));
        }
        else
        {
            sums_[0].emplace(identity_);
        }
        const auto write = [&](std::size_t block) { return write_block(block); };
        each_block(blocks_, write);
    }

private:
    static constexpr std::size_t blocks_max = 128;
    static constexpr std::size_t block_min = 256;

    [[nodiscard]] std::size_t begin_of(std::size_t block) const noexcept
    {
        const std::size_t count = elements_.count();
        return count / blocks_ * block + std::min(block, count % blocks_);
    }

    template <class Work>
    bool each_block(std::size_t count, Work& work)
    {
        struct blocks
        {
            Work& work;
        } all{work};
        return loop_.run_chunks(
            count, 1, {&all, [](void* self, std::size_t first, std::size_t last) {
                           std::size_t block = first;
                           while (block != last && static_cast<blocks*>(self)->work(block))
                           {
                               ++block;
                           }
                           return block - first;
                       }});
    }

    bool sum_block(std::size_t block)
    {
        const std::size_t first = begin_of(block);
        const std::size_t last = begin_of(block + 1);
        T sum(identity_);
        const std::size_t done =
            elements_.visit(loop_, first, last, [&](std::size_t, auto&& element) {
                sum =
                    std::invoke(combine_, std::move(sum), std::forward<decltype(element)>(element));
            });
        sums_[block].emplace(std::move(sum));
        return done == last - first;
    }

    bool write_block(std::size_t block)
    {
        const std::size_t first = begin_of(block);
        const std::size_t last = begin_of(block + 1);
        T sum(std::move(*sums_[block]));
        const std::size_t done =
            elements_.visit(loop_, first, last, [&](std::size_t index, auto&& element) {
                // The output may be the input: the element is used before its place is written.
                T next(std::invoke(combine_, std::as_const(sum),
                                   std::forward<decltype(element)>(element)));
                auto&& place = out_[static_cast<std::iter_difference_t<Out>>(index)];
                if (inclusive_)
                {
                    place = next;
                }
                else
                {
                    place = std::move(sum);
                }
                sum = std::move(next);
            });
        return done == last - first;
    }

    parallel_loop& loop_;
    const index_iterators<Range>& elements_;
    Out out_;
    const T& identity_;
    Combine& combine_;
    bool inclusive_;
    std::size_t blocks_ = 1;
    std::array<std::optional<T>, blocks_max> sums_;
};

template <class Range, class Out, class T, class Combine>
result<void> run_scan(Range& range, Out out, const T& identity, Combine& combine, bool inclusive,
                      const parallel_options& options, stop_token stop)
{
    const index_iterators<Range> elements(range);
    return run_loop(options, stop, [&](parallel_loop& loop) {
        scan<Range, Out, T, Combine>(loop, elements, out, identity, combine, inclusive).run();
    });
}

} // namespace detail

enum class scan_kind : unsigned char
{
    /// The sum of all elements up to and with this one.
    inclusive,
    /// The sum of all elements before this one; the first is the identity.
    exclusive,
};

/// Writes the partial sums of `range` to `out` and what follows it: `combine(T, element)` and
/// `combine(T, T)` are associative and `identity` changes nothing. `out` may be the beginning of
/// `range` itself; otherwise they do not overlap. T is copied. After an error some are written and
/// others are not. Every element is combined twice, which pays from three threads on, or from two
/// when combining is what takes the time.
template <std::ranges::forward_range Range, std::random_access_iterator Out, std::movable T,
          class Combine>
result<void> parallel_scan(Range&& range, Out out, T identity, Combine&& combine,
                           scan_kind kind = scan_kind::inclusive, parallel_options options = {},
                           stop_token stop = {})
{
    return detail::run_scan(range, out, identity, combine, kind == scan_kind::inclusive, options,
                            stop);
}

} // namespace blitzio::compute
