// How many bytes a value holds, for limits on what is in flight.
// Thread rule: pure functions.
#pragma once

#include <concepts>
#include <cstddef>
#include <ranges>
#include <type_traits>

namespace blitzio
{

namespace detail
{

void byte_size() = delete; // so that the call below finds only what belongs to the argument

template <class T>
concept has_byte_size_function = requires(const T& value) {
    { byte_size(value) } -> std::convertible_to<std::size_t>;
};

template <class T>
concept has_bytes_member = requires(const T& value) {
    { value.bytes() } -> std::convertible_to<std::size_t>;
};

template <class T>
concept holds_elements =
    std::ranges::contiguous_range<const T> && std::ranges::sized_range<const T>;

struct byte_size_of
{
    template <class T>
    [[nodiscard]] constexpr std::size_t operator()(const T& value) const
    {
        if constexpr (has_byte_size_function<T>)
        {
            return static_cast<std::size_t>(byte_size(value));
        }
        else if constexpr (has_bytes_member<T>)
        {
            return static_cast<std::size_t>(value.bytes());
        }
        else if constexpr (holds_elements<T>)
        {
            using element = std::ranges::range_value_t<const T>;
            if constexpr (std::is_trivially_copyable_v<element>)
            {
                return sizeof(T) + std::ranges::size(value) * sizeof(element);
            }
            else
            {
                std::size_t total = sizeof(T);
                for (const element& each : value)
                {
                    total += (*this)(each);
                }
                return total;
            }
        }
        else
        {
            return sizeof(T);
        }
    }
};

} // namespace detail

namespace streams
{

/// The bytes that count for par_options::max_bytes, by the first of these that there is:
///   - `byte_size(const T&)`, a function in the namespace of T or a friend of it;
///   - `value.bytes()`, a const member;
///   - of a contiguous range (string, vector, span): its own size and that of its elements;
///   - sizeof(T).
/// A value that stands for something larger, such as the path of a file to be read, tells the size of
/// that. What it says must not change while the value is in flight. The results of par_map and
/// par_chunks are asked, too, on the thread that has made them and once for each.
inline constexpr detail::byte_size_of byte_size{};

} // namespace streams

} // namespace blitzio
