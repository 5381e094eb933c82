// Command lines: numbers in them, those of the form `program --name value ...`, and how the examples end.
// Thread rule: used by main() only.
#pragma once

#include <blitzio/io/result.hpp>

#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <initializer_list>
#include <map>
#include <string>
#include <string_view>
#include <system_error>

namespace example
{

/// Prints "program: message" and ends the process with 2, as programs do that were called wrongly.
[[noreturn]] inline void refuse(const std::string& program, const std::string& message)
{
    std::fprintf(stderr, "%s: %s\n", program.c_str(), message.c_str());
    std::exit(2);
}

/// The same, for programs that have a help text.
[[noreturn]] inline void refuse_with_hint(const std::string& program, const std::string& message)
{
    refuse(program, message + " (--help shows the usage)");
}

/// `text`, the value of `option`, in units of `unit`: from `least` to `most` after multiplication. Anything else ends
/// the process with a message that names both and shows `given`.
inline std::uint64_t scaled_number(const std::string& program, const std::string& option,
                                   std::string_view given, std::string_view text,
                                   std::uint64_t unit, std::uint64_t least, std::uint64_t most)
{
    std::uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value > most / unit ||
        value * unit < least)
    {
        refuse_with_hint(program, option + " '" + std::string(given) + "': not a number from " +
                                      std::to_string(least) + " to " + std::to_string(most));
    }
    return value * unit;
}

inline std::uint64_t number(const std::string& program, const std::string& option,
                            std::string_view text, std::uint64_t least, std::uint64_t most)
{
    return scaled_number(program, option, text, text, 1, least, most);
}

/// Bytes, with K, M or G behind the number for units of 2^10, 2^20 and 2^30.
inline std::uint64_t byte_count(const std::string& program, const std::string& option,
                                std::string_view text, std::uint64_t least, std::uint64_t most)
{
    constexpr std::string_view units = "KMG";
    const auto power = text.empty() ? units.npos : units.find(text.back());
    if (power == units.npos)
    {
        return number(program, option, text, least, most);
    }
    return scaled_number(program, option, text, text.substr(0, text.size() - 1),
                         std::uint64_t{1} << (10 * (power + 1)), least, most);
}

class arguments
{
public:
    /// Every option takes a value; anything that is not in `names` ends the process with a message.
    arguments(int argc, char** argv, std::initializer_list<std::string_view> names)
        : program_(argv[0])
    {
        program_.erase(0, program_.rfind('/') + 1);
        for (int index = 1; index < argc; index += 2)
        {
            const std::string name = argv[index];
            bool known = false;
            for (const auto each : names)
            {
                known = known || each == name;
            }
            if (!known)
            {
                refuse(program_, "unknown option '" + name + '\'');
            }
            if (index + 1 == argc)
            {
                refuse(program_, name + " needs a value");
            }
            values_[name] = argv[index + 1];
        }
    }

    /// The number given for `name`, from 0 to `highest`; `otherwise` when it was not given.
    [[nodiscard]] unsigned number(const std::string& name, unsigned otherwise,
                                  unsigned highest) const
    {
        const auto given = values_.find(name);
        if (given == values_.end())
        {
            return otherwise;
        }
        const std::string& text = given->second;
        unsigned value = 0;
        const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (error != std::errc() || end != text.data() + text.size() || value > highest)
        {
            refuse(program_,
                   name + " '" + text + "': not a number from 0 to " + std::to_string(highest));
        }
        return value;
    }

private:
    std::string program_;
    std::map<std::string, std::string> values_;
};

/// 0, or 1 after a line about what went wrong with `subject`.
inline int exit_code(const blitzio::result<void>& outcome, std::string_view subject)
{
    if (outcome)
    {
        return 0;
    }
    std::fprintf(stderr, "%s\n", blitzio::describe(outcome.error(), subject).c_str());
    return 1;
}

} // namespace example
