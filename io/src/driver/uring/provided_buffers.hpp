// The buffers of a worker from which the kernel chooses one when data has arrived for a leased read.
// A read that waits holds none.
// Thread rule: owner thread only, except the destructor, which comes after the ring has gone.
#pragma once

#include "memory/buffer_shelf.hpp"

#include <liburing.h>

#include <cstdint>

namespace blitzio::detail
{

/// The kernel uses the buffers first in, first out, so it is given no more of them than are needed
/// at once: `target_` doubles when it ran out, and is halved when half of them were never used
/// within a window of reads.
class provided_buffers
{
public:
    /// The group's number in the ring.
    static constexpr std::uint16_t group = 1;

    provided_buffers() noexcept = default;
    ~provided_buffers();
    provided_buffers(const provided_buffers&) = delete;
    provided_buffers& operator=(const provided_buffers&) = delete;

    /// 0, or the negated errno of the kernel's refusal. `shelf` outlives this object's use.
    [[nodiscard]] int set_up(io_uring& ring, buffer_shelf& shelf) noexcept;

    [[nodiscard]] bool is_ready() const noexcept
    {
        return entries_ != nullptr;
    }

    /// Before the kernel is entered: gives it as many buffers as it should have. Cheap when it has.
    void restock() noexcept
    {
        has_grown_ = false;
        if (stocked_ < target_)
        {
            add_buffers();
        }
    }

    /// The kernel has taken a buffer, which is the caller's now.
    void taken() noexcept;
    /// The kernel has found no buffer.
    void ran_out() noexcept;

    [[nodiscard]] unsigned target() const noexcept
    {
        return target_;
    }

private:
    void add_buffers() noexcept;

    buffer_shelf* shelf_ = nullptr;
    io_uring_buf_ring* entries_ = nullptr;
    std::size_t entries_bytes_ = 0;
    unsigned target_ = 0;
    /// Given to the kernel and not known to be taken.
    unsigned stocked_ = 0;
    unsigned stocked_least_ = 0;
    unsigned window_ = 0;
    /// Since the kernel was entered last: one shortage is reported by many reads at once.
    bool has_grown_ = false;
};

} // namespace blitzio::detail
