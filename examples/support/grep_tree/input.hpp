// What is read: an ordinary file through the driver, anything else by calls that may block.
// Thread rule: one task at a time.
#pragma once

#include "grep_tree/loader.hpp"

#include <blitzio/blitzio.hpp>

#include <cstddef>
#include <cstdint>
#include <span>

namespace grep_tree
{

class input
{
public:
    input() noexcept = default;
    input(const input&) = delete;
    input& operator=(const input&) = delete;
    ~input();

    /// Errors: those of opening; operation_canceled.
    [[nodiscard]] blitzio::task<blitzio::result<void>> open(const subject& what);

    /// The next bytes: result<std::size_t>, 0 at the end.
    [[nodiscard]] blitzio::task<blitzio::result<std::size_t>> read(std::span<std::byte> into);

    /// What a regular file is; nothing for others.
    [[nodiscard]] blitzio::task<blitzio::result<blitzio::fs::file_status>> status();

    /// True when the file has parts behind `offset` that were never written. Opens it again.
    [[nodiscard]] blitzio::task<bool> has_hole(std::string path, std::uint64_t offset) const;

    [[nodiscard]] bool is_regular() const noexcept
    {
        return file_.is_open();
    }

private:
    blitzio::fs::file file_;
    std::uint64_t position_ = 0;
    int descriptor_ = -1;
};

} // namespace grep_tree
