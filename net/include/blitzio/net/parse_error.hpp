// Why a text is not an address: the text, the place and the reason.
// Thread rule: a plain value.
#pragma once

#include <blitzio/io/result.hpp>

#include <cstddef>
#include <string>
#include <string_view>
#include <system_error>

namespace blitzio::net
{

/// The error of the parse functions. It converts to std::error_code(io_errc::invalid_format), so
/// that a result of parse() can be handed on where only the code is wanted.
struct parse_error
{
    /// The whole text that was given.
    std::string input;
    /// Offset of the first byte that cannot be accepted; input.size() when the text ends too early.
    std::size_t position = 0;
    /// A phrase with static lifetime.
    std::string_view reason;

    /// `"10.0.0.300:80": octet is larger than 255, at position 7`; bytes that are not printable
    /// ASCII are shown as \xNN.
    [[nodiscard]] std::string message() const;

    // Implicit on purpose: std::expected uses it to convert one error into the other.
    operator std::error_code() const noexcept
    {
        return make_error_code(io_errc::invalid_format);
    }

    friend bool operator==(const parse_error&, const parse_error&) = default;
};

} // namespace blitzio::net
