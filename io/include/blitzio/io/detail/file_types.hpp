// Results of file operations in a form that every driver can fill. Thread rule: plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace blitzio::detail
{

enum class file_type : std::uint8_t
{
    unknown,
    regular,
    directory,
    symlink,
    fifo,
    socket,
    character_device,
    block_device,
};

/// What stat tells about a file; times are since the Unix epoch.
struct file_status
{
    std::uint64_t size = 0;
    std::uint64_t inode = 0;
    std::uint64_t device = 0;
    std::uint64_t blocks_512 = 0;
    std::uint32_t link_count = 0;
    std::uint32_t permissions = 0;
    std::uint32_t user_id = 0;
    std::uint32_t group_id = 0;
    std::chrono::nanoseconds modified_at{};
    file_type type = file_type::unknown;
};

/// One portion of a directory listing. "." and ".." never appear; the order is the file system's.
struct directory_batch
{
    struct entry
    {
        std::uint32_t name_offset;
        std::uint16_t name_length;
        file_type type;
        std::uint64_t inode;
    };

    /// All names, one after the other; entries point into it.
    std::string names;
    std::vector<entry> entries;
    /// True once the directory has no further entries.
    bool at_end = false;

    [[nodiscard]] std::string_view name(const entry& which) const
    {
        return std::string_view(names).substr(which.name_offset, which.name_length);
    }
};

} // namespace blitzio::detail
