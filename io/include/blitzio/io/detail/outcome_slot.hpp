// A place for what a task ends with: a value, an exception, or not yet anything.
// Thread rule: one thread at a time; handing it over is the owner's business.
#pragma once

#include <blitzio/io/detail/assert.hpp>

#include <exception>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <variant>

namespace blitzio::detail
{

/// void in places that need an object.
template <class T>
using stored_type = std::conditional_t<std::is_void_v<T>, std::monostate, T>;

/// Reads like an optional of T or exception, without asking T for a default constructor.
template <class T>
class outcome_slot
{
    static_assert(!std::is_reference_v<T>, "tasks return values; return a pointer instead");

public:
    using stored = stored_type<T>;

    outcome_slot() noexcept {}

    outcome_slot(outcome_slot&& other) noexcept
    {
        take_from(other);
    }

    outcome_slot& operator=(outcome_slot&& other) noexcept
    {
        if (this != &other)
        {
            clear();
            take_from(other);
        }
        return *this;
    }

    ~outcome_slot()
    {
        clear();
    }

    template <class... Args>
    void emplace_value(Args&&... args)
    {
        clear();
        std::construct_at(std::addressof(value_), std::forward<Args>(args)...);
        state_ = state::value;
    }

    void emplace_exception(std::exception_ptr error) noexcept
    {
        clear();
        std::construct_at(std::addressof(exception_), std::move(error));
        state_ = state::exception;
    }

    [[nodiscard]] bool has_value() const noexcept
    {
        return state_ == state::value;
    }

    [[nodiscard]] bool has_exception() const noexcept
    {
        return state_ == state::exception;
    }

    [[nodiscard]] stored& value() noexcept
    {
        return value_;
    }

    [[nodiscard]] const std::exception_ptr& exception() const noexcept
    {
        return exception_;
    }

    /// The value, or the exception thrown again. Empties the slot, which must not be empty.
    T take()
    {
        if (state_ == state::exception)
        {
            auto error = std::move(exception_);
            clear();
            std::rethrow_exception(std::move(error));
        }
        BLITZIO_ASSERT(state_ == state::value);
        if (state_ != state::value)
        {
            std::unreachable(); // else GCC sees a way on which the value is not initialised
        }
        const emptying after_return{*this};
        if constexpr (!std::is_void_v<T>)
        {
            return std::move(value_);
        }
    }

    void clear() noexcept
    {
        if (state_ == state::value)
        {
            std::destroy_at(std::addressof(value_));
        }
        else if (state_ == state::exception)
        {
            std::destroy_at(std::addressof(exception_));
        }
        state_ = state::empty;
    }

private:
    enum class state : unsigned char
    {
        empty,
        value,
        exception,
    };

    struct emptying
    {
        outcome_slot& slot;
        ~emptying()
        {
            slot.clear();
        }
    };

    void take_from(outcome_slot& other) noexcept
    {
        if (other.state_ == state::value)
        {
            std::construct_at(std::addressof(value_), std::move(other.value_));
        }
        else if (other.state_ == state::exception)
        {
            std::construct_at(std::addressof(exception_), std::move(other.exception_));
        }
        state_ = other.state_;
        other.clear();
    }

    union
    {
        stored value_;
        std::exception_ptr exception_;
    };
    state state_ = state::empty;
};

/// Runs `call` and keeps what it returns or throws.
template <class T, class Call>
void store_outcome(outcome_slot<T>& slot, Call&& call) noexcept
{
    try
    {
        if constexpr (std::is_void_v<T>)
        {
            std::forward<Call>(call)();
            slot.emplace_value();
        }
        else
        {
            slot.emplace_value(std::forward<Call>(call)());
        }
    }
    catch (...)
    {
        slot.emplace_exception(std::current_exception());
    }
}

} // namespace blitzio::detail
