// Reading, writing and listing through an open descriptor of the simulated file system.
// Thread rule: the simulation's thread only.
#include "driver/sim/open_file.hpp"

#include "driver/sim/sim_world.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>

namespace blitzio::detail::sim
{
namespace
{

constexpr std::uint64_t offset_max = std::numeric_limits<std::int64_t>::max();
/// As much as one call of Linux transfers.
constexpr std::size_t transfer_max = 0x7FFFF000;

} // namespace

open_file::open_file(sim_world& world, inode_pointer node, std::uint32_t flags)
    : world_(world), node_(std::move(node)),
      readable_((flags & open_flags::read) != 0 || (flags & open_flags::write) == 0),
      writable_((flags & open_flags::write) != 0), append_((flags & open_flags::append) != 0)
{
}

std::int32_t open_file::read_at(std::size_t length, std::uint64_t offset,
                                std::vector<std::byte>& into)
{
    if (!readable_)
    {
        return -EBADF;
    }
    if (offset > offset_max)
    {
        return -EINVAL;
    }
    if (node_->is_directory())
    {
        return -EISDIR;
    }
    const std::uint64_t left = node_->contents.size > offset ? node_->contents.size - offset : 0;
    const auto available =
        static_cast<std::size_t>(std::min<std::uint64_t>(std::min(length, transfer_max), left));
    into.resize(world_.draw_transfer(available));
    return static_cast<std::int32_t>(
        world_.files().read(node_->contents, offset, into.data(), into.size()));
}

std::int32_t open_file::write_at(const void* data, std::size_t length, std::uint64_t offset)
{
    if (!writable_)
    {
        return -EBADF;
    }
    if (offset > offset_max)
    {
        return -EINVAL;
    }
    // Linux appends even when an offset is given.
    const std::uint64_t at = append_ ? node_->contents.size : offset;
    const std::size_t count = world_.draw_transfer(std::min(length, transfer_max));
    return static_cast<std::int32_t>(
        world_.files().write(*node_, at, static_cast<const std::byte*>(data), count));
}

std::int32_t open_file::read_next(std::size_t length, std::vector<std::byte>& into)
{
    const std::int32_t count = read_at(length, position_, into);
    position_ += count > 0 ? static_cast<std::uint64_t>(count) : 0;
    return count;
}

std::int32_t open_file::write_next(const void* data, std::size_t length)
{
    const std::int32_t count = write_at(data, length, position_);
    if (count > 0)
    {
        position_ = append_ ? node_->contents.size : position_ + static_cast<std::uint64_t>(count);
    }
    return count;
}

std::int32_t open_file::sync()
{
    world_.files().sync(*node_);
    return 0;
}

std::int32_t open_file::read_directory(directory_batch& batch)
{
    batch = {};
    if (!node_->is_directory())
    {
        return -ENOTDIR;
    }
    if (node_->link_count == 0)
    {
        return -ENOENT; // it was removed while it was open
    }
    // The order of a listing depends on the names only, so that entries which are there from its
    // beginning to its end are seen exactly once whatever else changes meanwhile.
    std::vector<std::pair<std::uint64_t, std::string>> order;
    for (const auto& [name, node] : node_->entries)
    {
        std::pair place{world_.files().order_of(name), name};
        if (!has_listed_ || place > listed_up_to_)
        {
            order.push_back(std::move(place));
        }
    }
    std::sort(order.begin(), order.end());
    const std::size_t most = std::max<std::size_t>(world_.options().directory_batch_max, 1);
    const std::size_t count = world_.draw_transfer(std::min(order.size(), most));
    for (std::size_t i = 0; i < count; ++i)
    {
        const std::string& name = order[i].second;
        const inode& node = *node_->entries.find(name)->second;
        batch.entries.push_back({static_cast<std::uint32_t>(batch.names.size()),
                                 static_cast<std::uint16_t>(name.size()), node.type, node.number});
        batch.names += name;
    }
    if (count > 0)
    {
        listed_up_to_ = std::move(order[count - 1]);
        has_listed_ = true;
    }
    batch.at_end = count == order.size();
    return static_cast<std::int32_t>(count);
}

} // namespace blitzio::detail::sim
