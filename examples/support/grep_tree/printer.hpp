// Printing what was found, in order.
// Thread rule: one task, on any worker; the numbers may be read when it is done.
#pragma once

#include "grep_tree/search.hpp"

#include <blitzio/blitzio.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace grep_tree
{

struct totals
{
    std::uint64_t files = 0;
    std::uint64_t bytes = 0;
    std::uint64_t lines = 0; // that match
    std::uint64_t complaints = 0;
    bool matched = false;
};

/// Knows what a file's earlier pieces were: how many lines they had, and whether it is binary.
class printer
{
public:
    explicit printer(search_options how);

    /// The reports of `from` in `found`. What is printed may be kept back until flush().
    /// Errors: those of standard output.
    [[nodiscard]] blitzio::task<blitzio::result<void>> print(const search& from, findings found);

    [[nodiscard]] blitzio::task<blitzio::result<void>> flush();

    [[nodiscard]] const totals& sums() const noexcept
    {
        return sums_;
    }

private:
    /// For standard output or standard error; their order is kept.
    struct message
    {
        bool is_error;
        std::string text;
    };

    /// `text` is that of all reports of the same run.
    void take(const piece& of, const report& about, std::string_view text);
    void take_lines(const piece& of, const report& about, std::string_view text);
    void end_file(const piece& of);
    void append(bool is_error, std::string_view text);

    search_options how_;
    bool at_once_;
    totals sums_;
    std::vector<message> kept_;
    std::size_t kept_bytes_ = 0;
    // Of the file whose pieces are coming:
    std::uint64_t lines_before_ = 0;
    std::uint64_t matches_ = 0;
    bool binary_ = false;
    bool binary_said_ = false;
};

} // namespace grep_tree
