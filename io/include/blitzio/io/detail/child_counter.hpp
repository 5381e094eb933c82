// What all combinators share that start several children and wait for every one of them.
// Thread rule: begin and the starting loop by whoever starts the combinator; the children may end on
// different workers, at the same time.
#pragma once

#include <blitzio/io/detail/linked_stop.hpp>
#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/outcome_slot.hpp>

#include <atomic>
#include <cstddef>
#include <exception>
#include <ranges>
#include <utility>
#include <vector>

namespace blitzio::detail
{

inline constexpr std::size_t no_child = static_cast<std::size_t>(-1);

/// The first of several children to do something, by the order in which they claim it.
class first_child
{
public:
    /// True for the one call that came first.
    bool claim(std::size_t index) noexcept
    {
        // A claim that comes late costs no read-modify-write.
        if (index_.load(std::memory_order_relaxed) != no_child)
        {
            return false;
        }
        std::size_t expected = no_child;
        // relaxed: the outcomes are handed over by the count-down.
        return index_.compare_exchange_strong(expected, index, std::memory_order_relaxed);
    }

    [[nodiscard]] std::size_t index() const noexcept
    {
        return index_.load(std::memory_order_relaxed);
    }

private:
    std::atomic<std::size_t> index_{no_child};
};

class child_counter
{
protected:
    void begin_children(std::size_t count, const task_env& env, waiter who) noexcept
    {
        env_ = env;
        stop_.link(env.stop);
        env_.stop = stop_.source().get_token();
        on_complete_ = who;
        // One more than there are children: nobody continues the parent while it still starts them.
        pending_.store(count + 1, std::memory_order_relaxed);
    }

    /// `count` children, or the starting loop, are through. True: nobody else is left.
    [[nodiscard]] bool count_down(std::size_t count = 1) noexcept
    {
        // acq_rel: the last one sees what every other child has stored.
        return pending_.fetch_sub(count, std::memory_order_acq_rel) == count;
    }

    [[nodiscard]] std::coroutine_handle<> child_ended() noexcept
    {
        return count_down() ? on_complete_() : std::noop_coroutine();
    }

    /// Starts the child at `Index` of `self`, whose collect<Index>() takes its result.
    template <std::size_t Index, class Self, class Child>
    static void start_child(Self& self, Child& child) noexcept
    {
        const waiter ended{[](void* parent) noexcept {
                               auto& combinator = *static_cast<Self*>(parent);
                               combinator.template collect<Index>();
                               return combinator.child_ended();
                           },
                           &self};
        if (!child.start(self.env_, ended))
        {
            self.template collect<Index>();
            // Never the last: the starting loop still holds its own count.
            static_cast<void>(self.count_down());
        }
    }

    void stop_siblings() noexcept
    {
        stop_.source().request_stop(stop_reason::sibling);
    }

    /// An exception that is not the one thrown again: nobody else will see it.
    template <class T>
    void report_if_thrown(outcome_slot<T>& outcome) noexcept
    {
        if (outcome.has_exception())
        {
            report_suppressed(env_, outcome.exception());
        }
    }

    task_env env_;
    linked_stop stop_;
    waiter on_complete_;
    std::atomic<std::size_t> pending_{0};
};

/// The children of a combinator over a range, in one block of memory.
template <class Operation, class Parent>
class child_list : public child_counter
{
public:
    struct child
    {
        explicit child(Operation&& given) noexcept : work(std::move(given)) {}
        /// Only before start(): the list is still being filled.
        child(child&& other) noexcept : work(std::move(other.work)) {}

        Operation work;
        outcome_slot<await_result_t<Operation>> outcome;
        Parent* parent = nullptr;
    };

    template <class Range>
    explicit child_list(Range&& operations)
    {
        if constexpr (std::ranges::sized_range<Range>)
        {
            children_.reserve(std::ranges::size(operations));
        }
        for (auto&& operation : operations)
        {
            if constexpr (std::is_lvalue_reference_v<decltype(operation)>)
            {
                children_.emplace_back(std::move(operation));
            }
            else
            {
                children_.emplace_back(std::forward<decltype(operation)>(operation));
            }
        }
    }

    /// Only before start().
    child_list(child_list&& other) noexcept : children_(std::move(other.children_)) {}

protected:
    /// Parent has collect(child&).
    [[nodiscard]] bool start_all(Parent& parent, const task_env& env, waiter who) noexcept
    {
        begin_children(children_.size(), env, who);
        for (child& started : children_)
        {
            started.parent = &parent;
            if (!started.work.start(env_, {&on_ended, &started}))
            {
                parent.collect(started);
                static_cast<void>(count_down());
            }
        }
        return !count_down();
    }

    /// Keeps what the child ends with.
    static void store(child& ended) noexcept
    {
        store_outcome(ended.outcome, [&ended] { return ended.work.await_resume(); });
    }

    [[nodiscard]] std::size_t index_of(const child& wanted) const noexcept
    {
        return static_cast<std::size_t>(&wanted - children_.data());
    }

    std::vector<child> children_;

private:
    static std::coroutine_handle<> on_ended(void* context) noexcept
    {
        auto& ended = *static_cast<child*>(context);
        Parent& parent = *ended.parent;
        parent.collect(ended);
        return parent.child_ended();
    }
};

/// True for a child that threw or gave an error.
template <class T>
bool is_failure(outcome_slot<T>& outcome) noexcept
{
    if constexpr (is_result<T>)
    {
        return outcome.has_exception() || !outcome.value().has_value();
    }
    else
    {
        return outcome.has_exception();
    }
}

} // namespace blitzio::detail

namespace blitzio
{

/// A range of operations that a combinator may take over: a container given as an rvalue, or a view
/// that makes its operations.
template <class Range>
concept operation_range = !std::is_lvalue_reference_v<Range> && std::ranges::input_range<Range> &&
                          awaitable_operation<std::ranges::range_value_t<Range>> &&
                          (!std::ranges::view<Range> ||
                           !std::is_lvalue_reference_v<std::ranges::range_reference_t<Range>>);

} // namespace blitzio
