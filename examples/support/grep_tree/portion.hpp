// What one job searches: contents of files, as they were read.
// Thread rule: plain values that are handed on; `abandoned` from any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace grep_tree
{

/// grep reads in blocks of this size, and decides with each that has come whether the file is
/// binary: lines that ended in an earlier block are printed, later ones are not. (Behind a line of
/// more than 90 KiB grep's blocks become larger, for all files that follow; ours do not.)
inline constexpr std::size_t block_bytes = 96 * 1024;

/// Little enough to stay in a processor's cache between being read and being searched, enough to be
/// worth the way to another thread.
inline constexpr std::size_t portion_bytes = 4 * block_bytes;

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

/// Something to be searched, or only complained about.
struct subject
{
    std::string path;
    std::string complaint;
    /// Neither a regular file nor a directory: it is read as it comes.
    bool special = false;
    bool standard_input = false;
    /// What comes before, whole lines, has been searched.
    std::uint64_t position = 0;
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

/// What a thread of the pool is given: contents, or files that the system may have in memory.
struct job
{
    portion contents;
    std::vector<subject> files;

    [[nodiscard]] std::size_t bytes() const noexcept
    {
        return files.empty() ? contents.bytes() : portion_bytes;
    }
};

/// How much to read at `position` of a file when there is `room`: up to the end of a block, if it
/// fits, so that little has to be moved when the file goes on.
[[nodiscard]] std::size_t length_to_read(std::uint64_t position, std::size_t room) noexcept;

/// How much of `bytes`, which begin at `position` of a file, are whole lines that ended before a
/// block of the file did; 0: nothing. In a file with null bytes, these end lines, too.
[[nodiscard]] std::size_t whole_lines(std::string_view bytes, std::uint64_t position) noexcept;

} // namespace grep_tree
