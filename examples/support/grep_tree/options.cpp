// Reading the command line. Thread rule: main() only.
#include "grep_tree/options.hpp"

#include "arguments.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace grep_tree
{

namespace
{

constexpr const char* help_text =
    "usage: grep_tree [-c] [-i] [--threads N] [--max-bytes B] [--stats] [--] PATTERN PATH...\n"
    "Prints the lines below each PATH that contain PATTERN, as path:number:line, sorted by path.\n"
    "PATTERN is text, not an expression; when it has several lines, any of them is looked for.\n"
    "Bytes are compared, matches and treatment of files are those of LC_ALL=C grep -rnF.\n"
    "  -c             print path:number_of_lines for every file instead\n"
    "  -i             the letters A to Z match those from a to z\n"
    "  --threads N    threads that search (default: one per processor)\n"
    "  --max-bytes B  file contents in memory, with K, M or G behind it (default: 32M)\n"
    "  --stats        say on stderr what was read, how fast, and the peak of memory\n"
    "Exit code: 0 when a line matched, 1 when none did, 2 after an error.\n";

constexpr std::uint64_t bytes_least = std::uint64_t{4} * 1024 * 1024;

constexpr const char* program = "grep_tree";

[[noreturn]] void refuse(const std::string& message)
{
    example::refuse_with_hint(program, message);
}

/// Letters that need no value, as many as one likes behind one dash: -ci.
bool take_letters(options& parsed, std::string_view given)
{
    if (given.size() < 2 || given[0] != '-' ||
        given.substr(1).find_first_not_of("ci") != given.npos)
    {
        return false;
    }
    parsed.count = parsed.count || given.find('c') != given.npos;
    parsed.ignore_case = parsed.ignore_case || given.find('i') != given.npos;
    return true;
}

/// Options that stand between the program's name and `--` or among the other arguments.
template <class Value>
void take_option(options& parsed, const std::string& given, const Value& value)
{
    if (given == "--threads")
    {
        parsed.threads = static_cast<unsigned>(example::number(program, given, value(), 1, 255));
    }
    else if (given == "--max-bytes")
    {
        parsed.bytes_max =
            example::byte_count(program, given, value(), bytes_least, std::uint64_t{1} << 40);
    }
    else if (given == "--stats")
    {
        parsed.stats = true;
    }
    else if (given == "--help")
    {
        std::fputs(help_text, stdout);
        std::exit(0);
    }
    else if (!take_letters(parsed, given))
    {
        refuse("unknown option '" + given + '\'');
    }
}

} // namespace

options parse(int argc, char** argv)
{
    options parsed;
    std::vector<std::string> operands;
    bool only_operands = false;
    for (int index = 1; index < argc; ++index)
    {
        const std::string given = argv[index];
        const auto value = [&]() -> std::string_view {
            if (++index == argc)
            {
                refuse(given + " needs a value");
            }
            return argv[index];
        };
        if (only_operands || given.size() < 2 || given.front() != '-')
        {
            operands.push_back(given);
        }
        else if (given == "--")
        {
            only_operands = true;
        }
        else
        {
            take_option(parsed, given, value);
        }
    }
    if (operands.size() < 2)
    {
        refuse(operands.empty() ? "no PATTERN given" : "no PATH given");
    }
    parsed.pattern = operands.front();
    parsed.roots.assign(operands.begin() + 1, operands.end());
    return parsed;
}

} // namespace grep_tree
