// One value that several read and the last one destroys, in memory from the pool of frames.
// Thread rule: any thread; the value itself does not change while it is shared.
#pragma once

#include <blitzio/io/detail/frame_pool.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace blitzio::detail
{

template <class T>
class shared_value_cell
{
    static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_array_v<T>,
                  "values are objects; use a pointer or a struct instead");
    static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                  "values are moved where no exception could be reported");
    static_assert(alignof(T) <= alignof(std::max_align_t));

public:
    /// With one reference. Throws std::bad_alloc, with the value as it was.
    [[nodiscard]] static shared_value_cell* make(T&& value)
    {
        return ::new (allocate_frame(sizeof(shared_value_cell)))
            shared_value_cell(std::move(value));
    }

    shared_value_cell(const shared_value_cell&) = delete;
    shared_value_cell& operator=(const shared_value_cell&) = delete;

    void add_references(std::uint32_t count) noexcept
    {
        references_.fetch_add(count, std::memory_order_relaxed); // the caller has one
    }

    void release() noexcept
    {
        // acq_rel: the last one sees all that the others did.
        if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
        {
            this->~shared_value_cell();
            deallocate_frame(this, sizeof(shared_value_cell));
        }
    }

    /// True: the caller's reference is the only one left, so the value is the caller's to change.
    [[nodiscard]] bool is_unique() const noexcept
    {
        // Acquire: partner is the release in release().
        return references_.load(std::memory_order_acquire) == 1;
    }

    [[nodiscard]] T& value() noexcept
    {
        return value_;
    }

private:
    explicit shared_value_cell(T&& value) noexcept : value_(std::move(value)) {}
    ~shared_value_cell() = default;

    std::atomic<std::uint32_t> references_{1};
    T value_;
};

/// A counted reference to a cell, or none.
template <class T>
class value_reference
{
public:
    using cell_type = shared_value_cell<T>;

    value_reference() noexcept = default;

    /// Takes over one reference.
    explicit value_reference(cell_type* cell) noexcept : cell_(cell) {}

    value_reference(const value_reference& other) noexcept : cell_(other.cell_)
    {
        if (cell_ != nullptr)
        {
            cell_->add_references(1);
        }
    }

    value_reference(value_reference&& other) noexcept : cell_(std::exchange(other.cell_, nullptr))
    {
    }

    value_reference& operator=(value_reference other) noexcept
    {
        std::swap(cell_, other.cell_);
        return *this;
    }

    ~value_reference()
    {
        if (cell_ != nullptr)
        {
            cell_->release();
        }
    }

    explicit operator bool() const noexcept
    {
        return cell_ != nullptr;
    }

    [[nodiscard]] cell_type* get() const noexcept
    {
        return cell_;
    }

    /// Gives up the reference without counting it down.
    [[nodiscard]] cell_type* detach() noexcept
    {
        return std::exchange(cell_, nullptr);
    }

    /// The value: moved out when nobody else has it, otherwise copied.
    [[nodiscard]] T take()
    {
        if (cell_->is_unique())
        {
            return std::move(cell_->value());
        }
        return cell_->value();
    }

private:
    cell_type* cell_ = nullptr;
};

} // namespace blitzio::detail
