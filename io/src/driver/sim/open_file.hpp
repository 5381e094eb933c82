// An open file or directory of a simulated world.
// Thread rule: the simulation's thread only.
#pragma once

#include "driver/sim/descriptor_table.hpp"
#include "driver/sim/file_tree.hpp"

#include <blitzio/io/detail/op.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace blitzio::detail::sim
{

class open_file final : public description
{
public:
    open_file(sim_world& world, inode_pointer node, std::uint32_t flags);

    [[nodiscard]] open_file* as_file() noexcept override
    {
        return this;
    }
    /// Files never make anybody wait.
    [[nodiscard]] std::uint32_t ready_events() const override
    {
        return poll_events::readable | poll_events::writable;
    }

    [[nodiscard]] const inode_pointer& node() const noexcept
    {
        return node_;
    }

    [[nodiscard]] std::int32_t read_at(std::size_t length, std::uint64_t offset,
                                       std::vector<std::byte>& into);
    [[nodiscard]] std::int32_t write_at(const void* data, std::size_t length, std::uint64_t offset);
    [[nodiscard]] std::int32_t read_next(std::size_t length, std::vector<std::byte>& into);
    [[nodiscard]] std::int32_t write_next(const void* data, std::size_t length);
    [[nodiscard]] std::int32_t sync();
    [[nodiscard]] std::int32_t read_directory(directory_batch& batch);

private:
    sim_world& world_;
    inode_pointer node_;
    bool readable_;
    bool writable_;
    bool append_;
    std::uint64_t position_ = 0;
    /// The last entry handed out, in the order of the listing.
    std::pair<std::uint64_t, std::string> listed_up_to_;
    bool has_listed_ = false;
};

} // namespace blitzio::detail::sim
