// What a stream gives each time: a value, its end, or why it failed. Thread rule: plain values.
#pragma once

#include <blitzio/io/detail/operation.hpp>
#include <blitzio/io/detail/outcome_slot.hpp>
#include <blitzio/io/result.hpp>

#include <optional>
#include <type_traits>
#include <utility>

namespace blitzio
{

/// An error, or a value, or nothing at the end: `while (auto item = co_await try_(items.next()))`.
template <class T>
using stream_step = result<std::optional<T>>;

namespace detail
{

template <class T>
inline constexpr bool is_step = false;
template <class T>
inline constexpr bool is_step<stream_step<T>> = true;

template <class T>
inline constexpr bool is_optional = false;
template <class T>
inline constexpr bool is_optional<std::optional<T>> = true;

template <class T>
[[nodiscard]] stream_step<T> make_step(T&& value)
{
    return stream_step<T>(std::in_place, std::in_place, std::move(value));
}

template <class T>
[[nodiscard]] stream_step<T> end_step() noexcept
{
    return stream_step<T>(std::in_place, std::nullopt);
}

} // namespace detail

} // namespace blitzio
