// A place for what a task ends with: a value, an exception, or not yet anything.
// Thread rule: one thread at a time; handing it over is the owner's business.
#pragma once

#include <blitzio/io/detail/assert.hpp>

#include <cstdint>
#include <cstring>
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
        if (state_ == state::exception) [[unlikely]]
        {
            drop_exception();
        }
        else if constexpr (!std::is_trivially_destructible_v<stored>)
        {
            if (state_ == state::value)
            {
                std::destroy_at(std::addressof(value_));
            }
        }
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

    /// Apart: the end of every frame has it, where calls cost registers even if they do not happen.
    [[gnu::noinline, gnu::cold]] void drop_exception() noexcept
    {
        std::destroy_at(std::addressof(exception_));
    }

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

/// Without a value: one word, because a million parked tasks have two of these each. It is 0, or 1 for
/// "returned", or an exception_ptr, which is a pointer to an object and so neither.
template <>
class outcome_slot<void>
{
    static_assert(sizeof(std::exception_ptr) == sizeof(std::uintptr_t) &&
                  alignof(std::exception_ptr) == alignof(std::uintptr_t));

public:
    using stored = std::monostate;

    outcome_slot() noexcept = default;

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
        if (has_exception()) [[unlikely]]
        {
            drop_exception();
        }
    }

    void emplace_value(std::monostate = {}) noexcept
    {
        clear();
        set_word(returned);
    }

    void emplace_exception(std::exception_ptr error) noexcept
    {
        clear();
        ::new (static_cast<void*>(storage_)) std::exception_ptr(std::move(error));
        BLITZIO_ASSERT(has_exception());
    }

    [[nodiscard]] bool has_value() const noexcept
    {
        return word() == returned;
    }

    [[nodiscard]] bool has_exception() const noexcept
    {
        return word() > returned;
    }

    [[nodiscard]] stored& value() noexcept
    {
        static constinit std::monostate nothing;
        return nothing;
    }

    [[nodiscard]] const std::exception_ptr& exception() const noexcept
    {
        return *std::launder(reinterpret_cast<const std::exception_ptr*>(storage_));
    }

    /// Returns, or throws the exception again. Empties the slot, which must not be empty.
    void take()
    {
        if (has_exception())
        {
            auto error = std::move(*exception_place());
            clear();
            std::rethrow_exception(std::move(error));
        }
        BLITZIO_ASSERT(has_value());
        clear();
    }

    void clear() noexcept
    {
        if (has_exception()) [[unlikely]]
        {
            drop_exception();
        }
        set_word(empty);
    }

private:
    static constexpr std::uintptr_t empty = 0;
    static constexpr std::uintptr_t returned = 1;

    [[nodiscard]] std::uintptr_t word() const noexcept
    {
        std::uintptr_t read = 0;
        std::memcpy(&read, storage_, sizeof(read));
        return read;
    }

    void set_word(std::uintptr_t written) noexcept
    {
        std::memcpy(storage_, &written, sizeof(written));
    }

    [[nodiscard]] std::exception_ptr* exception_place() noexcept
    {
        return std::launder(reinterpret_cast<std::exception_ptr*>(storage_));
    }

    [[gnu::noinline, gnu::cold]] void drop_exception() noexcept
    {
        std::destroy_at(exception_place());
    }

    void take_from(outcome_slot& other) noexcept
    {
        if (other.has_exception()) [[unlikely]]
        {
            emplace_exception(std::move(*other.exception_place()));
            other.drop_exception();
        }
        else
        {
            set_word(other.word());
        }
        other.set_word(empty);
    }

    alignas(std::exception_ptr) unsigned char storage_[sizeof(std::uintptr_t)]{};
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
