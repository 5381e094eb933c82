// Plain writes to a terminal, a pipe or a file. Thread rule: any thread; two of them on one descriptor may mix.
#pragma once

#include <cerrno>
#include <string_view>

#include <unistd.h>

namespace example
{

/// False: not all of `text` could be written, errno tells why.
inline bool write_all(int where, std::string_view text)
{
    while (!text.empty())
    {
        const ssize_t written = ::write(where, text.data(), text.size());
        if (written < 0 && errno != EINTR)
        {
            return false;
        }
        text.remove_prefix(written < 0 ? 0 : static_cast<std::size_t>(written));
    }
    return true;
}

} // namespace example
