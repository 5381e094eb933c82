// Formatting and escaping as sha256sum does it. Thread rule: pure functions.
#include "hash_tree/checksum_line.hpp"

namespace hash_tree
{

namespace
{

void append_escaped(std::string& line, std::string_view path)
{
    for (const char c : path)
    {
        switch (c)
        {
        case '\\': line += "\\\\"; break;
        case '\n': line += "\\n"; break;
        case '\r': line += "\\r"; break;
        default: line += c;
        }
    }
}

} // namespace

std::string checksum_line(const digest& value, std::string_view path)
{
    constexpr std::string_view digits = "0123456789abcdef";
    const bool escaped = path.find_first_of("\\\n\r") != path.npos;
    std::string line;
    line.reserve(2 * value.size() + path.size() + 8);
    if (escaped)
    {
        line += '\\';
    }
    for (const unsigned char byte : value)
    {
        line += digits[byte >> 4];
        line += digits[byte & 15];
    }
    line += "  ";
    if (escaped)
    {
        append_escaped(line, path);
    }
    else
    {
        line += path;
    }
    line += '\n';
    return line;
}

std::string printable(std::string_view path)
{
    std::string text;
    for (const char c : path)
    {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte != 0x7f)
        {
            text += c;
            continue;
        }
        text += '\\';
        text += static_cast<char>('0' + (byte >> 6));
        text += static_cast<char>('0' + ((byte >> 3) & 7));
        text += static_cast<char>('0' + (byte & 7));
    }
    return text;
}

} // namespace hash_tree
