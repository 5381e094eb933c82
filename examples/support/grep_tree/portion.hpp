// What one job searches: contents of files, as they were read.
// Thread rule: plain values that are handed on; `abandoned` from any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace grep_tree
{

/// grep reads in blocks of this size, and decides with each that has come whether the file is
/// binary: lines that ended in an earlier block are printed, later ones are not.
inline constexpr std::size_t block_bytes = 96 * 1024;

/// A run of whole lines of one file, in a portion. Only the last one of a file may end without a
/// newline.
struct piece
{
    std::string path;
    /// Why the file, or a directory, could not be read; empty otherwise.
    std::string complaint;
    std::size_t offset = 0; // in the portion
    std::size_t length = 0;
    std::uint64_t position = 0; // in the file
    bool first = true;
    bool last = true;
    /// The file is known to have null bytes, wherever they are.
    bool binary = false;
    /// Nothing of the file that is still to be read matters any more. Only where a file has several
    /// pieces.
    std::shared_ptr<std::atomic<bool>> abandoned;
};

/// Memory that is used again for the portions that follow.
struct buffer
{
    std::unique_ptr<char[]> bytes;
    std::size_t capacity = 0;
};

struct portion
{
    buffer space;
    std::vector<piece> pieces;

    /// Its size as a value of a stream.
    [[nodiscard]] std::size_t bytes() const noexcept
    {
        return space.capacity;
    }
};

} // namespace grep_tree
