// The first of several operations to finish, or to succeed.
// Thread rule: awaited in tasks; the children may complete on different workers, at the same time.
#pragma once

#include <blitzio/io/when_all.hpp>

#include <atomic>
#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace blitzio
{

namespace detail
{

inline constexpr std::size_t no_winner = static_cast<std::size_t>(-1);

template <bool NeedsSuccess, class... Operations>
class race_operation : public awaitable_base<race_operation<NeedsSuccess, Operations...>>,
                       private child_counter
{
    using first_result = std::tuple_element_t<0, std::tuple<await_result_t<Operations>...>>;

public:
    explicit race_operation(Operations&&... operations) noexcept
        : children_(std::move(operations)...)
    {
    }

    race_operation(race_operation&& other) noexcept : children_(std::move(other.children_)) {}

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        begin_children(sizeof...(Operations), env, who);
        [this]<std::size_t... Index>(std::index_sequence<Index...>) {
            (child_counter::start_child<Index>(*this, std::get<Index>(children_)), ...);
        }(std::index_sequence_for<Operations...>{});
        return !count_down();
    }

    auto await_resume()
    {
        stop_.unlink();
        if constexpr (NeedsSuccess)
        {
            return first_success();
        }
        else
        {
            return winner_variant();
        }
    }

private:
    friend child_counter;

    template <std::size_t Index>
    void collect() noexcept
    {
        auto& outcome = std::get<Index>(outcomes_);
        store_outcome(outcome, [this] { return std::get<Index>(children_).await_resume(); });
        if (NeedsSuccess && is_failure(outcome))
        {
            return;
        }
        std::size_t expected = no_winner;
        // relaxed: the outcomes are handed over by the count-down.
        if (winner_.compare_exchange_strong(expected, Index, std::memory_order_relaxed))
        {
            stop_.source().request_stop(stop_reason::sibling);
        }
    }

    auto winner_variant()
    {
        using variant = std::variant<stored_type<await_result_t<Operations>>...>;
        const auto index = winner_.load(std::memory_order_relaxed);
        return visit_index<variant>(index, std::index_sequence_for<Operations...>{});
    }

    template <class Variant, std::size_t... Index>
    Variant visit_index(std::size_t index, std::index_sequence<Index...>)
    {
        using maker = Variant (*)(race_operation&);
        static constexpr maker makers[] = {
            &race_operation::template make_variant<Variant, Index>...};
        return makers[index](*this);
    }

    template <class Variant, std::size_t Index>
    static Variant make_variant(race_operation& race)
    {
        auto& outcome = std::get<Index>(race.outcomes_);
        if (outcome.has_exception())
        {
            std::rethrow_exception(outcome.exception());
        }
        return Variant(std::in_place_index<Index>, std::move(outcome.value()));
    }

    auto first_success();

    std::tuple<Operations...> children_;
    std::tuple<outcome_slot<await_result_t<Operations>>...> outcomes_;
    std::atomic<std::size_t> winner_{no_winner};
};

} // namespace detail

/// Which of the operations given to race_ok succeeded, and with what.
template <class T>
struct race_winner
{
    std::size_t index;
    [[no_unique_address]] detail::stored_type<T> value;
};

namespace detail
{

template <bool NeedsSuccess, class... Operations>
auto race_operation<NeedsSuccess, Operations...>::first_success()
{
    static_assert((std::is_same_v<await_result_t<Operations>, first_result> && ...) &&
                      is_result<first_result>,
                  "race_ok takes operations that all give the same result<T>");
    using value_type = typename first_result::value_type;
    using winner_type = result<race_winner<value_type>>;
    const auto index = winner_.load(std::memory_order_relaxed);
    return [&]<std::size_t... Index>(std::index_sequence<Index...>) -> winner_type {
        winner_type found = fail(std::errc::operation_canceled);
        const auto look = [&](std::size_t position, outcome_slot<first_result>& outcome) {
            if (index == no_winner && outcome.has_exception())
            {
                std::rethrow_exception(outcome.exception());
            }
            if (position != index && !(index == no_winner && position == 0))
            {
                return;
            }
            if (!outcome.value())
            {
                found = fail(outcome.value().error());
            }
            else if constexpr (std::is_void_v<value_type>)
            {
                found = race_winner<value_type>{position, {}};
            }
            else
            {
                found = race_winner<value_type>{position, *std::move(outcome.value())};
            }
        };
        (look(Index, std::get<Index>(outcomes_)), ...);
        return found;
    }(std::index_sequence_for<Operations...>{});
}

} // namespace detail

/// Runs all operations at once; the first to finish, well or badly, decides, the others are asked to
/// stop and awaited. Gives a variant whose index names the winner (std::monostate for void); the
/// winner's exception is thrown again. What a loser obtained all the same is destroyed, so that
/// descriptors are closed. Cancellation: a stop request reaches every child. No allocation.
template <awaitable_operation... Operations>
    requires(sizeof...(Operations) > 0 && (!std::is_lvalue_reference_v<Operations> && ...))
[[nodiscard]] auto race(Operations&&... operations)
{
    return detail::race_operation<false, std::remove_cvref_t<Operations>...>(
        std::move(operations)...);
}

/// Like race, but decided by the first success; all operations give the same result<T>. When none
/// succeeds: the first exception, otherwise the error of the first operation.
template <awaitable_operation... Operations>
    requires(sizeof...(Operations) > 0 && (!std::is_lvalue_reference_v<Operations> && ...))
[[nodiscard]] auto race_ok(Operations&&... operations)
{
    return detail::race_operation<true, std::remove_cvref_t<Operations>...>(
        std::move(operations)...);
}

} // namespace blitzio
