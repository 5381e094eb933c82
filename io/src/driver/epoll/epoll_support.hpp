// What the two halves of the epoll driver share: the meaning of op::driver_flags and of the tags of
// events. Thread rule: attempt() needs the operation to be the caller's; the rest is stateless.
#pragma once

#include <blitzio/io/detail/op.hpp>

#include "driver/epoll/descriptor_table.hpp"

#include <cstdint>

namespace blitzio::detail
{

/// Where submit() left the operation. Written by the submitting thread only, so that a cancel knows
/// which lock to take; whether a parked operation still waits is what driver_data says: the driver
/// it was submitted to, or null, guarded by the descriptor's mutex.
inline constexpr std::uint8_t route_none = 0;
inline constexpr std::uint8_t route_turn = 1;
inline constexpr std::uint8_t route_parked = 2;
inline constexpr std::uint8_t route_offloaded = 3;
/// Tried again from time to time; driver_data is null once it is over.
inline constexpr std::uint8_t route_retry = 8;
inline constexpr std::uint8_t route_mask = 3 | route_retry;
/// The connect was sent off; what remains is to ask for its outcome.
inline constexpr std::uint8_t flag_connect_started = 4;

/// No descriptor has these numbers.
inline constexpr std::uint64_t wake_tag = ~std::uint64_t{0};
inline constexpr std::uint64_t timer_tag = wake_tag - 1;

[[nodiscard]] inline std::uint64_t event_tag(int fd, std::uint32_t generation) noexcept
{
    return (std::uint64_t{generation} << 32) | static_cast<std::uint32_t>(fd);
}

[[nodiscard]] inline int tagged_fd(std::uint64_t tag) noexcept
{
    return static_cast<int>(static_cast<std::uint32_t>(tag));
}

[[nodiscard]] inline std::uint32_t tagged_generation(std::uint64_t tag) noexcept
{
    return static_cast<std::uint32_t>(tag >> 32);
}

/// Does the operation, or the next step of it, without waiting. Kernel style; would_block() tells
/// whether to wait for an edge.
[[nodiscard]] std::int32_t attempt(op& operation, descriptor_state& descriptor,
                                   worker_buffers& buffers) noexcept;

/// `result` of a connect says that the listener's queue is full, and nothing will tell of room.
[[nodiscard]] bool is_full_backlog(const op& operation, std::int32_t result) noexcept;

} // namespace blitzio::detail
