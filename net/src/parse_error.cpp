// The message of a parse_error. Thread rule: stateless.
#include <blitzio/net/parse_error.hpp>

namespace blitzio::net
{

std::string parse_error::message() const
{
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text = "\"";
    for (const char raw : input)
    {
        const auto byte = static_cast<unsigned char>(raw);
        if (byte < 0x20 || byte > 0x7e)
        {
            text += "\\x";
            text += digits[byte >> 4];
            text += digits[byte & 15];
            continue;
        }
        if (raw == '"' || raw == '\\')
        {
            text += '\\';
        }
        text += raw;
    }
    text += "\": ";
    text += reason;
    text += ", at position " + std::to_string(position);
    return text;
}

} // namespace blitzio::net
