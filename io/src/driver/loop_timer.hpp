// The alarm clock of a driver that does not wait itself, because somebody else's loop waits for its
// descriptor: a timerfd.
// Thread rule: owner thread only.
#pragma once

#include <blitzio/io/result.hpp>

#include <chrono>
#include <optional>

namespace blitzio::detail
{

/// Armed for a point of CLOCK_MONOTONIC, which is what steady_clock shows. Setting it is a system
/// call, so it is only ever set to an earlier time: a timer that was withdrawn costs at most one
/// wake-up for nothing, and nothing otherwise.
class loop_timer
{
public:
    loop_timer() noexcept = default;
    ~loop_timer();
    loop_timer(const loop_timer&) = delete;
    loop_timer& operator=(const loop_timer&) = delete;

    [[nodiscard]] result<void> open() noexcept;
    void close() noexcept;

    /// -1 before open(). Its expiry is an edge: nobody has to read it.
    [[nodiscard]] int descriptor() const noexcept
    {
        return fd_;
    }

    /// Expires at `until` or before; nothing: whatever was asked for stays.
    void arm(std::optional<std::chrono::nanoseconds> until) noexcept;

    /// Its edge was taken.
    void expired() noexcept
    {
        armed_.reset();
    }

private:
    int fd_ = -1;
    /// Set while an edge is to come, or has come and was not taken.
    std::optional<std::chrono::nanoseconds> armed_;
};

} // namespace blitzio::detail
