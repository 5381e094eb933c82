// Provided buffers of one ring. Thread rule: as in the header.
#include "driver/uring/provided_buffers.hpp"

#include "limits.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <sys/mman.h>

namespace blitzio::detail
{

provided_buffers::~provided_buffers()
{
    if (entries_ != nullptr)
    {
        ::munmap(entries_, entries_bytes_);
    }
}

int provided_buffers::set_up(io_uring& ring, buffer_shelf& shelf) noexcept
{
    const unsigned count = shelf.count();
    const std::size_t bytes = count * sizeof(io_uring_buf);
    // Memory of ours, not the kernel's (IOU_PBUF_RING_MMAP), so that its end is ours to decide.
    void* const memory =
        ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
    {
        return -errno;
    }
    io_uring_buf_reg wanted{};
    wanted.ring_addr = reinterpret_cast<std::uint64_t>(memory);
    wanted.ring_entries = count;
    wanted.bgid = group;
    if (const int refused = io_uring_register_buf_ring(&ring, &wanted, 0); refused < 0)
    {
        ::munmap(memory, bytes);
        return refused;
    }
    shelf_ = &shelf;
    entries_ = static_cast<io_uring_buf_ring*>(memory);
    entries_bytes_ = bytes;
    io_uring_buf_ring_init(entries_);
    target_ = std::min(limits::stocked_buffers_min, count);
    stocked_least_ = target_;
    restock();
    return 0;
}

void provided_buffers::add_buffers() noexcept
{
    const int mask = io_uring_buf_ring_mask(shelf_->count());
    int added = 0;
    while (stocked_ < target_)
    {
        const auto slot = shelf_->take();
        if (!slot)
        {
            break;
        }
        io_uring_buf_ring_add(entries_, shelf_->data_of(*slot),
                              static_cast<unsigned>(shelf_->buffer_bytes()),
                              static_cast<unsigned short>(*slot), mask, added);
        ++added;
        ++stocked_;
    }
    io_uring_buf_ring_advance(entries_, added);
}

void provided_buffers::taken() noexcept
{
    --stocked_;
    stocked_least_ = std::min(stocked_least_, stocked_);
    if (++window_ == limits::stock_window)
    {
        if (stocked_least_ > target_ / 2)
        {
            target_ = std::max(target_ / 2, std::min(limits::stocked_buffers_min, shelf_->count()));
        }
        stocked_least_ = target_;
        window_ = 0;
    }
}

void provided_buffers::ran_out() noexcept
{
    // All of them may be taken already with their completions still unread; then stocked_ is above
    // what the kernel has, which the doubling makes up for.
    if (!std::exchange(has_grown_, true))
    {
        target_ = std::min(target_ * 2, shelf_->count());
    }
    stocked_least_ = 0;
}

} // namespace blitzio::detail
