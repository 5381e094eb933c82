// Writing to the terminal. Thread rule: see the header.
#include "hash_tree/status_line.hpp"

#include "write_all.hpp"

#include <poll.h>
#include <unistd.h>

namespace hash_tree
{

void status_line::show(std::string_view text)
{
    if (!enabled_)
    {
        return;
    }
    const std::lock_guard lock(mutex_);
    shown_ = true;
    // Erasing behind the text instead of before it, so that nothing flickers.
    example::write_all(STDERR_FILENO, '\r' + std::string(text) + "\x1b[K");
}

bool status_line::print(std::string_view lines, std::string_view complaints)
{
    const std::lock_guard lock(mutex_);
    erase_locked();
    example::write_all(STDERR_FILENO, complaints); // there is nowhere to complain about complaints
    return example::write_all(STDOUT_FILENO, lines);
}

void status_line::erase()
{
    const std::lock_guard lock(mutex_);
    erase_locked();
}

void status_line::print_last_words(std::string_view text)
{
    std::unique_lock lock(mutex_, std::try_to_lock);
    pollfd standard_error{STDERR_FILENO, POLLOUT, 0};
    if (poll(&standard_error, 1, 0) == 1)
    {
        if (lock.owns_lock())
        {
            erase_locked();
        }
        example::write_all(STDERR_FILENO, text);
    }
}

void status_line::erase_locked()
{
    if (shown_)
    {
        example::write_all(STDERR_FILENO, "\r\x1b[K");
        shown_ = false;
    }
}

} // namespace hash_tree
