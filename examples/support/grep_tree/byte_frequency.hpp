// How common each byte is in ordinary text files. Thread rule: constants.
#pragma once

namespace grep_tree
{

/// From 0, never seen, on a logarithmic scale: 11 more is twice as common.
[[nodiscard]] unsigned frequency_of(char c) noexcept;

} // namespace grep_tree
