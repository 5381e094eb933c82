// The lines of a pattern, looked for together.
// Thread rule: patterns do not change; a cursor belongs to one thread.
#pragma once

#include "grep_tree/literal.hpp"

#include <string_view>
#include <vector>

namespace grep_tree
{

/// Any of several texts. Each is looked for by itself: meant for a few.
class patterns
{
public:
    /// One text for each line of `text`; what stands behind its last newline is one, too, also when
    /// that is nothing.
    patterns(std::string_view text, bool ignore_case);

    /// Passes through a text from its beginning to its end, and looks at every byte once for each
    /// pattern.
    class cursor;

private:
    std::vector<literal> literals_;
};

class patterns::cursor
{
public:
    /// In [first, last), which `of` and the cursor do not own.
    cursor(const patterns& of, const char* first, const char* last);

    /// The first place from `from` on where any of the texts occurs before the end, or the end.
    /// `from` never goes back.
    [[nodiscard]] const char* next(const char* from);

private:
    const patterns* of_;
    const char* last_;
    const char* nearest_;
    std::vector<const char*> found_; // by each text; empty when there is only one
};

} // namespace grep_tree
