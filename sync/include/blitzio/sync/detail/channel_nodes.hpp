// How senders and receivers wait, and what becomes of an attempt, for all kinds of channels.
// Thread rule: guarded by whatever guards the channel.
#pragma once

#include <blitzio/sync/detail/wait_queue.hpp>

#include <cstdint>
#include <optional>
#include <type_traits>

namespace blitzio::detail
{

/// A send that may wait; its value stays in place until it is taken from there.
template <class T>
struct channel_send_node : wait_node
{
    T* source = nullptr;
};

/// A receive that may wait; a sender puts the value here.
template <class T>
struct channel_receive_node : wait_node
{
    std::optional<T> value;
};

/// How an attempt to pass a value on ended.
enum class channel_transfer : std::uint8_t
{
    done,
    would_wait, // full, or empty
    closed,
};

/// What a channel carries.
template <class T>
inline constexpr bool is_channel_value = [] {
    static_assert(std::is_object_v<T> && !std::is_const_v<T> && !std::is_array_v<T>,
                  "a channel carries objects; send a pointer or a struct instead");
    static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                  "values are moved where no exception could be reported");
    return true;
}();

} // namespace blitzio::detail
