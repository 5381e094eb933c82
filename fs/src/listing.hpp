// One directory of a walk: what it contains, in the walk's order, and how far the walk has come.
// Thread rule: one task at a time; different listings may be loaded by tasks on different workers.
#pragma once

#include <blitzio/fs/directory.hpp>
#include <blitzio/fs/types.hpp>
#include <blitzio/fs/walk.hpp>
#include <blitzio/io/task.hpp>

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace blitzio::fs::detail
{

struct listing
{
    struct child
    {
        std::uint32_t name_offset;
        std::uint16_t name_length;
        file_type type;
        /// A directory by way of a symbolic link.
        bool is_link;
        /// What went wrong when the type was asked for; an errno, or 0.
        std::int32_t error;
    };

    /// `reached_by_link`: the last part of the path is a symbolic link that is to be followed.
    listing(std::string path_given, std::size_t depth_given, bool reached_by_link);

    /// Reads everything, or, for an unsorted walk, the next portion. Never fails: what goes wrong
    /// is in `error`.
    [[nodiscard]] task<void> load(const walk_options& options);

    [[nodiscard]] std::string_view name(const child& which) const noexcept
    {
        return std::string_view(names).substr(which.name_offset, which.name_length);
    }

    [[nodiscard]] std::string path_of(const child& which) const;

    /// The memory of the listing, roughly.
    [[nodiscard]] std::size_t bytes() const noexcept
    {
        return names.capacity() + children.capacity() * sizeof(child);
    }

    [[nodiscard]] bool is_same_directory(const listing& other) const noexcept
    {
        return device == other.device && inode == other.inode;
    }

    std::string path;
    std::size_t depth;
    bool by_link;

    std::string names;
    std::vector<child> children;
    /// Indices of the children that are directories, in order.
    std::vector<std::uint32_t> directories;
    std::error_code error;
    /// There is more to load: an unsorted walk's directory that did not fit into one portion.
    bool has_more = true;
    /// Set for walks that follow links only.
    std::uint64_t device = 0;
    std::uint64_t inode = 0;

    /// The first child that has not been given out.
    std::size_t next_child = 0;
    /// Position in `directories` of the first that the walk has not entered.
    std::size_t next_directory = 0;
    /// Listings of the directories from next_directory on, read ahead.
    std::deque<std::unique_ptr<listing>> ahead;

private:
    [[nodiscard]] task<void> open(const walk_options& options);
    [[nodiscard]] task<void> read_batches(bool all);
    [[nodiscard]] task<void> resolve_types(bool follow_links);
    void take(const directory_batch& batch);
    void put_in_order(bool sorted);

    directory opened_;
};

} // namespace blitzio::fs::detail
