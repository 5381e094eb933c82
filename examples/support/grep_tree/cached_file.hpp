// Reading what the system has in memory, by calls that do not wait for a disk.
// Thread rule: one thread at a time, threads of a pool included.
#pragma once

#include "grep_tree/loader.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace grep_tree
{

/// Nothing unless it is a regular file.
[[nodiscard]] std::optional<file_identity> identity_of(int descriptor) noexcept;

class cached_file
{
public:
    /// Not open afterwards if it would have to be waited for, or if anything is wrong with it: the
    /// driver's way finds out what.
    explicit cached_file(const std::string& path) noexcept;
    cached_file(const cached_file&) = delete;
    cached_file& operator=(const cached_file&) = delete;
    ~cached_file();

    [[nodiscard]] bool is_open() const noexcept
    {
        return descriptor_ >= 0;
    }

    [[nodiscard]] bool is(const file_identity& other) const noexcept
    {
        return identity_of(descriptor_) == other;
    }

    /// There are parts behind `offset` that were never written.
    [[nodiscard]] bool has_hole(std::uint64_t offset) const noexcept;

    /// Some bytes at `offset`, 0 at the end; nothing if they would have to be waited for.
    [[nodiscard]] std::optional<std::size_t> read(std::uint64_t offset,
                                                  std::span<char> into) const noexcept;

private:
    int descriptor_;
};

} // namespace grep_tree
