// Numbers in addresses and ports. Thread rule: one thread at a time.
#include "text_reader.hpp"

namespace blitzio::net::detail
{

namespace
{

/// The value of a digit, or 16 for anything else.
constexpr unsigned digit_value(char digit) noexcept
{
    if (digit >= '0' && digit <= '9')
    {
        return static_cast<unsigned>(digit - '0');
    }
    if (digit >= 'a' && digit <= 'f')
    {
        return static_cast<unsigned>(digit - 'a') + 10;
    }
    if (digit >= 'A' && digit <= 'F')
    {
        return static_cast<unsigned>(digit - 'A') + 10;
    }
    return 16;
}

} // namespace

std::optional<std::uint32_t> text_reader::number(const number_rules& rules) noexcept
{
    const std::size_t start = position_;
    std::uint64_t value = 0;
    while (!at_end() && digit_value(text_[position_]) < rules.base)
    {
        if (position_ - start == rules.digits_max)
        {
            return refuse_at(start, rules.too_large);
        }
        if (!rules.leading_zeros && position_ == start + 1 && text_[start] == '0')
        {
            return refuse_at(start, "leading zero");
        }
        value = value * rules.base + digit_value(text_[position_]);
        if (value > rules.maximum)
        {
            return refuse_at(start, rules.too_large);
        }
        ++position_;
    }
    if (position_ == start)
    {
        return refuse(rules.missing);
    }
    return static_cast<std::uint32_t>(value);
}

} // namespace blitzio::net::detail
