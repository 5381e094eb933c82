// Room for results that several threads construct in any order and one thread collects in order.
// Thread rule: fill() for different indices from any threads; everything else by the owner, when no
// fill() runs.
#pragma once

#include <blitzio/io/result.hpp>

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

namespace blitzio::compute::detail
{

/// The results can be written straight into the vector: making it costs nothing per element, and
/// two threads never touch the same byte (which std::vector<bool> would make them do).
template <class T>
inline constexpr bool fills_vector_directly =
    std::is_trivially_default_constructible_v<T> && std::is_trivially_copyable_v<T> &&
    std::is_copy_assignable_v<T> && !std::is_same_v<T, bool>;

/// Constructs in place, so that T needs no default constructor; remembers which exist, so that an
/// exception or a stop in the middle destroys exactly those.
template <class T>
class result_buffer
{
public:
    explicit result_buffer(std::size_t count)
        : count_(count), values_(std::allocator<T>().allocate(count))
    {
        try
        {
            exists_ = std::make_unique<bool[]>(count);
        }
        catch (...)
        {
            std::allocator<T>().deallocate(values_, count_);
            throw;
        }
    }

    result_buffer(const result_buffer&) = delete;
    result_buffer& operator=(const result_buffer&) = delete;

    ~result_buffer()
    {
        for (std::size_t index = 0; index < count_; ++index)
        {
            if (exists_[index])
            {
                std::destroy_at(values_ + index);
            }
        }
        std::allocator<T>().deallocate(values_, count_);
    }

    template <class Make>
    void fill(std::size_t index, Make&& make)
    {
        ::new (static_cast<void*>(values_ + index)) T(std::forward<Make>(make)());
        exists_[index] = true;
    }

    /// Once, after every index was filled.
    [[nodiscard]] result<std::vector<T>> take()
    {
        std::vector<T> collected;
        collected.reserve(count_);
        for (std::size_t index = 0; index < count_; ++index)
        {
            collected.push_back(std::move(values_[index]));
        }
        return collected;
    }

private:
    std::size_t count_;
    T* values_;
    std::unique_ptr<bool[]> exists_;
};

template <class T>
    requires fills_vector_directly<T>
class result_buffer<T>
{
public:
    explicit result_buffer(std::size_t count) : values_(count) {}

    template <class Make>
    void fill(std::size_t index, Make&& make)
    {
        values_[index] = std::forward<Make>(make)();
    }

    [[nodiscard]] result<std::vector<T>> take()
    {
        return std::move(values_);
    }

private:
    std::vector<T> values_;
};

template <>
class result_buffer<void>
{
public:
    explicit result_buffer(std::size_t) noexcept {}

    template <class Make>
    void fill(std::size_t, Make&& make)
    {
        static_cast<void>(std::forward<Make>(make)());
    }

    [[nodiscard]] result<void> take() noexcept
    {
        return {};
    }
};

} // namespace blitzio::compute::detail
