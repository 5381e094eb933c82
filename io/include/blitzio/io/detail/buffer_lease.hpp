// A buffer on loan, as drivers and operations pass it on: plain values, released by hand.
// Thread rule: plain values; give_back() may come from any thread.
#pragma once

#include <cstddef>
#include <cstdint>

namespace blitzio::detail
{

/// Where a buffer comes from and goes back to. Lives until the last of its buffers is back.
class buffer_owner
{
public:
    /// Any thread, once for each lease.
    virtual void give_back(std::byte* data, std::uint32_t tag) noexcept = 0;

protected:
    ~buffer_owner() = default;
};

struct buffer_lease
{
    buffer_owner* owner = nullptr;
    std::byte* data = nullptr;
    std::uint32_t capacity = 0;
    /// The owner's own note of which buffer it is.
    std::uint32_t tag = 0;
};

} // namespace blitzio::detail
