// The line at the bottom of a terminal that says how far we are.
// Thread rule: any thread; one mutex keeps the terminal's output in one piece.
#pragma once

#include <mutex>
#include <string>
#include <string_view>

namespace hash_tree
{

class status_line
{
public:
    /// Nothing is ever shown unless `enabled`.
    explicit status_line(bool enabled) noexcept : enabled_(enabled) {}

    [[nodiscard]] bool enabled() const noexcept
    {
        return enabled_;
    }

    /// Replaces what is shown.
    void show(std::string_view text);

    /// Takes the line away, writes the complaints to stderr and the lines to stdout, all of it.
    /// False, with errno set, when stdout does not take them.
    [[nodiscard]] bool print(std::string_view lines, std::string_view complaints);

    void erase();

    /// A message on stderr that waits for nobody: not for a print() that waits for a slow reader,
    /// and not for a reader of its own.
    void print_last_words(std::string_view text);

private:
    void erase_locked();

    std::mutex mutex_;
    bool enabled_;
    bool shown_ = false;
};

} // namespace hash_tree
