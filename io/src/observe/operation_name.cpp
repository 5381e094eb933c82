// Cutting a type's name out of the compiler's text. Thread rule: any thread.
#include "observe/operation_name.hpp"

#include <array>
#include <cstddef>

namespace blitzio::detail
{

namespace
{

/// The type: behind "Operation = ", up to the end of the list that GCC and Clang both put it in.
std::string_view type_in(std::string_view function)
{
    constexpr std::string_view mark = "Operation = ";
    const auto begin = function.find(mark);
    if (begin == std::string_view::npos)
    {
        return function;
    }
    std::string_view type = function.substr(begin + mark.size());
    int depth = 0;
    for (std::size_t at = 0; at < type.size(); ++at)
    {
        const char symbol = type[at];
        if (symbol == '<' || symbol == '(' || symbol == '[')
        {
            ++depth;
        }
        else if (symbol == '>' || symbol == ')' || (symbol == ']' && depth > 0))
        {
            --depth;
        }
        else if (depth == 0 && (symbol == ';' || symbol == ']'))
        {
            return type.substr(0, at);
        }
    }
    return type;
}

void replace_all(std::string& text, std::string_view what, std::string_view by)
{
    for (auto at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size()))
    {
        text.replace(at, what.size(), by);
    }
}

/// A lambda's type is its place in the source: only noise here.
void shorten_lambdas(std::string& text)
{
    for (auto at = text.find("(lambda at "); at != std::string::npos;
         at = text.find("(lambda at ", at))
    {
        const auto end = text.find(')', at);
        text.replace(at, end == std::string::npos ? end : end - at + 1, "lambda");
    }
}

} // namespace

std::string readable_operation_name(std::string_view function)
{
    std::string name(type_in(function));
    shorten_lambdas(name);
    constexpr std::array<std::string_view, 8> noise{
        "(anonymous namespace)::",
        "{anonymous}::",
        "blitzio::",
        "detail::",
        "_operation",
        "class ",
        "struct ",
        "std::",
    };
    for (const auto each : noise)
    {
        replace_all(name, each, "");
    }
    return name;
}

} // namespace blitzio::detail
