// select(): waits for the first of several operations and runs the handler that belongs to it.
//
//     auto first = co_await select(
//         on(commands.receive(), [&](result<command> next) { ... }),
//         on(stream.read_some(bytes), [&](result<std::size_t> count) { ... }),
//         on(sleep_for(1s), [&] { idle = true; }));
//
// One case is chosen, and nothing is lost:
//   - Cases are started one by one, in random order, and no further one once a case was chosen. So
//     of several that are ready exactly one is taken, each as likely as the others; the rest have
//     not been started, and what they would have taken is where it was.
//   - When none is ready, all wait. A case that waits for something of sync (a channel's value or
//     room, a lock, permits, an event, a notification, the news of a broadcast or a watch) is
//     chosen by whoever is about to grant it, in the step that grants it; when another case was
//     chosen before, the value, the lock or the permit goes to the next one that waits. A sleep, a
//     tick and a oneshot are chosen when they end, and leave no trace if another one was before. So
//     of all these exactly one takes effect, as in Go.
//   - Everything else (sockets, files, tasks, combinators, barriers, once_cell, condition variables)
//     cannot be undone once it has succeeded: the kernel has no way to, and a task may have done
//     anything. Such a case is cancelled and awaited, and if it succeeds before that reaches it,
//     its handler runs as well, after that of the chosen one. Handlers run one after the other,
//     never at the same time.
//   - A case that was cancelled in time has done nothing, and its handler is not called.
//
// Thread rule: awaited in tasks. Handlers run on the worker where the last case ended; between the
// start of select() and its end they run alone, ordered with the awaiting task.
#pragma once

#include <blitzio/io/adaptors.hpp>
#include <blitzio/io/detail/child_counter.hpp>
#include <blitzio/io/detail/choice.hpp>
#include <blitzio/io/detail/late_value.hpp>
#include <blitzio/io/detail/start_gate.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace blitzio
{

namespace detail
{

/// What a handler gives for the outcome of an operation that gives T; it may do without the outcome.
template <class Handler, class T>
struct handled
{
    static constexpr bool takes_outcome = std::is_invocable_v<Handler&, T>;
    static_assert(takes_outcome || std::is_invocable_v<Handler&>,
                  "the handler of a case takes what the case's operation gives, or nothing");
    using type = typename std::conditional_t<takes_outcome, std::invoke_result<Handler&, T>,
                                             std::invoke_result<Handler&>>::type;
};
template <class Handler>
struct handled<Handler, void>
{
    static constexpr bool takes_outcome = false;
    using type = std::invoke_result_t<Handler&>;
};

enum class case_kind : std::uint8_t
{
    usual,
    disabled,
    otherwise,
};

template <class Operation, class Handler>
struct select_case
{
    using operation_type = Operation;
    using outcome_type = await_result_t<Operation>;
    using handling = handled<Handler, outcome_type>;
    using handler_result = typename handling::type;
    static constexpr bool handler_waits = awaitable_operation<handler_result>;

    static consteval auto final_type_of()
    {
        if constexpr (handler_waits)
        {
            return std::type_identity<await_result_t<handler_result>>{};
        }
        else
        {
            return std::type_identity<handler_result>{};
        }
    }
    using final_type = typename decltype(final_type_of())::type;
    static_assert(std::is_void_v<final_type> || std::is_same_v<final_type, result<void>>,
                  "a handler gives nothing or result<void>, or an operation that does");

    Operation operation;
    Handler handler;
    case_kind kind;
};

struct no_operation
{
};

template <class... Cases>
class select_operation : public awaitable_base<select_operation<Cases...>>, private child_counter
{
    static constexpr std::size_t size = sizeof...(Cases);
    static_assert(size <= 64, "a select has at most 64 cases");

public:
    explicit select_operation(Cases&&... cases) : cases_(std::move(cases)...) {}

    /// Only before start().
    select_operation(select_operation&& other) noexcept(
        std::is_nothrow_move_constructible_v<std::tuple<Cases...>>)
        : cases_(std::move(other.cases_))
    {
    }

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        outer_env_ = &env;
        continue_ = who;
        gate_.begin();
        begin_children(size, env, {&on_cases_ended, this});
        std::array<std::uint8_t, size> order{};
        shuffle(order);
        std::size_t not_started = 0;
        for (const std::uint8_t index : order)
        {
            if (index == skipped || choice_.index() != choice::undecided)
            {
                ++not_started;
                continue;
            }
            starters[index](*this);
        }
        if (!count_down(1 + not_started))
        {
            return gate_.suspend();
        }
        return run_handlers() && gate_.suspend();
    }

    result<std::size_t> await_resume()
    {
        stop_.unlink();
        if (thrown_ != nullptr)
        {
            std::rethrow_exception(std::move(thrown_));
        }
        if (choice_.index() == choice::undecided)
        {
            return fail(std::errc::invalid_argument); // every case is disabled
        }
        if (error_)
        {
            return fail(error_);
        }
        return choice_.index();
    }

private:
    static constexpr std::uint8_t skipped = 255;

    /// The choice, and the way back from it.
    struct shared_choice : choice
    {
        explicit shared_choice(select_operation* select) noexcept : owner(select) {}
        select_operation* const owner;
    };

    template <std::size_t Index>
    using case_at = std::tuple_element_t<Index, std::tuple<Cases...>>;

    /// The usual cases in random order (Fisher-Yates), then those that are for when none is ready.
    void shuffle(std::array<std::uint8_t, size>& order) noexcept
    {
        if constexpr (size == 1)
        {
            // Not for speed: GCC 13 sees places beyond the only one in the general form.
            order[0] = std::get<0>(cases_).kind == case_kind::disabled ? skipped : 0;
            return;
        }
        std::size_t front = 0;
        std::size_t back = size;
        [&]<std::size_t... Index>(std::index_sequence<Index...>) {
            const auto place = [&](std::uint8_t index, case_kind kind) {
                switch (kind)
                {
                case case_kind::usual: order[front++] = index; break;
                case case_kind::otherwise: order[--back] = index; break;
                case case_kind::disabled: order[--back] = skipped; break;
                }
            };
            (place(static_cast<std::uint8_t>(Index), std::get<Index>(cases_).kind), ...);
        }(std::index_sequence_for<Cases...>{});
        for (std::size_t left = front; left > 1; --left)
        {
            const auto pick = random_below(*env_.runtime, left);
            std::swap(order[left - 1], order[pick]);
        }
    }

    /// A case has ended. One that leaves no trace does so when another was chosen.
    template <std::size_t Index>
    void collect() noexcept
    {
        auto& operation = std::get<Index>(cases_).operation;
        const bool chosen = choice_.chooses(Index);
        if constexpr (revocable<typename case_at<Index>::operation_type>)
        {
            if (!chosen)
            {
                operation.forgo();
                return;
            }
        }
        store_outcome(std::get<Index>(outcomes_),
                      [&operation] { return operation.await_resume(); });
        if (chosen)
        {
            stop_siblings();
        }
    }

    static std::coroutine_handle<> on_cases_ended(void* context) noexcept
    {
        auto& self = *static_cast<select_operation*>(context);
        return self.run_handlers() ? std::noop_coroutine() : self.all_ended();
    }

    [[nodiscard]] std::coroutine_handle<> all_ended() noexcept
    {
        return gate_.end() ? continue_() : std::noop_coroutine();
    }

    /// Runs what handlers are left, that of the first case before the others. True: one of them
    /// waits, or has ended through its waiter, which has gone on from there.
    [[nodiscard]] bool run_handlers() noexcept
    {
        if (choice_.index() == choice::undecided)
        {
            return false;
        }
        while (handled_ < size)
        {
            // Position 0 is the first case, the others follow in the order they were written in.
            const std::size_t position = handled_++;
            const std::size_t index = position == 0
                                          ? choice_.index()
                                          : (position <= choice_.index() ? position - 1 : position);
            if (handlers[index](*this))
            {
                return true;
            }
        }
        return false;
    }

    /// Whether the handler is to be called; keeps what speaks against it.
    template <std::size_t Index>
    [[nodiscard]] bool is_due() noexcept
    {
        using outcome_type = typename case_at<Index>::outcome_type;
        auto& outcome = std::get<Index>(outcomes_);
        const bool first = Index == choice_.index();
        if (outcome.has_exception())
        {
            note_exception(outcome.exception());
            return false;
        }
        if (!outcome.has_value())
        {
            return false; // never started
        }
        if constexpr (is_result<outcome_type>)
        {
            const bool stopped = !outcome.value() &&
                                 outcome.value().error() == std::errc::operation_canceled &&
                                 (!first || outer_env_->stop.stop_requested());
            if (stopped && first)
            {
                note_error(outcome.value().error());
            }
            return !stopped;
        }
        else if constexpr (std::is_void_v<outcome_type>)
        {
            // One that cannot say whether it was cut short counts only when nobody asked it to stop.
            return first;
        }
        else
        {
            return true;
        }
    }

    template <std::size_t Index>
    decltype(auto) call_handler()
    {
        using handling = typename case_at<Index>::handling;
        auto& handler = std::get<Index>(cases_).handler;
        if constexpr (handling::takes_outcome)
        {
            return std::invoke(handler, std::move(std::get<Index>(outcomes_).value()));
        }
        else
        {
            return std::invoke(handler);
        }
    }

    template <std::size_t Index>
    [[nodiscard]] bool handle() noexcept
    {
        if (!is_due<Index>())
        {
            return false;
        }
        using case_type = case_at<Index>;
        if constexpr (case_type::handler_waits)
        {
            auto& waiting = std::get<Index>(handler_operations_);
            try
            {
                waiting.emplace_from([this] { return call_handler<Index>(); });
            }
            catch (...)
            {
                note_exception(std::current_exception());
                return false;
            }
            handler_gate_.begin();
            if (waiting->start(*outer_env_, {&on_handler_ended<Index>, this}) &&
                handler_gate_.suspend())
            {
                return true;
            }
            note([&waiting] { return waiting->await_resume(); });
        }
        else
        {
            note([this] { return call_handler<Index>(); });
        }
        return false;
    }

    template <std::size_t Index>
    static std::coroutine_handle<> on_handler_ended(void* context) noexcept
    {
        auto& self = *static_cast<select_operation*>(context);
        if (!self.handler_gate_.end())
        {
            return std::noop_coroutine();
        }
        self.note([&self] { return std::get<Index>(self.handler_operations_)->await_resume(); });
        return self.run_handlers() ? std::noop_coroutine() : self.all_ended();
    }

    /// Calls what ends a handler and keeps its failure.
    template <class Call>
    void note(Call call) noexcept
    {
        try
        {
            if constexpr (std::is_void_v<decltype(call())>)
            {
                call();
            }
            else if (const result<void> outcome = call(); !outcome)
            {
                note_error(outcome.error());
            }
        }
        catch (...)
        {
            note_exception(std::current_exception());
        }
    }

    void note_error(std::error_code error) noexcept
    {
        if (!error_)
        {
            error_ = error;
        }
    }

    void note_exception(std::exception_ptr error) noexcept
    {
        if (thrown_ != nullptr)
        {
            report_suppressed(*outer_env_, std::move(error));
            return;
        }
        thrown_ = std::move(error);
    }

    template <std::size_t Index>
    static void start_case(select_operation& self) noexcept
    {
        auto& operation = std::get<Index>(self.cases_).operation;
        if constexpr (choosable<typename case_at<Index>::operation_type>)
        {
            operation.join_choice(self.choice_, Index);
        }
        // By its choice, so that who grants the operation finds that.
        const waiter ended{&on_case_ended<Index>, static_cast<choice*>(&self.choice_)};
        if (!operation.start(self.env_, ended))
        {
            self.template collect<Index>();
            // Never the last: the starting loop still holds its own count.
            static_cast<void>(self.count_down());
        }
    }

    template <std::size_t Index>
    static std::coroutine_handle<> on_case_ended(void* context) noexcept
    {
        auto& self = *static_cast<shared_choice*>(static_cast<choice*>(context))->owner;
        self.template collect<Index>();
        return self.child_ended();
    }

    template <std::size_t Index>
    static bool handle_case(select_operation& self) noexcept
    {
        return self.template handle<Index>();
    }

    using start_function = void (*)(select_operation&) noexcept;
    using handle_function = bool (*)(select_operation&) noexcept;

    template <std::size_t... Index>
    static consteval std::array<start_function, size> list_starters(std::index_sequence<Index...>)
    {
        return {&start_case<Index>...};
    }

    template <std::size_t... Index>
    static consteval std::array<handle_function, size> list_handlers(std::index_sequence<Index...>)
    {
        return {&handle_case<Index>...};
    }

    static constexpr auto starters = list_starters(std::index_sequence_for<Cases...>{});
    static constexpr auto handlers = list_handlers(std::index_sequence_for<Cases...>{});

    std::tuple<Cases...> cases_;
    std::tuple<outcome_slot<typename Cases::outcome_type>...> outcomes_;
    std::tuple<late_value<
        std::conditional_t<Cases::handler_waits, typename Cases::handler_result, no_operation>>...>
        handler_operations_;
    shared_choice choice_{this};
    const task_env* outer_env_ = nullptr;
    waiter continue_;
    start_gate<> gate_;
    start_gate<> handler_gate_;
    std::size_t handled_ = 0;
    std::exception_ptr thrown_;
    std::error_code error_;
};

template <class T>
inline constexpr bool is_select_case = false;
template <class Operation, class Handler>
inline constexpr bool is_select_case<select_case<Operation, Handler>> = true;

} // namespace detail

/// A case of select(): `handler` is called with what `operation` gives (or with nothing, if it takes
/// nothing). It gives nothing or result<void>, or an operation or a task that does, which is then
/// awaited outside the reach of the select's own stop.
template <awaitable_operation Operation, class Handler>
    requires(!std::is_lvalue_reference_v<Operation>)
[[nodiscard]] auto on(Operation&& operation, Handler handler)
{
    return detail::select_case<std::remove_cvref_t<Operation>, Handler>{
        std::move(operation), std::move(handler), detail::case_kind::usual};
}

/// A case that takes part only when `condition` holds.
template <awaitable_operation Operation, class Handler>
    requires(!std::is_lvalue_reference_v<Operation>)
[[nodiscard]] auto on_if(bool condition, Operation&& operation, Handler handler)
{
    return detail::select_case<std::remove_cvref_t<Operation>, Handler>{
        std::move(operation), std::move(handler),
        condition ? detail::case_kind::usual : detail::case_kind::disabled};
}

/// The case for when no other one is ready at once: select() then does not wait. The others are
/// cancelled and awaited, and what they obtain all the same is handled.
template <class Handler>
[[nodiscard]] auto otherwise(Handler handler)
{
    return detail::select_case<detail::ready_operation<void>, Handler>{
        ready(), std::move(handler), detail::case_kind::otherwise};
}

/// Waits for the first of the cases to end and runs its handler; see the top of this file for what
/// happens when several end. Awaited: result<std::size_t>, the index of the case that ended first.
///
/// Cancellation: a stop request of the awaiting task reaches every case and handler; when no case
/// had succeeded before, no handler runs, and the result is operation_canceled.
/// Errors: the first error that a handler gives; operation_canceled; invalid_argument when every
/// case is disabled. An error of a case is an outcome like any other and goes to its handler.
/// Exceptions of a case or a handler are thrown again when the handlers of all other cases that
/// succeeded have run, the first of several; further ones are reported as when_all does.
/// A task<void> as a case cannot say whether it was cut short: its handler runs only when it is the
/// first to end. No allocation, apart from what handlers do.
template <class... Cases>
    requires(sizeof...(Cases) > 0 && (detail::is_select_case<std::remove_cvref_t<Cases>> && ...))
[[nodiscard]] auto select(Cases&&... cases)
{
    return detail::select_operation<std::remove_cvref_t<Cases>...>(std::move(cases)...);
}

} // namespace blitzio
