// A cursor over the text that the parse functions read, which remembers where reading failed.
// Thread rule: one thread at a time.
#pragma once

#include <blitzio/net/parse_error.hpp>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace blitzio::net::detail
{

class text_reader
{
public:
    explicit text_reader(std::string_view text) noexcept : text_(text) {}

    [[nodiscard]] bool at_end() const noexcept
    {
        return position_ == text_.size();
    }
    [[nodiscard]] bool next_is(char expected) const noexcept
    {
        return !at_end() && text_[position_] == expected;
    }
    [[nodiscard]] bool next_are(std::string_view expected) const noexcept
    {
        return text_.substr(position_).starts_with(expected);
    }
    /// Takes the byte if it is the expected one.
    bool accept(char expected) noexcept
    {
        if (!next_is(expected))
        {
            return false;
        }
        ++position_;
        return true;
    }
    void skip(std::size_t count) noexcept
    {
        position_ += count;
    }

    [[nodiscard]] std::size_t position() const noexcept
    {
        return position_;
    }
    [[nodiscard]] std::string_view rest() const noexcept
    {
        return text_.substr(position_);
    }
    void rewind(std::size_t position) noexcept
    {
        position_ = position;
    }

    /// A number of the given base in [0, maximum], without a sign, in at most `digits_max` digits.
    /// Leaves the position at what is wrong, and the reason in reason().
    struct number_rules
    {
        unsigned base = 10;
        std::uint32_t maximum = 0;
        std::size_t digits_max = 10;
        bool leading_zeros = false;
        std::string_view missing;
        std::string_view too_large;
    };
    [[nodiscard]] std::optional<std::uint32_t> number(const number_rules& rules) noexcept;

    /// Always nothing; notes why.
    std::nullopt_t refuse(std::string_view reason) noexcept
    {
        reason_ = reason;
        return std::nullopt;
    }
    std::nullopt_t refuse_at(std::size_t position, std::string_view reason) noexcept
    {
        position_ = position;
        return refuse(reason);
    }

    /// The failure that was noted, as an error about the whole text.
    [[nodiscard]] parse_error error() const
    {
        return {std::string(text_), position_, reason_};
    }

private:
    std::string_view text_;
    std::size_t position_ = 0;
    std::string_view reason_;
};

} // namespace blitzio::net::detail
