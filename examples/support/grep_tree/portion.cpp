// Where files are cut. Thread rule: pure functions.
#include "grep_tree/portion.hpp"

namespace grep_tree
{

std::size_t length_to_read(std::uint64_t position, std::size_t room) noexcept
{
    const std::uint64_t block_end = (position + room) / block_bytes * block_bytes;
    return block_end > position ? static_cast<std::size_t>(block_end - position) : room;
}

std::size_t whole_lines(std::string_view bytes, std::uint64_t position) noexcept
{
    const std::uint64_t block = (position + bytes.size()) / block_bytes * block_bytes;
    if (block <= position)
    {
        return 0;
    }
    const auto ended = bytes.substr(0, static_cast<std::size_t>(block - position));
    auto last = ended.rfind('\n');
    if (last == ended.npos)
    {
        last = ended.rfind('\0');
    }
    return last == ended.npos ? 0 : last + 1;
}

} // namespace grep_tree
