// Lines around matches, and what null bytes make of them. Thread rule: see the header.
#include "grep_tree/search.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <string_view>

namespace grep_tree
{

namespace
{

const char* find_byte(const char* first, const char* last, char wanted) noexcept
{
    const void* const found = std::memchr(first, wanted, static_cast<std::size_t>(last - first));
    return found != nullptr ? static_cast<const char*>(found) : last;
}

/// The beginning of the line that `where` is in; `first` is the beginning of a line.
const char* beginning_of_line(const char* first, const char* where) noexcept
{
    const void* const found = memrchr(first, '\n', static_cast<std::size_t>(where - first));
    return found != nullptr ? static_cast<const char*>(found) + 1 : first;
}

/// Sixteen counters of a byte each, emptied before any of them can overflow: compilers count in wide
/// integers otherwise, which takes several times as long.
std::uint64_t count_newlines(const char* first, const char* last) noexcept
{
    using lanes [[gnu::vector_size(16)]] = unsigned char;
    constexpr auto width = static_cast<std::ptrdiff_t>(sizeof(lanes));
    constexpr int rounds_max = 255;
    std::uint64_t total = 0;
    while (last - first >= width)
    {
        lanes counters{};
        for (int round = 0; round < rounds_max && last - first >= width; ++round, first += width)
        {
            lanes bytes;
            std::memcpy(&bytes, first, sizeof bytes);
            counters -= static_cast<lanes>(bytes == '\n'); // -1 where it is
        }
        for (std::size_t lane = 0; lane < sizeof counters; ++lane)
        {
            total += counters[lane];
        }
    }
    return total + static_cast<std::uint64_t>(std::count(first, last, '\n'));
}

} // namespace

void search::run(findings& into, std::size_t text_max)
{
    while (next_piece_ < work_.pieces.size())
    {
        const piece& of = work_.pieces[next_piece_];
        report& about = into.reports.emplace_back();
        about.piece = next_piece_;
        about.text_begin = into.text.size();
        if (!begun_)
        {
            begin_piece(of, about);
        }
        about.ended = true;
        if (options_.count)
        {
            count_lines(about);
        }
        else
        {
            about.ended = search_lines(of, into, about, text_max);
        }
        about.text_end = into.text.size();
        if (!about.ended)
        {
            break;
        }
        begun_ = false;
        ++next_piece_;
    }
}

void search::begin_piece(const piece& of, report& about)
{
    begun_ = true;
    about.begins = true;
    begin_ = work_.space.bytes.get() + of.offset;
    end_ = begin_ + of.length;
    position_ = counted_ = begin_;
    text_end_ = end_;
    newlines_ = 0;
    cursor_.emplace(*wanted_, begin_, end_);
    // A whole file without a match does not have to be looked at again.
    if (!options_.count && (!of.first || !of.last || cursor_->next(begin_) != end_))
    {
        find_end_of_text(of);
    }
}

/// Text are the lines that ended before the block with the first null byte.
void search::find_end_of_text(const piece& of)
{
    const char* const null_byte = of.binary ? begin_ : find_byte(begin_, end_, '\0');
    if (null_byte == end_)
    {
        return;
    }
    const auto in_file = of.position + static_cast<std::uint64_t>(null_byte - begin_);
    const auto block = in_file / block_bytes * block_bytes;
    text_end_ = of.binary || block <= of.position
                    ? begin_
                    : beginning_of_line(begin_, begin_ + (block - of.position));
}

/// False: there is enough to be printed, and more to be searched.
bool search::search_lines(const piece& of, findings& into, report& about, std::size_t text_max)
{
    while (position_ != text_end_)
    {
        const char* const match = cursor_->next(position_);
        if (match >= text_end_)
        {
            break;
        }
        const char* const line = beginning_of_line(position_, match);
        const char* const line_end = find_byte(match, end_, '\n');
        newlines_ += count_newlines(counted_, line);
        counted_ = line;
        append_line(of, into, about, line, line_end);
        position_ = line_end == end_ ? end_ : line_end + 1;
        if (into.text.size() >= text_max)
        {
            return false;
        }
    }
    about.binary = text_end_ != end_ || of.binary;
    about.binary_match = text_end_ != end_ && cursor_->next(text_end_) != end_;
    if (!of.first || !of.last)
    {
        about.newlines = newlines_ + count_newlines(counted_, end_);
    }
    return true;
}

void search::append_line(const piece& of, findings& into, report& about, const char* begin,
                         const char* end) const
{
    const std::string_view line(begin, static_cast<std::size_t>(end - begin));
    ++about.matches;
    if (!of.first || !of.last)
    {
        about.loose.push_back({newlines_, into.text.size(), line.size()});
        into.text += line;
        return;
    }
    append_head(into.text, options_.with_path, of.path, newlines_ + 1);
    into.text += line;
    into.text += '\n';
}

/// Where there are null bytes, they end lines, too.
void search::count_lines(report& about)
{
    const bool binary = find_byte(position_, end_, '\0') != end_;
    while (position_ != end_)
    {
        const char* const match = cursor_->next(position_);
        if (match == end_)
        {
            break;
        }
        ++about.matches;
        const char* line_end = find_byte(match, end_, '\n');
        if (binary)
        {
            line_end = find_byte(match, line_end, '\0');
        }
        position_ = line_end == end_ ? end_ : line_end + 1;
    }
}

void append_head(std::string& text, bool with_path, std::string_view path, std::uint64_t line)
{
    char digits[24];
    const auto [digits_end, error] = std::to_chars(digits, digits + sizeof digits - 1, line);
    *digits_end = ':';
    static_cast<void>(error); // every number fits
    if (with_path)
    {
        text += path;
        text += ':';
    }
    text.append(digits, digits_end + 1);
}

} // namespace grep_tree
