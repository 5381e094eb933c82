// Putting the pieces of files together again. Thread rule: see the header.
#include "grep_tree/printer.hpp"

#include "write_all.hpp"

#include <cerrno>
#include <utility>

#include <unistd.h>

namespace grep_tree
{

namespace bz = blitzio;

namespace
{

/// What is written at once when nobody watches.
constexpr std::size_t kept_bytes_max = 64 * 1024;

} // namespace

printer::printer(search_options how) : how_(how), at_once_(isatty(STDOUT_FILENO) == 1) {}

bz::task<bz::result<void>> printer::print(const search& from, findings found)
{
    for (const report& each : found.reports)
    {
        take(from.piece_at(each.piece), each, found.text);
    }
    if (kept_bytes_ > (at_once_ ? 0 : kept_bytes_max))
    {
        co_await bz::try_(flush());
    }
    co_return {};
}

void printer::take(const piece& of, const report& about, std::string_view text)
{
    if (about.begins && of.first)
    {
        lines_before_ = matches_ = 0;
        binary_ = binary_said_ = false;
    }
    if (!of.complaint.empty())
    {
        append(true, "grep_tree: " + of.path + ": " + of.complaint + '\n');
        ++sums_.complaints;
        return;
    }
    matches_ += about.matches;
    if (!how_.count)
    {
        take_lines(of, about, text);
    }
    if (about.ended)
    {
        lines_before_ += about.newlines;
        sums_.bytes += of.length;
    }
    if (about.ended && of.last)
    {
        end_file(of);
    }
}

void printer::take_lines(const piece& of, const report& about, std::string_view text)
{
    // A piece does not know of null bytes in those before it.
    const bool hidden_match = about.binary_match || (binary_ && about.matches != 0);
    if (!binary_)
    {
        if (about.loose.empty())
        {
            append(false, text.substr(0, about.text_end).substr(about.text_begin));
        }
        for (const loose_line& line : about.loose)
        {
            std::string head;
            append_head(head, how_.with_path, of.path, lines_before_ + line.newlines_before + 1);
            append(false, head);
            append(false, text.substr(line.offset, line.length));
            append(false, "\n");
        }
    }
    binary_ = binary_ || about.binary;
    if (hidden_match && !binary_said_)
    {
        binary_said_ = true;
        // Word for word what GNU grep says, its name included.
        append(true, "grep: " + of.path + ": binary file matches\n");
    }
    if (binary_said_ && of.abandoned != nullptr)
    {
        of.abandoned->store(true);
    }
}

void printer::end_file(const piece& of)
{
    ++sums_.files;
    sums_.lines += matches_;
    sums_.matched = sums_.matched || matches_ != 0 || binary_said_;
    if (how_.count)
    {
        append(false,
               (how_.with_path ? of.path + ':' : std::string()) + std::to_string(matches_) + '\n');
    }
}

void printer::append(bool is_error, std::string_view text)
{
    if (text.empty())
    {
        return;
    }
    if (kept_.empty() || kept_.back().is_error != is_error)
    {
        kept_.push_back({is_error, {}});
    }
    kept_.back().text += text;
    kept_bytes_ += text.size();
}

bz::task<bz::result<void>> printer::flush()
{
    if (kept_.empty())
    {
        co_return {};
    }
    // A pipe or a terminal may make the writer wait for as long as it likes.
    const auto written = co_await bz::spawn_blocking([this]() -> bz::result<void> {
        for (const message& each : kept_)
        {
            const bool taken =
                example::write_all(each.is_error ? STDERR_FILENO : STDOUT_FILENO, each.text);
            if (!taken && !each.is_error) // there is nowhere to complain about complaints
            {
                return bz::fail(std::error_code(errno, std::system_category()));
            }
        }
        return {};
    });
    kept_.clear();
    kept_bytes_ = 0;
    co_return written;
}

} // namespace grep_tree
