// Finding a text in a text.
// Thread rule: a literal does not change after it was made; any number of threads may search.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace grep_tree
{

/// One text to be looked for. Time is linear in what is searched, for every text.
class literal
{
public:
    /// With `ignore_case` letters from A to Z and from a to z are the same.
    literal(std::string_view text, bool ignore_case);

    /// Where the text first occurs in [first, last), or `last`. The empty text occurs at once.
    [[nodiscard]] const char* find(const char* first, const char* last) const;

    [[nodiscard]] std::size_t size() const noexcept
    {
        return text_.size();
    }

private:
    [[nodiscard]] bool is_at(const char* where) const noexcept;
    [[nodiscard]] const char* find_linear(const char* first, const char* last) const;
    [[nodiscard]] const char* find_folded(const char* first, const char* last) const;
    [[nodiscard]] const char* find_by_pair(const char* first, const char* last) const;

    std::string text_; // in small letters, when their case does not matter
    bool ignore_case_;
    bool by_pair_;
    /// The two bytes of the text that are rarest in ordinary files, the rarest first.
    std::size_t rare_[2] = {0, 0};
};

} // namespace grep_tree
