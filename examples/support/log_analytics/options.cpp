// Reading the command line. Thread rule: main() only.
#include "log_analytics/options.hpp"

#include "arguments.hpp"

#include "log_analytics/block.hpp"

#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace log_analytics
{

namespace
{

constexpr const char* help_text =
    "usage: log_analytics --port P [--any-address] [--threads N] [--interval MS] [--top K]\n"
    "                     [--max-line B] [--exit-after-idle MS] [--once]\n"
    "Counts lines of web servers' access logs, common or combined format, that any number of "
    "senders\n"
    "send over TCP to port P of this machine (0: any, it is printed). A summary every interval, "
    "and\n"
    "an exact one at the end.\n"
    "  --any-address         senders on other machines, too; else only those on this one\n"
    "  --threads N           threads that parse (default: one per processor)\n"
    "  --interval MS         between two summaries (default: 1000; 0: only the last one)\n"
    "  --top K               how many paths are listed (default: 10)\n"
    "  --max-line B          longer lines are malformed (default: 16384)\n"
    "  --exit-after-idle MS  end when nothing has come for that long\n"
    "  --once                end when somebody has sent and all senders are gone\n"
    "Ends with SIGINT or SIGTERM, too.\n";

constexpr const char* program = "log_analytics";

[[noreturn]] void refuse(const std::string& message)
{
    example::refuse_with_hint(program, message);
}

constexpr std::uint64_t a_day_ms = 24 * 60 * 60 * 1000;

/// False: there is no such option with a value.
bool take(options& into, const std::string& name, std::string_view value)
{
    if (name == "--port")
    {
        into.port = static_cast<std::uint16_t>(example::number(program, name, value, 0, 65535));
    }
    else if (name == "--threads")
    {
        into.threads = static_cast<unsigned>(example::number(program, name, value, 1, 255));
    }
    else if (name == "--interval")
    {
        into.interval =
            std::chrono::milliseconds(example::number(program, name, value, 0, a_day_ms));
    }
    else if (name == "--top")
    {
        into.top = example::number(program, name, value, 0, 10'000);
    }
    else if (name == "--max-line")
    {
        into.line_bytes_max = example::number(program, name, value, 64, block_bytes - 1);
    }
    else if (name == "--exit-after-idle")
    {
        into.idle_max =
            std::chrono::milliseconds(example::number(program, name, value, 1, a_day_ms));
    }
    else
    {
        return false;
    }
    return true;
}

} // namespace

options parse(int argc, char** argv)
{
    options parsed;
    bool has_port = false;
    for (int index = 1; index < argc; ++index)
    {
        const std::string given = argv[index];
        if (given == "--once")
        {
            parsed.once = true;
            continue;
        }
        if (given == "--any-address")
        {
            parsed.any_address = true;
            continue;
        }
        if (given == "--help")
        {
            std::fputs(help_text, stdout);
            std::exit(0);
        }
        options known;
        if (given.empty() || !take(known, given, "64")) // a number that each of them takes
        {
            refuse("unknown option '" + given + '\'');
        }
        if (++index == argc)
        {
            refuse(given + " needs a value");
        }
        static_cast<void>(take(parsed, given, argv[index]));
        has_port = has_port || given == "--port";
    }
    if (!has_port)
    {
        refuse("no --port given");
    }
    return parsed;
}

} // namespace log_analytics
