// Reading the command line: short options may be joined, as in `-9kc`, and `-p4` means `-p 4`.
// Thread rule: main() only.
#include "par_gzip/options.hpp"

#include "arguments.hpp"

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace par_gzip
{

namespace
{

constexpr const char* help_text =
    "usage: par_gzip [-1..-9] [-p N] [-b K] [-cfknvY] [FILE...]\n"
    "Compresses each FILE to FILE.gz, and stdin to stdout when there is no FILE or it is \"-\".\n"
    "The output is what gunzip reads.\n"
    "  -1 to -9  fast to small (default: 6)\n"
    "  -p N      threads that compress (default: one per processor)\n"
    "  -b K      KiB of input in one piece (default: 512)\n"
    "  -c        everything to stdout; files stay\n"
    "  -f        replace what exists; compress links, and to a terminal\n"
    "  -k        keep FILE\n"
    "  -n        no name and time in the output\n"
    "  -v        figures about each file, and the peak of memory, to stderr\n"
    "  -Y        flush FILE.gz to the disk before FILE is removed\n";

constexpr const char* program = "par_gzip";

[[noreturn]] void refuse(const std::string& message)
{
    example::refuse_with_hint(program, message);
}

/// What stands behind an option with a value: the rest of the argument, or the next one.
std::string_view value_of(const std::string& name, std::string_view rest, int argc, char** argv,
                          int& index)
{
    if (!rest.empty())
    {
        return rest;
    }
    if (++index == argc)
    {
        refuse(name + " needs a value");
    }
    return argv[index];
}

bool set_flag(options& parsed, char flag)
{
    switch (flag)
    {
    case 'c': parsed.to_stdout = true; return true;
    case 'f': parsed.force = true; return true;
    case 'k': parsed.keep = true; return true;
    case 'n': parsed.without_name = true; return true;
    case 'v': parsed.verbose = true; return true;
    case 'Y': parsed.synchronous = true; return true;
    default: return false;
    }
}

void parse_short(options& parsed, std::string_view letters, int argc, char** argv, int& index)
{
    constexpr std::size_t threads_max = 255;
    constexpr std::size_t block_kib_max = 64 * 1024;
    while (!letters.empty())
    {
        const char letter = letters.front();
        letters.remove_prefix(1);
        if (letter >= '1' && letter <= '9')
        {
            parsed.level = letter - '0';
        }
        else if (letter == 'p')
        {
            const auto text = value_of("-p", letters, argc, argv, index);
            parsed.threads =
                static_cast<unsigned>(example::number(program, "-p", text, 1, threads_max));
            return;
        }
        else if (letter == 'b')
        {
            const auto text = value_of("-b", letters, argc, argv, index);
            parsed.block_bytes = example::number(program, "-b", text, 1, block_kib_max) * 1024;
            return;
        }
        else if (!set_flag(parsed, letter))
        {
            refuse(std::string("unknown option '-") + letter + '\'');
        }
    }
}

} // namespace

options parse(int argc, char** argv)
{
    options parsed;
    bool only_files = false;
    for (int index = 1; index < argc; ++index)
    {
        const std::string_view given = argv[index];
        if (only_files || given.size() < 2 || given.front() != '-')
        {
            parsed.files.emplace_back(given);
        }
        else if (given == "--")
        {
            only_files = true;
        }
        else if (given == "--help")
        {
            std::fputs(help_text, stdout);
            std::exit(0);
        }
        else if (given.starts_with("--"))
        {
            refuse("unknown option '" + std::string(given) + '\'');
        }
        else
        {
            parse_short(parsed, given.substr(1), argc, argv, index);
        }
    }
    if (parsed.files.empty())
    {
        parsed.files.emplace_back("-");
    }
    return parsed;
}

} // namespace par_gzip
