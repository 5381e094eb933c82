// The first of several operations to finish, or to succeed.
// Thread rule: awaited in tasks; the children may complete on different workers, at the same time.
#pragma once

#include <blitzio/io/detail/child_counter.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/io/task.hpp>

#include <cstddef>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>

namespace blitzio
{

/// Which of several operations came first, and with what.
template <class T>
struct race_winner
{
    std::size_t index;
    [[no_unique_address]] detail::stored_type<T> value;
};

namespace detail
{

/// How a race ends and in which form it is told.
enum class race_form : unsigned char
{
    variant,       // race: the first end decides; a variant
    winner,        // when_any: the first end decides; index and value
    first_success, // race_ok: the first success decides; index and value, or an error
};

template <class First, class... Others>
inline constexpr bool all_same = (std::is_same_v<First, Others> && ...);

template <race_form Form, class... Operations>
class race_operation : public awaitable_base<race_operation<Form, Operations...>>,
                       private child_counter
{
    using first_result = std::tuple_element_t<0, std::tuple<await_result_t<Operations>...>>;
    using variant = std::variant<stored_type<await_result_t<Operations>>...>;

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
        report_losers();
        if constexpr (Form == race_form::first_success)
        {
            return first_success();
        }
        else if constexpr (Form == race_form::variant)
        {
            return pick<variant>(
                []<std::size_t Index>(std::integral_constant<std::size_t, Index>, auto&& value) {
                    return variant(std::in_place_index<Index>, std::move(value));
                });
        }
        else if constexpr (all_same<await_result_t<Operations>...>)
        {
            using winner = race_winner<first_result>;
            return pick<winner>(
                [](auto index, auto&& value) { return winner{index, std::move(value)}; });
        }
        else
        {
            using winner = race_winner<variant>;
            return pick<winner>(
                []<std::size_t Index>(std::integral_constant<std::size_t, Index>, auto&& value) {
                    return winner{Index, variant(std::in_place_index<Index>, std::move(value))};
                });
        }
    }

private:
    friend child_counter;

    template <std::size_t Index>
    void collect() noexcept
    {
        auto& outcome = std::get<Index>(outcomes_);
        store_outcome(outcome, [this] { return std::get<Index>(children_).await_resume(); });
        if (Form == race_form::first_success && is_failure(outcome))
        {
            if (outcome.has_exception())
            {
                first_thrown_.claim(Index);
            }
            return;
        }
        if (winner_.claim(Index))
        {
            stop_siblings();
        }
    }

    /// What `make(index, value)` gives for the winner; its exception is thrown again.
    template <class Made, class Make>
    Made pick(Make make)
    {
        return pick_from<Made, 0>(make);
    }

    template <class Made, std::size_t Index, class Make>
    Made pick_from(Make& make)
    {
        if constexpr (Index + 1 < sizeof...(Operations))
        {
            if (Index != winner_.index())
            {
                return pick_from<Made, Index + 1>(make);
            }
        }
        auto& outcome = std::get<Index>(outcomes_);
        if (outcome.has_exception())
        {
            std::rethrow_exception(outcome.exception());
        }
        return make(std::integral_constant<std::size_t, Index>{}, std::move(outcome.value()));
    }

    void report_losers() noexcept
    {
        const auto thrown_again =
            winner_.index() == no_child ? first_thrown_.index() : winner_.index();
        [&]<std::size_t... Index>(std::index_sequence<Index...>) {
            ((Index != thrown_again ? report_if_thrown(std::get<Index>(outcomes_)) : void()), ...);
        }(std::index_sequence_for<Operations...>{});
    }

    auto first_success()
    {
        static_assert(all_same<await_result_t<Operations>...> && is_result<first_result>,
                      "race_ok takes operations that all give the same result<T>");
        using value_type = typename first_result::value_type;
        using winner_type = result<race_winner<value_type>>;
        const auto index = winner_.index();
        const auto thrown = first_thrown_.index();
        return [&]<std::size_t... Index>(std::index_sequence<Index...>) -> winner_type {
            winner_type found = fail(std::errc::operation_canceled);
            const auto look = [&](std::size_t position, outcome_slot<first_result>& outcome) {
                if (index == no_child && position == thrown)
                {
                    std::rethrow_exception(outcome.exception());
                }
                if (position == index)
                {
                    found = to_winner(position, outcome);
                }
                else if (index == no_child && position == 0 && outcome.has_value())
                {
                    found = fail(outcome.value().error());
                }
            };
            (look(Index, std::get<Index>(outcomes_)), ...);
            return found;
        }(std::index_sequence_for<Operations...>{});
    }

    template <class T>
    static race_winner<T> to_winner(std::size_t position, outcome_slot<result<T>>& outcome)
    {
        if constexpr (std::is_void_v<T>)
        {
            return {position, {}};
        }
        else
        {
            return {position, *std::move(outcome.value())};
        }
    }

    std::tuple<Operations...> children_;
    std::tuple<outcome_slot<await_result_t<Operations>>...> outcomes_;
    first_child winner_;
    first_child first_thrown_;
};

template <bool NeedsSuccess, class Operation>
class race_range_operation
    : public awaitable_base<race_range_operation<NeedsSuccess, Operation>>,
      private child_list<Operation, race_range_operation<NeedsSuccess, Operation>>
{
    using children = child_list<Operation, race_range_operation>;
    using typename children::child;
    using child_result = await_result_t<Operation>;
    friend children;

public:
    template <class Range>
    race_range_operation(std::in_place_t, Range&& operations)
        : children(std::forward<Range>(operations))
    {
        if (this->children_.empty())
        {
            throw std::invalid_argument("a race needs at least one operation, the range is empty");
        }
    }

    /// Only before start().
    race_range_operation(race_range_operation&& other) noexcept
        : children(static_cast<children&&>(other))
    {
    }

    [[nodiscard]] bool start(const task_env& env, waiter who) noexcept
    {
        return this->start_all(*this, env, who);
    }

    auto await_resume()
    {
        this->stop_.unlink();
        const auto winner = winner_.index();
        const auto decisive = winner != no_child ? winner : first_thrown_.index();
        for (child& ended : this->children_)
        {
            if (this->index_of(ended) != decisive)
            {
                this->report_if_thrown(ended.outcome);
            }
        }
        if (decisive != no_child && this->children_[decisive].outcome.has_exception())
        {
            std::rethrow_exception(this->children_[decisive].outcome.exception());
        }
        if constexpr (NeedsSuccess)
        {
            using value_type = typename child_result::value_type;
            using outcome_type = result<race_winner<value_type>>;
            if (winner == no_child)
            {
                return outcome_type(fail(this->children_.front().outcome.value().error()));
            }
            auto& outcome = this->children_[winner].outcome.value();
            if constexpr (std::is_void_v<value_type>)
            {
                return outcome_type(race_winner<value_type>{winner, {}});
            }
            else
            {
                return outcome_type(race_winner<value_type>{winner, *std::move(outcome)});
            }
        }
        else
        {
            return race_winner<child_result>{winner,
                                             std::move(this->children_[winner].outcome.value())};
        }
    }

private:
    static_assert(!NeedsSuccess || is_result<child_result>,
                  "race_ok takes operations that give a result<T>");

    void collect(child& ended) noexcept
    {
        this->store(ended);
        if (NeedsSuccess && is_failure(ended.outcome))
        {
            if (ended.outcome.has_exception())
            {
                first_thrown_.claim(this->index_of(ended));
            }
            return;
        }
        if (winner_.claim(this->index_of(ended)))
        {
            this->stop_siblings();
        }
    }

    first_child winner_;
    first_child first_thrown_;
};

} // namespace detail

/// Runs all operations at once; the first to finish, well or badly, decides, the others are asked to
/// stop and awaited. Gives a variant whose index names the winner (std::monostate for void); the
/// winner's exception is thrown again, those of losers are reported as when_all does. What a loser
/// obtained all the same is destroyed, so that descriptors are closed; where it must not be lost,
/// use select(). Cancellation: a stop request reaches every child. No allocation.
template <awaitable_operation... Operations>
    requires(sizeof...(Operations) > 0 && (!std::is_lvalue_reference_v<Operations> && ...))
[[nodiscard]] auto race(Operations&&... operations)
{
    return detail::race_operation<detail::race_form::variant, std::remove_cvref_t<Operations>...>(
        std::move(operations)...);
}

/// Like race, giving a race_winner: the index, and the value (a variant if the types differ).
template <awaitable_operation... Operations>
    requires(sizeof...(Operations) > 0 && (!std::is_lvalue_reference_v<Operations> && ...))
[[nodiscard]] auto when_any(Operations&&... operations)
{
    return detail::race_operation<detail::race_form::winner, std::remove_cvref_t<Operations>...>(
        std::move(operations)...);
}

/// The same for any number of operations of one type. One allocation for all of them.
/// Throws std::invalid_argument when there is none, because nothing could ever decide.
template <operation_range Range>
[[nodiscard]] auto when_any(Range&& operations)
{
    return detail::race_range_operation<false, std::ranges::range_value_t<Range>>(
        std::in_place, std::forward<Range>(operations));
}

/// when_any under the name of its variadic sibling.
template <operation_range Range>
[[nodiscard]] auto race(Range&& operations)
{
    return when_any(std::forward<Range>(operations));
}

/// Like race, but decided by the first success; all operations give the same result<T>. When none
/// succeeds: the first exception, otherwise the error of the first operation in the order given.
template <awaitable_operation... Operations>
    requires(sizeof...(Operations) > 0 && (!std::is_lvalue_reference_v<Operations> && ...))
[[nodiscard]] auto race_ok(Operations&&... operations)
{
    return detail::race_operation<detail::race_form::first_success,
                                  std::remove_cvref_t<Operations>...>(std::move(operations)...);
}

/// The same for any number of operations; throws std::invalid_argument when there is none.
template <operation_range Range>
[[nodiscard]] auto race_ok(Range&& operations)
{
    return detail::race_range_operation<true, std::ranges::range_value_t<Range>>(
        std::in_place, std::forward<Range>(operations));
}

} // namespace blitzio
