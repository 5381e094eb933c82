// From the contents of files to the lines that match.
// Thread rule: a search belongs to one thread at a time.
#pragma once

#include "grep_tree/patterns.hpp"
#include "grep_tree/portion.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace grep_tree
{

struct search_options
{
    bool count = false;
    /// The path stands before each line.
    bool with_path = true;
};

/// A line whose number is known only when all that comes before it in its file was counted.
struct loose_line
{
    std::uint64_t newlines_before; // in the piece
    std::size_t offset;            // in findings::text
    std::size_t length;
};

/// What was found in a piece. Counters cover what was searched so far.
struct report
{
    std::size_t piece = 0; // index
    /// The first report of its piece.
    bool begins = false;
    /// Lines that match and are not binary, or, when they are only counted, all that match.
    std::uint64_t matches = 0;
    /// Of the piece; counted only where a file has several.
    std::uint64_t newlines = 0;
    /// There are null bytes, and there is a match that is not printed because of them. Known at the
    /// end.
    bool binary = false;
    bool binary_match = false;
    /// The piece was searched to its end.
    bool ended = false;
    std::size_t text_begin = 0;
    std::size_t text_end = 0;
    std::vector<loose_line> loose;
};

/// What a run of search found: lines ready for printing, and what has to be known beside them.
struct findings
{
    std::string text;
    std::vector<report> reports;
};

/// "path:line:" or "line:"
void append_head(std::string& text, bool with_path, std::string_view path, std::uint64_t line);

/// Searches a portion, and stops whenever there is much to print.
class search
{
public:
    search(const patterns& wanted, search_options options, portion work) noexcept
        : wanted_(&wanted), options_(options), work_(std::move(work))
    {
    }

    /// One more piece of the portion; only when what was there is searched.
    void add(piece more)
    {
        work_.pieces.push_back(std::move(more));
    }

    /// Goes on where it stopped: until all is searched, or `into` has `text_max` bytes.
    void run(findings& into, std::size_t text_max);

    [[nodiscard]] bool ended() const noexcept
    {
        return next_piece_ == work_.pieces.size();
    }

    [[nodiscard]] const piece& piece_at(std::size_t index) const noexcept
    {
        return work_.pieces[index];
    }

    [[nodiscard]] portion& contents() noexcept
    {
        return work_;
    }

private:
    void begin_piece(const piece& of, report& about);
    void find_end_of_text(const piece& of);
    [[nodiscard]] bool search_lines(const piece& of, findings& into, report& about,
                                    std::size_t text_max);
    void count_lines(report& about);
    void append_line(const piece& of, findings& into, report& about, const char* begin,
                     const char* end) const;

    const patterns* wanted_;
    search_options options_;
    portion work_;
    std::size_t next_piece_ = 0;
    // Within the piece:
    bool begun_ = false;
    const char* begin_ = nullptr;
    const char* end_ = nullptr;
    std::optional<patterns::cursor> cursor_;
    const char* position_ = nullptr; // the beginning of a line
    const char* text_end_ = nullptr; // binary behind
    const char* counted_ = nullptr;  // newlines before are counted
    std::uint64_t newlines_ = 0;
};

} // namespace grep_tree
