// The lines that `sha256sum -c` reads. Thread rule: pure functions.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace hash_tree
{

using digest = std::array<unsigned char, 32>;

/// "<64 digits>  <path>\n"; a path with a backslash, a newline or a carriage return is escaped, and
/// the line begins with a backslash then.
[[nodiscard]] std::string checksum_line(const digest& value, std::string_view path);

/// `path` for a message on a terminal: control characters as \ooo.
[[nodiscard]] std::string printable(std::string_view path);

} // namespace hash_tree
