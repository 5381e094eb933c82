// Stages of a stream that compute on a pool: par_map, par_filter, par_chunks.
//
//     const auto ended = co_await (fs::walk("/srv") | streams::filter(is_regular)
//                                  | streams::map(read_file)                        // waits
//                                  | streams::par_map(pool, compress, {.max_bytes = 64 << 20})
//                                  | streams::for_each(write_out));                 // waits
//
// A task of the stage asks above for values and hands them to the threads of the pool; results are
// given on, in the order of the values unless par_options::ordered is false, while further values
// arrive. How many values are in flight, from being taken above until their results are taken below,
// is bounded by number and by bytes; a full stage asks above for nothing. So a slow stage below, a
// slow call, or results that wait for an earlier one slow the source down instead of filling memory.
//
// What max_bytes bounds: the sum over the values in flight of byte_size(value), and as soon as the
// result is there of byte_size(result), if that is more. A value is taken in only where it and what
// the results to come are expected to add fit into the limit; expected is the most by which a result
// was larger than its value of late, and at first max_bytes / (2 * threads), half of it behind each
// result. No thread of the pool ever waits for room. So
//   - results that are not larger than their values: never more than max_bytes;
//   - each larger by the same G: never more than max_bytes or 2 * threads * G, whichever is more;
//   - otherwise what was not expected of the values in flight comes on top, and nothing more is taken
//     in before the sum is below the limit again.
// One value passes alone however large it is. What is on its way beside that: a value that was asked
// for and waits for room, a result that the stage below has taken, and while a call runs both its
// value and its result, of which the larger one counts.
//
// The function is called on several threads at once, and is not copied. It gives R, or result<R>,
// whose error ends the stream, and may take a stop_token behind its argument. It is passed the value
// as an rvalue, so it takes T, T&& or const T&. Inside of it this_compute::stop(), deadline() and
// local(name) are those of the task that awaits the pipeline, loops such as compute::parallel_for end
// with them, and await_in_compute() may be used. The stop is also requested when the stage below has
// ended or failed.
// Errors and exceptions: that of a value comes in the place of its result. Of what is behind it
// nothing more begins, and it is not given on. Exceptions of calls that run at that time go to
// runtime_config::on_unobserved_exception. An error of the stage above comes behind all its values.
// Cancellation: values whose call has not begun are skipped, running calls are given the stop token
// and are waited for; the stream ends with operation_canceled when they have ended. Results that are
// ready are still given on before. A deadline that has passed skips values even before its timer has
// requested the stop, with timed_out.
// Memory: all at the beginning; the stage allocates nothing for a value.
// Latency: when calls take less than about 10 us each, results are given on some at a time, at most
// 16, and at most one further call of a thread later; otherwise at once.
// Errors of the pool, as of compute_on, are those of the stream. A simulated runtime computes on its
// one thread, at virtual times and in an order that the seed decides.
// Lifetime: the pool and what the function refers to outlive the await of the pipeline.
// Thread rule: awaited in tasks, as all streams.
#pragma once

#include <blitzio/bridge/detail/par_stage.hpp>

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <utility>

namespace blitzio
{

namespace streams
{

/// See par_map().
template <class Function>
class par_map_adaptor : public adaptor<par_map_adaptor<Function>>
{
public:
    par_map_adaptor(compute::pool* pool, Function&& function, const par_options& options)
        : pool_(pool), function_(std::move(function)), options_(options)
    {
    }

    template <class Stage>
    [[nodiscard]] auto apply(Stage stage) &&
    {
        using logic = detail::par_map_logic<typename Stage::value_type, Function>;
        return detail::par_stage<Stage, logic>(std::move(stage), pool_, options_,
                                               logic{std::move(function_)});
    }

private:
    compute::pool* pool_;
    Function function_;
    par_options options_;
};

/// See par_filter().
template <class Predicate>
class par_filter_adaptor : public adaptor<par_filter_adaptor<Predicate>>
{
public:
    par_filter_adaptor(compute::pool* pool, Predicate&& predicate, const par_options& options)
        : pool_(pool), predicate_(std::move(predicate)), options_(options)
    {
    }

    template <class Stage>
    [[nodiscard]] auto apply(Stage stage) &&
    {
        using logic = detail::par_filter_logic<typename Stage::value_type, Predicate>;
        return detail::par_stage<Stage, logic>(std::move(stage), pool_, options_,
                                               logic{std::move(predicate_)});
    }

private:
    compute::pool* pool_;
    Predicate predicate_;
    par_options options_;
};

/// See par_chunks().
template <class Function>
class par_chunks_adaptor : public adaptor<par_chunks_adaptor<Function>>
{
public:
    par_chunks_adaptor(compute::pool* pool, std::size_t size, Function&& function,
                       const par_options& options)
        : pool_(pool), size_(std::max<std::size_t>(size, 1)), function_(std::move(function)),
          options_(options)
    {
    }

    template <class Stage>
    [[nodiscard]] auto apply(Stage stage) &&
    {
        using logic = detail::par_chunks_logic<typename Stage::value_type, Function>;
        return detail::par_stage<Stage, logic>(std::move(stage), pool_, options_,
                                               logic{std::move(function_), size_});
    }

private:
    compute::pool* pool_;
    std::size_t size_;
    Function function_;
    par_options options_;
};

/// `function(value)` or `function(value, stop_token)` instead of each value, computed on `pool`.
template <class Function>
[[nodiscard]] auto par_map(compute::pool& pool, Function function, par_options options = {})
{
    return par_map_adaptor<Function>(&pool, std::move(function), options);
}

/// The same on the process's default pool, compute::default_pool().
template <class Function>
[[nodiscard]] auto par_map(Function function, par_options options = {})
{
    return par_map_adaptor<Function>(nullptr, std::move(function), options);
}

/// The values for which `predicate(const value&)`, which gives bool or result<bool>, holds; decided
/// on `pool`. It may take a stop_token, too.
template <class Predicate>
[[nodiscard]] auto par_filter(compute::pool& pool, Predicate predicate, par_options options = {})
{
    return par_filter_adaptor<Predicate>(&pool, std::move(predicate), options);
}

/// The same on the process's default pool.
template <class Predicate>
[[nodiscard]] auto par_filter(Predicate predicate, par_options options = {})
{
    return par_filter_adaptor<Predicate>(nullptr, std::move(predicate), options);
}

/// `function(std::span<T>)` for every `size` values (0 counts as 1), on `pool`: one result for each
/// chunk. For values that take less than some microseconds each. The last chunk may be smaller, and
/// so may be one behind which max_bytes left no room, or a failure came. The span's elements may be
/// changed and moved from. max_in_flight counts chunks.
template <class Function>
[[nodiscard]] auto par_chunks(compute::pool& pool, std::size_t size, Function function,
                              par_options options = {})
{
    return par_chunks_adaptor<Function>(&pool, size, std::move(function), options);
}

/// The same on the process's default pool.
template <class Function>
[[nodiscard]] auto par_chunks(std::size_t size, Function function, par_options options = {})
{
    return par_chunks_adaptor<Function>(nullptr, size, std::move(function), options);
}

} // namespace streams

} // namespace blitzio
