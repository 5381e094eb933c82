// Reading addresses out of a longer text; shared by the parse functions.
// Thread rule: stateless.
#pragma once

#include "text_reader.hpp"

#include <blitzio/net/address.hpp>

#include <optional>

namespace blitzio::net::detail
{

/// Reads an address from the reader's position and stops behind it; nothing, with the reader at
/// what is wrong, when there is none.
[[nodiscard]] std::optional<ipv4> read_ipv4(text_reader& reader) noexcept;
/// With the scope, if there is one.
[[nodiscard]] std::optional<ipv6> read_ipv6(text_reader& reader) noexcept;

} // namespace blitzio::net::detail
