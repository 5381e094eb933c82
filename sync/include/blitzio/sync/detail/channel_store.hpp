// Where a channel keeps the values that nobody has received yet: a ring, or a list of blocks.
// Thread rule: guarded by the channel's lock, except where said. Values are moved under that lock;
// memory is neither taken nor given back under it.
#pragma once

#include <blitzio/io/detail/assert.hpp>
#include <blitzio/io/detail/frame_pool.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <utility>

namespace blitzio::detail
{

/// Room for a fixed number of values.
template <class T>
class ring_store
{
public:
    /// What a pop leaves over, to be destroyed after the lock was let go: nothing.
    struct leftover
    {
    };

    /// Throws std::bad_alloc and std::bad_array_new_length.
    explicit ring_store(std::size_t capacity)
        : ring_(capacity == 0 ? nullptr : std::allocator<T>().allocate(capacity)),
          capacity_(capacity)
    {
    }

    ring_store(const ring_store&) = delete;
    ring_store& operator=(const ring_store&) = delete;

    /// The values are gone before.
    ~ring_store()
    {
        if (ring_ != nullptr)
        {
            std::allocator<T>().deallocate(ring_, capacity_);
        }
    }

    [[nodiscard]] std::size_t capacity() const noexcept
    {
        return capacity_;
    }

    void push(T& value) noexcept
    {
        std::construct_at(ring_ + tail_, std::move(value));
        tail_ = following(tail_);
    }

    void pop(std::optional<T>& value, leftover&) noexcept
    {
        T* const oldest = ring_ + head_;
        value.emplace(std::move(*oldest));
        std::destroy_at(oldest);
        head_ = following(head_);
    }

private:
    [[nodiscard]] std::size_t following(std::size_t position) const noexcept
    {
        return position + 1 == capacity_ ? 0 : position + 1;
    }

    T* const ring_;
    const std::size_t capacity_;
    std::size_t head_ = 0;
    std::size_t tail_ = 0;
};

/// Room for as many values as memory holds, in blocks from the pool of coroutine frames. One empty
/// block is kept, so that a queue that stays short allocates nothing.
template <class T>
class block_store
{
    static_assert(alignof(T) <= alignof(std::max_align_t));

    static constexpr std::size_t block_bytes = 1024;
    static constexpr std::size_t header_bytes = 2 * sizeof(void*);

public:
    /// One memory block; its values are constructed one by one.
    struct block
    {
        static constexpr std::size_t capacity =
            std::max<std::size_t>(1, (block_bytes - header_bytes) / sizeof(T));

        block() noexcept {}
        ~block() {}

        block* next = nullptr;
        union
        {
            T values[capacity];
        };

        /// Throws std::bad_alloc. Without the lock.
        [[nodiscard]] static block* make()
        {
            return ::new (allocate_frame(sizeof(block))) block;
        }

        /// Without the lock; null is harmless.
        static void destroy(block* old) noexcept
        {
            if (old != nullptr)
            {
                old->~block();
                deallocate_frame(old, sizeof(block));
            }
        }
    };

    /// A block that is not needed any more.
    struct leftover
    {
        leftover() noexcept = default;
        leftover(const leftover&) = delete;
        leftover& operator=(const leftover&) = delete;
        ~leftover()
        {
            block::destroy(unused);
        }

        block* unused = nullptr;
    };

    block_store() noexcept = default;
    block_store(const block_store&) = delete;
    block_store& operator=(const block_store&) = delete;

    /// The values are gone before.
    ~block_store()
    {
        block::destroy(first_);
        block::destroy(spare_);
    }

    [[nodiscard]] static constexpr std::size_t capacity() noexcept
    {
        return static_cast<std::size_t>(-1);
    }

    [[nodiscard]] bool has_room() const noexcept
    {
        return spare_ != nullptr || (last_ != nullptr && tail_ != block::capacity);
    }

    /// Adds memory, or keeps it in `surplus` when there is enough.
    void give(block*& added, leftover& surplus) noexcept
    {
        (spare_ == nullptr ? spare_ : surplus.unused) = std::exchange(added, nullptr);
    }

    /// There is room.
    void push(T& value) noexcept
    {
        if (last_ == nullptr || tail_ == block::capacity)
        {
            BLITZIO_ASSERT(spare_ != nullptr);
            block* const added = std::exchange(spare_, nullptr);
            added->next = nullptr;
            (last_ == nullptr ? first_ : last_->next) = added;
            last_ = added;
            tail_ = 0;
        }
        std::construct_at(last_->values + tail_++, std::move(value));
    }

    /// There is a value.
    void pop(std::optional<T>& value, leftover& left) noexcept
    {
        T* const oldest = first_->values + head_++;
        value.emplace(std::move(*oldest));
        std::destroy_at(oldest);
        if (first_ == last_ && head_ == tail_)
        {
            head_ = tail_ = 0; // empty: begin anew in the same block
        }
        else if (head_ == block::capacity)
        {
            block* const emptied = std::exchange(first_, first_->next);
            head_ = 0;
            (spare_ == nullptr ? spare_ : left.unused) = emptied;
        }
    }

private:
    block* first_ = nullptr;
    block* last_ = nullptr;
    block* spare_ = nullptr;
    std::size_t head_ = 0; // in first_
    std::size_t tail_ = 0; // in last_
};

} // namespace blitzio::detail
