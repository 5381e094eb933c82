// Two bytes of the text that are rare in ordinary files are compared at 32 positions at once; where
// both fit, the whole text is compared. The two bytes at a known distance are the idea of Wojciech
// Muła's "SIMD-friendly algorithms for substring searching"; choosing them by how rare they are is
// that of Andrew Gallant's memchr crate, which ripgrep uses. When too many places fit nearly, the
// search goes on with the C library's memmem(), the two-way algorithm of Crochemore and Perrin,
// whose time is linear in any case.
// Thread rule: see the header.
#include "grep_tree/literal.hpp"

#include "grep_tree/byte_frequency.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace grep_tree
{

namespace
{

char to_small(char c) noexcept
{
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
}

bool is_letter(char c) noexcept
{
    return to_small(c) >= 'a' && to_small(c) <= 'z';
}

bool processor_has_avx2() noexcept
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("avx2") != 0;
#else
    return false;
#endif
}

/// Bytes that were compared in vain, per byte that was searched, before memmem() takes over.
constexpr std::size_t vain_factor = 4;
/// What a search may waste before that is considered.
constexpr std::size_t vain_least = 4096;

} // namespace

literal::literal(std::string_view text, bool ignore_case)
    : text_(text), ignore_case_(ignore_case && std::ranges::any_of(text, is_letter))
{
    static const bool wide = processor_has_avx2();
    by_pair_ = wide && !text_.empty();
    if (ignore_case_)
    {
        std::ranges::transform(text_, text_.begin(), to_small);
    }
    const auto rarity = [this](std::size_t position) {
        const char c = text_[position];
        const unsigned small = frequency_of(c);
        return ignore_case_ && is_letter(c)
                   ? std::max<unsigned>(small, frequency_of(static_cast<char>(c ^ 0x20)))
                   : small;
    };
    for (std::size_t position = 1; position < text_.size(); ++position)
    {
        if (rarity(position) < rarity(rare_[0]))
        {
            rare_[0] = position;
        }
    }
    rare_[1] = rare_[0] == 0 && text_.size() > 1 ? 1 : 0;
    for (std::size_t position = 0; position < text_.size(); ++position)
    {
        if (position != rare_[0] && rarity(position) < rarity(rare_[1]))
        {
            rare_[1] = position;
        }
    }
}

const char* literal::find(const char* first, const char* last) const
{
    const auto length = static_cast<std::size_t>(last - first);
    if (text_.empty())
    {
        return first;
    }
    if (length < text_.size())
    {
        return last;
    }
    if (text_.size() == 1 && !ignore_case_)
    {
        const void* const found = std::memchr(first, text_[0], length);
        return found != nullptr ? static_cast<const char*>(found) : last;
    }
    return by_pair_ ? find_by_pair(first, last) : find_linear(first, last);
}

bool literal::is_at(const char* where) const noexcept
{
    if (!ignore_case_)
    {
        return std::memcmp(where, text_.data(), text_.size()) == 0;
    }
    return std::equal(text_.begin(), text_.end(), where,
                      [](char wanted, char given) { return wanted == to_small(given); });
}

const char* literal::find_linear(const char* first, const char* last) const
{
    if (ignore_case_)
    {
        return find_folded(first, last);
    }
    const auto length = static_cast<std::size_t>(last - first);
    const void* const found = memmem(first, length, text_.data(), text_.size());
    return found != nullptr ? static_cast<const char*>(found) : last;
}

/// Looks in a copy in small letters, a part at a time; first a small one, because what is looked for
/// is often near.
const char* literal::find_folded(const char* first, const char* last) const
{
    constexpr std::size_t part_first = 256;
    constexpr std::size_t part_best = 16 * 1024;
    thread_local std::string part;
    for (std::size_t wanted = part_first; static_cast<std::size_t>(last - first) >= text_.size();
         wanted = std::min(4 * wanted, part_best))
    {
        const auto length =
            std::min(wanted + 2 * text_.size(), static_cast<std::size_t>(last - first));
        part.resize(std::max(part.size(), length));
        std::transform(first, first + length, part.begin(), to_small);
        if (const void* found = memmem(part.data(), length, text_.data(), text_.size()))
        {
            return first + (static_cast<const char*>(found) - part.data());
        }
        first += length - (text_.size() - 1);
    }
    return last;
}

#if defined(__x86_64__)

namespace
{

/// A byte in all lanes, and the bit that does not matter when case does not.
struct rare_byte
{
    __m256i wanted;
    __m256i ignored;
};

[[gnu::target("avx2")]] inline rare_byte spread(char c, bool ignore_case) noexcept
{
    const char bit = ignore_case && is_letter(c) ? 0x20 : 0;
    return {_mm256_set1_epi8(c), _mm256_set1_epi8(bit)};
}

[[gnu::target("avx2")]] inline __m256i compare(const char* where, const rare_byte& with) noexcept
{
    const __m256i given = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(where));
    return _mm256_cmpeq_epi8(_mm256_or_si256(given, with.ignored), with.wanted);
}

/// Of the 32 positions from `where` on, those where both bytes fit.
[[gnu::target("avx2")]] inline std::uint32_t fitting(const char* where, const rare_byte* rare,
                                                     const std::size_t* offset) noexcept
{
    const __m256i both =
        _mm256_and_si256(compare(where + offset[0], rare[0]), compare(where + offset[1], rare[1]));
    return static_cast<std::uint32_t>(_mm256_movemask_epi8(both));
}

} // namespace

[[gnu::target("avx2")]] const char* literal::find_by_pair(const char* first, const char* last) const
{
    constexpr std::size_t lanes = 32;
    const auto positions = static_cast<std::size_t>(last - first) - text_.size() + 1;
    if (positions < lanes)
    {
        return find_linear(first, last);
    }
    const rare_byte rare[2] = {spread(text_[rare_[0]], ignore_case_),
                               spread(text_[rare_[1]], ignore_case_)};
    const char* const last_block = first + (positions - lanes);
    std::size_t vain = 0;
    for (const char* block = first;;)
    {
        for (auto left = fitting(block, rare, rare_); left != 0; left &= left - 1)
        {
            const char* const where = block + __builtin_ctz(left);
            if (is_at(where))
            {
                return where;
            }
            vain += text_.size();
        }
        if (block == last_block)
        {
            return last;
        }
        if (vain > vain_least + vain_factor * static_cast<std::size_t>(block - first))
        {
            return find_linear(block, last);
        }
        // Two at a time as long as nothing fits, which is the rule.
        block += lanes;
        while (block + lanes <= last_block)
        {
            const __m256i one = _mm256_and_si256(compare(block + rare_[0], rare[0]),
                                                 compare(block + rare_[1], rare[1]));
            const char* const next = block + lanes;
            const __m256i two = _mm256_and_si256(compare(next + rare_[0], rare[0]),
                                                 compare(next + rare_[1], rare[1]));
            if (_mm256_testz_si256(_mm256_or_si256(one, two), _mm256_set1_epi8(-1)) == 0)
            {
                break;
            }
            block += 2 * lanes;
        }
        block = std::min(block, last_block);
    }
}

#else

const char* literal::find_by_pair(const char* first, const char* last) const
{
    return find_linear(first, last);
}

#endif

} // namespace grep_tree
