// Several texts at once. Thread rule: see the header.
#include "grep_tree/patterns.hpp"

#include <algorithm>

namespace grep_tree
{

patterns::patterns(std::string_view text, bool ignore_case)
{
    for (;;)
    {
        const auto end = text.find('\n');
        literals_.emplace_back(text.substr(0, end), ignore_case);
        if (end == text.npos)
        {
            break;
        }
        text.remove_prefix(end + 1);
    }
    // Every line contains the empty text: nothing else needs to be looked for.
    const auto nothing = std::ranges::find(literals_, std::size_t{0}, &literal::size);
    if (nothing != literals_.end())
    {
        literals_ = {literal("", false)};
    }
}

patterns::cursor::cursor(const patterns& of, const char* first, const char* last)
    : of_(&of), last_(last), nearest_(first)
{
    if (of.literals_.size() > 1)
    {
        for (const literal& each : of.literals_)
        {
            found_.push_back(each.find(first, last));
        }
        nearest_ = *std::ranges::min_element(found_);
    }
}

const char* patterns::cursor::next(const char* from)
{
    if (found_.empty())
    {
        return of_->literals_.front().find(from, last_);
    }
    if (nearest_ >= from)
    {
        return nearest_;
    }
    for (std::size_t index = 0; index < found_.size(); ++index)
    {
        if (found_[index] < from)
        {
            found_[index] = of_->literals_[index].find(from, last_);
        }
    }
    nearest_ = *std::ranges::min_element(found_);
    return nearest_;
}

} // namespace grep_tree
