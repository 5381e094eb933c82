// Streams: sequences of values that arrive over time, and pipelines of them.
//
//     const auto ended = co_await (fs::walk("/srv") | streams::filter(is_regular)
//                                  | streams::buffer(64)
//                                  | streams::map([](fs::walk_entry entry) { return load(entry); })
//                                  | streams::for_each([&](document next) { index.add(next); }));
//
// A source is anything that has next(), an operation giving stream_step<T>, or std::optional<T> when
// it cannot fail: generator<T>, fs::walk, or a type of yours. streams::repeat() makes a source of
// operations that are carried out again and again (accept, receive), streams::from_range() one of
// values, as_completed() one of the results of operations.
// A source given as an rvalue is moved into the pipeline. An lvalue is referred to, must outlive it,
// and may be used again after the pipeline has ended.
//
// Nothing runs before a pipeline is awaited, which its last part makes possible: for_each, fold or
// collect, or consume() for pulling by hand. Values are pulled: a stage is asked for the next one
// when the one behind it wants it. Where that is too little, buffer() and merge() run the stages in
// front of them as tasks of their own, which fill a bounded queue and wait when it is full. So the
// memory in use is bounded, and nothing stalls because nobody asks.
//
// The end: when the source ends, when take() has its number, or when the consumer fails or is asked
// to stop. Then the tasks of the stages are stopped and awaited, in this order; the await returns
// when they are gone, and nothing is left behind. Values that were on their way are destroyed.
// Errors: a stream fails once. The error passes the stages behind those values that came before it
// and is the result of the whole. What a function throws is thrown at the await, in the same way.
// Cancellation: a stop request reaches the consumer and every stage; the result is the error of the
// operation that ended because of it, operation_canceled.
//
// For authors of stages: stream_stage says what one has. open() is called once, before next(), and
// may start tasks in the scope. next() is awaited by one at a time. close() is called once, maybe
// while a task still asks for next(): whoever waits in the stage for room or for values is to be let
// go. The scope's stop is requested as well.
// Thread rule: awaited in tasks. Functions of stages run one after the other, never two at a time,
// except on different sides of a buffer() or merge().
#pragma once

#include <blitzio/io/detail/stream_stage.hpp>
#include <blitzio/io/this_task.hpp>
#include <blitzio/io/try.hpp>
#include <blitzio/io/yield.hpp>

#include <concepts>
#include <functional>
#include <iterator>
#include <memory>
#include <optional>
#include <ranges>
#include <type_traits>
#include <utility>
#include <vector>

namespace blitzio
{

/// Something with next(), an operation that gives std::optional<T> or stream_step<T>.
template <class Source>
concept stream_source = requires(Source& source) {
    { source.next() } -> awaitable_operation;
    requires detail::is_optional<await_result_t<decltype(source.next())>> ||
                 detail::is_step<await_result_t<decltype(source.next())>>;
};

namespace detail
{

/// An operation whose outcome, error or not, is put through a function.
template <class Operation, class Function>
class outcome_operation : public awaitable_base<outcome_operation<Operation, Function>>,
                          private child_starter
{
public:
    outcome_operation(Operation&& operation, Function function) noexcept
        : operation_(std::move(operation)), function_(std::move(function))
    {
    }

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        return this->start_child(operation_, env, who);
    }

    auto await_resume()
    {
        return function_(operation_.await_resume());
    }

private:
    Operation operation_;
    Function function_;
};

/// A source that only has next() as a stage.
template <class Source>
class source_stage
{
    using given = await_result_t<decltype(std::declval<Source&>().next())>;

    static consteval auto value_type_of()
    {
        if constexpr (is_step<given>)
        {
            return std::type_identity<typename given::value_type::value_type>{};
        }
        else
        {
            return std::type_identity<typename given::value_type>{};
        }
    }

public:
    using value_type = typename decltype(value_type_of())::type;

    explicit source_stage(Source&& source) : source_(std::move(source)) {}

    void open(stream_scope&) const noexcept {}
    void close() const noexcept {}

    [[nodiscard]] auto next()
    {
        if constexpr (is_step<given>)
        {
            return source_.next();
        }
        else
        {
            const auto to_step = [](given value) {
                return value ? make_step<value_type>(*std::move(value)) : end_step<value_type>();
            };
            return outcome_operation(source_.next(), to_step);
        }
    }

private:
    Source source_;
};

/// A source or stage that somebody else owns.
template <class Source>
class borrowed_source
{
public:
    explicit borrowed_source(Source& source) noexcept : source_(&source) {}

    [[nodiscard]] auto next()
    {
        return source_->next();
    }

private:
    Source* source_;
};

/// `source` as a stage: itself, or wrapped.
template <class Source>
[[nodiscard]] auto to_stage(Source&& source)
{
    using plain = std::remove_cvref_t<Source>;
    if constexpr (std::is_lvalue_reference_v<Source>)
    {
        static_assert(
            !stream_stage<plain>,
            "a pipeline is moved on: std::move(stage) | ..., only sources may be lvalues");
        return source_stage<borrowed_source<plain>>(borrowed_source<plain>(source));
    }
    else if constexpr (stream_stage<plain>)
    {
        return plain(std::move(source));
    }
    else
    {
        return source_stage<plain>(std::move(source));
    }
}

template <class Source>
using stage_t = decltype(to_stage(std::declval<Source>()));

/// Runs `body(pipeline)`, a task, over an open pipeline; ends when the tasks of the stages have.
template <class Pipeline, class Body>
class stream_operation : public awaitable_base<stream_operation<Pipeline, Body>>
{
    using task_type = std::invoke_result_t<Body&, Pipeline&>;

public:
    using value_type = typename task_type::value_type;

    stream_operation(Pipeline&& pipeline, Body body)
        : pipeline_(std::move(pipeline)), body_(std::move(body))
    {
    }

    /// Only before start().
    stream_operation(stream_operation&& other)
        : pipeline_(std::move(other.pipeline_)), body_(std::move(other.body_))
    {
    }

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        scope_.begin(env, who);
        try
        {
            pipeline_.open(scope_);
            running_ = std::invoke(body_, pipeline_);
        }
        catch (...)
        {
            outcome_.emplace_exception(std::current_exception());
            close();
            return !scope_.count_down(2);
        }
        static_cast<void>(running_.start(env, {&on_body_ended, this}));
        return !scope_.count_down(1);
    }

    value_type await_resume()
    {
        scope_.end();
        return outcome_.take();
    }

private:
    static std::coroutine_handle<> on_body_ended(void* context) noexcept
    {
        auto& self = *static_cast<stream_operation*>(context);
        self.outcome_ = self.running_.take_outcome();
        self.close();
        return self.scope_.one_ended();
    }

    void close() noexcept
    {
        pipeline_.close();
        scope_.stop();
    }

    Pipeline pipeline_;
    Body body_;
    stream_scope scope_;
    task_type running_;
    outcome_slot<value_type> outcome_;
};

} // namespace detail

namespace streams
{

/// Base of what stands on the right of `|`: `Derived` has apply(stage), a const or rvalue member that
/// takes a stage and gives a stage or an operation.
template <class Derived>
class adaptor
{
    template <class Source>
        requires(stream_source<std::remove_cvref_t<Source>>)
    friend auto operator|(Source&& source, Derived applied)
    {
        return std::move(applied).apply(detail::to_stage(std::forward<Source>(source)));
    }
};

} // namespace streams

namespace detail
{

template <std::ranges::input_range Range>
class range_stage
{
public:
    using value_type = std::ranges::range_value_t<Range>;

    explicit range_stage(Range&& range) : range_(std::make_unique<Range>(std::move(range))) {}

    void open(stream_scope&)
    {
        position_ = std::ranges::begin(*range_);
    }

    void close() const noexcept {}

    [[nodiscard]] auto next()
    {
        // In await_resume(), so that what the range throws is thrown there.
        return immediate_operation([this](const task_env&) {
            if (*position_ == std::ranges::end(*range_))
            {
                return end_step<value_type>();
            }
            auto step = stream_step<value_type>(std::in_place, std::in_place, take());
            ++*position_;
            return step;
        });
    }

private:
    decltype(auto) take()
    {
        if constexpr (std::ranges::view<Range>)
        {
            return **position_; // a view does not own what it shows
        }
        else
        {
            return std::ranges::iter_move(*position_);
        }
    }

    /// In a place of its own: iterators stay valid when the stage is moved.
    std::unique_ptr<Range> range_;
    std::optional<std::ranges::iterator_t<Range>> position_;
};

template <class Make>
class repeat_stage
{
    using operation = std::invoke_result_t<Make&>;
    using given = await_result_t<operation>;
    static_assert(is_result<given>, "repeat takes operations that give a result<T>");

public:
    using value_type = typename given::value_type;

    explicit repeat_stage(Make make) : make_(std::move(make)) {}

    void open(stream_scope&) const noexcept {}
    void close() const noexcept {}

    [[nodiscard]] auto next()
    {
        const auto to_step = [](given outcome) -> stream_step<value_type> {
            if (outcome)
            {
                return make_step<value_type>(*std::move(outcome));
            }
            if (outcome.error() == io_errc::closed)
            {
                return end_step<value_type>();
            }
            return fail(outcome.error());
        };
        return outcome_operation(std::invoke(make_), to_step);
    }

private:
    Make make_;
};

/// What a sink gives, when it is awaited if it has to be.
template <class Given>
struct sink_outcome
{
    using type = Given;
};
template <awaitable_operation Given>
struct sink_outcome<Given>
{
    using type = await_result_t<Given>;
};

template <class Call>
struct for_each_body
{
    Call call;

    template <class Pipeline>
    task<result<void>> operator()(Pipeline& pipeline)
    {
        using value_type = typename Pipeline::value_type;
        using given = std::invoke_result_t<Call&, value_type>;
        using outcome = typename sink_outcome<given>::type;
        static_assert(std::is_void_v<outcome> || std::is_same_v<outcome, result<void>>,
                      "a sink gives nothing or result<void>, or an operation that does");
        const stop_token stop = co_await this_task::stop();
        for (;;)
        {
            auto step = co_await pipeline.next();
            if (!step)
            {
                co_return fail(step.error());
            }
            if (!step->has_value())
            {
                co_return result<void>();
            }
            if constexpr (awaitable_operation<given> && std::is_void_v<outcome>)
            {
                co_await std::invoke(call, std::move(**step));
            }
            else if constexpr (std::is_void_v<outcome>)
            {
                std::invoke(call, std::move(**step));
            }
            else
            {
                result<void> sunk;
                if constexpr (awaitable_operation<given>)
                {
                    sunk = co_await std::invoke(call, std::move(**step));
                }
                else
                {
                    sunk = std::invoke(call, std::move(**step));
                }
                if (!sunk)
                {
                    co_return fail(sunk.error());
                }
            }
            if (stop.stop_requested())
            {
                // Values that are always there must not make a stream deaf.
                co_return fail(std::errc::operation_canceled);
            }
            if (!consume_budget())
            {
                co_await yield();
            }
        }
    }
};

template <class T, class Fold>
struct fold_body
{
    T initial;
    Fold fold;

    template <class Pipeline>
    task<result<T>> operator()(Pipeline& pipeline)
    {
        using value_type = typename Pipeline::value_type;
        T accumulated = std::move(initial);
        const auto add = [&](value_type value) {
            accumulated = std::invoke(fold, std::move(accumulated), std::move(value));
        };
        for_each_body<decltype(add)> every{add};
        const result<void> ended = co_await every(pipeline);
        if (!ended)
        {
            co_return fail(ended.error());
        }
        co_return std::move(accumulated);
    }
};

struct collect_body
{
    template <class Pipeline>
    auto operator()(Pipeline& pipeline) -> task<result<std::vector<typename Pipeline::value_type>>>
    {
        using value_type = typename Pipeline::value_type;
        std::vector<value_type> all;
        const auto add = [&](value_type value) { all.push_back(std::move(value)); };
        for_each_body<decltype(add)> every{add};
        const result<void> ended = co_await every(pipeline);
        if (!ended)
        {
            co_return fail(ended.error());
        }
        co_return std::move(all);
    }
};

} // namespace detail

namespace streams
{

/// The values of a range: moved out of a container, read through a view. One allocation.
template <std::ranges::input_range Range>
    requires(!std::is_lvalue_reference_v<Range>)
[[nodiscard]] auto from_range(Range&& range)
{
    return detail::range_stage<std::remove_cvref_t<Range>>(std::move(range));
}

/// Carries out what `make()` makes, an operation that gives result<T>, again for every value:
///     repeat([&] { return listener.accept(); })
///     repeat([&] { return receiver.receive(); })
/// io_errc::closed is the end, any other error that of the stream.
template <class Make>
    requires awaitable_operation<std::invoke_result_t<Make&>>
[[nodiscard]] auto repeat(Make make)
{
    return detail::repeat_stage<Make>(std::move(make));
}

/// The end of a pipeline: calls `sink(value)` for every value, in order, one after the other. The
/// sink gives nothing or result<void>, whose error ends the stream, or an operation or a task that
/// gives one of these, which is awaited before the next value is asked for.
/// Awaited: result<void>. One coroutine frame for the pipeline, no allocation for a value.
template <class Sink>
class for_each : public adaptor<for_each<Sink>>
{
public:
    explicit for_each(Sink sink) : sink_(std::move(sink)) {}

    template <class Stage>
    [[nodiscard]] auto apply(Stage stage) &&
    {
        using body = detail::for_each_body<Sink>;
        return detail::stream_operation<Stage, body>(std::move(stage), body{std::move(sink_)});
    }

private:
    Sink sink_;
};

/// The end of a pipeline: `total = function(total, value)` for every value, beginning with `initial`.
/// Awaited: result<T>.
template <class T, class Function>
class fold : public adaptor<fold<T, Function>>
{
public:
    fold(T initial, Function function)
        : initial_(std::move(initial)), function_(std::move(function))
    {
    }

    template <class Stage>
    [[nodiscard]] auto apply(Stage stage) &&
    {
        using body = detail::fold_body<T, Function>;
        return detail::stream_operation<Stage, body>(
            std::move(stage), body{std::move(initial_), std::move(function_)});
    }

private:
    T initial_;
    Function function_;
};

/// The end of a pipeline: all values. Awaited: result<std::vector<T>>. Bound it with take().
class collect : public adaptor<collect>
{
public:
    template <class Stage>
    [[nodiscard]] auto apply(Stage stage) &&
    {
        return detail::stream_operation<Stage, detail::collect_body>(std::move(stage), {});
    }
};

/// Runs `body(pipeline)`, which pulls by hand and gives a task:
///     co_await streams::consume(std::move(pipeline), [&](auto& items) -> task<result<void>> {
///         while (auto item = co_await try_(items.next()))
///             ...
///     });
/// Awaited: what the task gives, when the tasks of the stages have ended, too. The pipeline ends with
/// the body, whether it was read to its end or not.
template <class Source, class Body>
    requires(stream_source<std::remove_cvref_t<Source>>)
[[nodiscard]] auto consume(Source&& source, Body body)
{
    using stage = detail::stage_t<Source>;
    return detail::stream_operation<stage, Body>(detail::to_stage(std::forward<Source>(source)),
                                                 std::move(body));
}

} // namespace streams

} // namespace blitzio
