// The stages of a pipeline: map, filter, take, chunk, buffer, merge. See stream.hpp for how they fit
// together.
// Thread rule: as stream.hpp says.
#pragma once

#include <blitzio/io/detail/stream_queue.hpp>
#include <blitzio/io/stream.hpp>

#include <algorithm>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace blitzio
{

namespace detail
{

template <class T>
struct bare_value
{
    using type = T;
};
template <class T>
struct bare_value<result<T>>
{
    using type = T;
};

/// A call that gives T, result<T>, or an operation that gives either, taken apart.
template <class Function, class... Args>
struct stage_call
{
    using given = std::invoke_result_t<Function&, Args...>;
    static constexpr bool waits = awaitable_operation<given>;
    using work = std::conditional_t<waits, given, no_work>;
    using outcome = typename sink_outcome<given>::type;
    using value = typename bare_value<outcome>::type;
};

/// The outcome of a call into the slot; void is not a value.
template <class T, class Outcome>
void emit(outcome_slot<stream_step<T>>& slot, Outcome&& outcome)
{
    if constexpr (is_result<std::remove_cvref_t<Outcome>>)
    {
        if (!outcome)
        {
            slot.emplace_value(fail(outcome.error()));
            return;
        }
        slot.emplace_value(make_step<T>(*std::move(outcome)));
    }
    else
    {
        slot.emplace_value(make_step<T>(std::move(outcome)));
    }
}

template <class In, class Function>
struct map_logic
{
    using call = stage_call<Function, In>;
    using input = In;
    using output = typename call::value;
    using work = typename call::work;
    using slot = outcome_slot<stream_step<output>>;
    static_assert(!std::is_void_v<output>, "the function of map gives a value");

    Function function;

    [[nodiscard]] bool exhausted() const noexcept
    {
        return false;
    }

    stage_verdict feed(In&& value, slot& out, late_value<work>& waiting)
    {
        if constexpr (call::waits)
        {
            waiting.emplace_from([&] { return std::invoke(function, std::move(value)); });
            return stage_verdict::work;
        }
        else
        {
            emit<output>(out, std::invoke(function, std::move(value)));
            return stage_verdict::emitted;
        }
    }

    stage_verdict finish(late_value<work>& waiting, slot& out)
        requires call::waits
    {
        emit<output>(out, waiting->await_resume());
        return stage_verdict::emitted;
    }

    void at_end(slot& out)
    {
        out.emplace_value(end_step<output>());
    }
};

template <class In, class Predicate>
struct filter_logic
{
    using call = stage_call<Predicate, const In&>;
    using input = In;
    using output = In;
    using work = typename call::work;
    using slot = outcome_slot<stream_step<In>>;
    static_assert(std::is_convertible_v<typename call::value, bool>,
                  "the predicate of filter gives a bool");

    Predicate predicate;
    std::optional<In> held{}; // while the predicate waits

    [[nodiscard]] bool exhausted() const noexcept
    {
        return false;
    }

    stage_verdict feed(In&& value, slot& out, late_value<work>& waiting)
    {
        held.emplace(std::move(value));
        if constexpr (call::waits)
        {
            waiting.emplace_from([&] { return std::invoke(predicate, std::as_const(*held)); });
            return stage_verdict::work;
        }
        else
        {
            return decide(std::invoke(predicate, std::as_const(*held)), out);
        }
    }

    stage_verdict finish(late_value<work>& waiting, slot& out)
        requires call::waits
    {
        return decide(waiting->await_resume(), out);
    }

    void at_end(slot& out)
    {
        out.emplace_value(end_step<In>());
    }

private:
    template <class Outcome>
    stage_verdict decide(Outcome&& outcome, slot& out)
    {
        bool wanted = false;
        if constexpr (is_result<std::remove_cvref_t<Outcome>>)
        {
            if (!outcome)
            {
                out.emplace_value(fail(outcome.error()));
                return stage_verdict::emitted;
            }
            wanted = static_cast<bool>(*outcome);
        }
        else
        {
            wanted = static_cast<bool>(outcome);
        }
        if (!wanted)
        {
            held.reset();
            return stage_verdict::more;
        }
        out.emplace_value(make_step<In>(*std::move(held)));
        held.reset();
        return stage_verdict::emitted;
    }
};

template <class In>
struct take_logic
{
    using input = In;
    using output = In;
    using work = no_work;
    using slot = outcome_slot<stream_step<In>>;

    std::size_t left;

    [[nodiscard]] bool exhausted() const noexcept
    {
        return left == 0;
    }

    stage_verdict feed(In&& value, slot& out, late_value<work>&)
    {
        --left;
        out.emplace_value(make_step<In>(std::move(value)));
        return stage_verdict::emitted;
    }

    void at_end(slot& out)
    {
        out.emplace_value(end_step<In>());
    }
};

template <class In>
struct chunk_logic
{
    using input = In;
    using output = std::vector<In>;
    using work = no_work;
    using slot = outcome_slot<stream_step<output>>;

    std::size_t size;
    std::vector<In> gathered{};

    [[nodiscard]] bool exhausted() const noexcept
    {
        return false;
    }

    stage_verdict feed(In&& value, slot& out, late_value<work>&)
    {
        if (gathered.capacity() < size)
        {
            gathered.reserve(std::min(size, reserved_max));
        }
        gathered.push_back(std::move(value));
        if (gathered.size() < size)
        {
            return stage_verdict::more;
        }
        out.emplace_value(make_step<output>(std::exchange(gathered, {})));
        return stage_verdict::emitted;
    }

    void at_end(slot& out)
    {
        out.emplace_value(gathered.empty() ? end_step<output>()
                                           : make_step<output>(std::exchange(gathered, {})));
    }

private:
    /// A chunk that is huge on paper only is not paid for in advance.
    static constexpr std::size_t reserved_max = 4096;
};

/// Moves what `upstream` gives into a queue, until either of them ends. Does not throw.
template <class Upstream, class T>
task<void> pump(Upstream& upstream, stream_queue<T>& queue)
{
    const task_env& env = *co_await this_task::env();
    std::exception_ptr thrown;
    std::error_code error;
    try
    {
        for (;;)
        {
            auto step = co_await upstream.next();
            if (!step)
            {
                error = step.error();
                break;
            }
            if (!step->has_value() || !co_await queue.push(*std::move(*step)))
            {
                break;
            }
            if (!consume_budget())
            {
                co_await yield();
            }
        }
    }
    catch (...)
    {
        thrown = std::current_exception();
    }
    if (error || thrown != nullptr)
    {
        queue.fail_with(error, std::move(thrown), env);
    }
    else
    {
        queue.producer_ended();
    }
}

/// One or several streams that run ahead of their consumer, each by a task.
template <class First, class... Others>
class queue_stage
{
public:
    using value_type = typename First::value_type;
    static_assert((std::is_same_v<value_type, typename Others::value_type> && ...),
                  "merged streams have values of one type");

    queue_stage(std::size_t capacity, First&& first, Others&&... others)
        : upstreams_(std::move(first), std::move(others)...), capacity_(capacity)
    {
    }

    void open(stream_scope& scope)
    {
        queue_.open(*scope.env().runtime, capacity_, 1 + sizeof...(Others));
        std::apply([&](auto&... upstream) { (upstream.open(scope), ...); }, upstreams_);
        [&]<std::size_t... Index>(std::index_sequence<Index...>) {
            // All frames first: a task that was launched cannot be taken back.
            task<void> pumps[] = {pump(std::get<Index>(upstreams_), queue_)...};
            (children_[Index].launch(scope, std::move(pumps[Index])), ...);
        }(std::make_index_sequence<1 + sizeof...(Others)>{});
    }

    void close() noexcept
    {
        queue_.close();
        std::apply([](auto&... upstream) { (upstream.close(), ...); }, upstreams_);
    }

    [[nodiscard]] auto next() noexcept
    {
        return queue_.pop();
    }

private:
    std::tuple<First, Others...> upstreams_;
    std::size_t capacity_;
    stream_queue<value_type> queue_;
    stream_child children_[1 + sizeof...(Others)];
};

} // namespace detail

namespace streams
{

/// `function(value)` instead of each value. It gives the new value, or a result whose error ends the
/// stream, or an operation or a task that gives one of these, which is awaited: the next value is
/// asked for afterwards.
template <class Function>
class map : public adaptor<map<Function>>
{
public:
    explicit map(Function function) : function_(std::move(function)) {}

    template <class Stage>
    [[nodiscard]] auto apply(Stage stage) &&
    {
        using logic = detail::map_logic<typename Stage::value_type, Function>;
        return detail::logic_stage<Stage, logic>(std::move(stage), logic{std::move(function_)});
    }

private:
    Function function_;
};

/// The values for which `predicate(const value&)` holds. It gives a bool in any of the forms that the
/// function of map may use.
template <class Predicate>
class filter : public adaptor<filter<Predicate>>
{
public:
    explicit filter(Predicate predicate) : predicate_(std::move(predicate)) {}

    template <class Stage>
    [[nodiscard]] auto apply(Stage stage) &&
    {
        using logic = detail::filter_logic<typename Stage::value_type, Predicate>;
        return detail::logic_stage<Stage, logic>(std::move(stage), logic{std::move(predicate_)});
    }

private:
    Predicate predicate_;
};

/// The first `count` values; then the end, without asking for another one.
class take : public adaptor<take>
{
public:
    explicit take(std::size_t count) noexcept : count_(count) {}

    template <class Stage>
    [[nodiscard]] auto apply(Stage stage) &&
    {
        using logic = detail::take_logic<typename Stage::value_type>;
        return detail::logic_stage<Stage, logic>(std::move(stage), logic{count_});
    }

private:
    std::size_t count_;
};

/// std::vector of `size` values each; the last one may have fewer. A size of 0 counts as 1. Values
/// gathered before a failure are dropped with it. One allocation for a chunk.
class chunk : public adaptor<chunk>
{
public:
    explicit chunk(std::size_t size) noexcept : size_(std::max<std::size_t>(size, 1)) {}

    template <class Stage>
    [[nodiscard]] auto apply(Stage stage) &&
    {
        using logic = detail::chunk_logic<typename Stage::value_type>;
        return detail::logic_stage<Stage, logic>(std::move(stage), logic{size_, {}});
    }

private:
    std::size_t size_;
};

/// Runs everything in front of it as a task of its own, up to `count` values ahead (at least 1), in
/// order. That task waits while the buffer is full. Values are nothrow movable.
class buffer : public adaptor<buffer>
{
public:
    explicit buffer(std::size_t count) noexcept : count_(count) {}

    template <class Stage>
    [[nodiscard]] auto apply(Stage stage) &&
    {
        return detail::queue_stage<Stage>(count_, std::move(stage));
    }

private:
    std::size_t count_;
};

/// See merge().
template <class... Others>
class merge_adaptor : public adaptor<merge_adaptor<Others...>>
{
public:
    explicit merge_adaptor(std::size_t capacity, Others&&... others)
        : capacity_(capacity), others_(std::move(others)...)
    {
    }

    template <class Stage>
    [[nodiscard]] auto apply(Stage stage) &&
    {
        return std::apply(
            [&](auto&... others) {
                return detail::queue_stage<Stage, Others...>(capacity_, std::move(stage),
                                                             std::move(others)...);
            },
            others_);
    }

private:
    std::size_t capacity_;
    std::tuple<Others...> others_;
};

/// The values of this stream and of the others as they come; those of each in their order. Every
/// stream is run by a task of its own, all together `capacity` values ahead. Ends when all have ended.
/// The first failure of any of them is that of the merged stream, and nothing more is taken from the
/// others. Values are nothrow movable.
template <class... Others>
    requires(sizeof...(Others) > 0 && (stream_source<std::remove_cvref_t<Others>> && ...))
[[nodiscard]] auto merge(std::size_t capacity, Others&&... others)
{
    return merge_adaptor<detail::stage_t<Others>...>(
        capacity, detail::to_stage(std::forward<Others>(others))...);
}

template <class... Others>
    requires(sizeof...(Others) > 0 && (stream_source<std::remove_cvref_t<Others>> && ...))
[[nodiscard]] auto merge(Others&&... others)
{
    constexpr std::size_t capacity_default = 16;
    return merge(capacity_default, std::forward<Others>(others)...);
}

} // namespace streams

} // namespace blitzio
