// What a ring may lack, and how tests take it away or let the kernel misbehave.
// Thread rule: plain values; the functions of a seam are called on the ring's worker.
#pragma once

#include <cstdint>

struct io_uring;

namespace blitzio::detail
{

namespace uring_features
{
/// Each of these can be missing, and the driver does without.
inline constexpr std::uint32_t single_issuer = 1u << 0;
inline constexpr std::uint32_t defer_taskrun = 1u << 1;
inline constexpr std::uint32_t coop_taskrun = 1u << 2;
inline constexpr std::uint32_t taskrun_flag = 1u << 3;
inline constexpr std::uint32_t submit_all = 1u << 4;
inline constexpr std::uint32_t clamp = 1u << 5;
inline constexpr std::uint32_t registered_ring = 1u << 6;
inline constexpr std::uint32_t no_iowait = 1u << 7;
inline constexpr std::uint32_t multishot_poll = 1u << 8;
inline constexpr std::uint32_t poll_first = 1u << 9;
inline constexpr std::uint32_t socket_nonempty = 1u << 10;
inline constexpr std::uint32_t provided_buffers = 1u << 11;
inline constexpr std::uint32_t registered_buffers = 1u << 12;
inline constexpr std::uint32_t registered_files = 1u << 13;
inline constexpr std::uint32_t all = (1u << 14) - 1;
} // namespace uring_features

/// Tests only: stands between the driver and the kernel.
struct uring_test_seam
{
    /// uring_features that this kernel does not have.
    std::uint32_t without = 0;
    /// In place of a submission to make room in a full queue: 0, or the negated errno that it is
    /// taken to have failed with. May be null.
    int (*before_submission)(void* context) noexcept = nullptr;
    /// May change the result that an operation's completion brings. May be null.
    std::int32_t (*on_result)(void* context, int opcode, std::int32_t result) noexcept = nullptr;
    void* context = nullptr;
};

} // namespace blitzio::detail
