// Members by RFC 1952 around what libdeflate compresses. Thread rule: see the header.
#include "par_gzip/gzip_member.hpp"

#include <cstring>
#include <new>
#include <stdexcept>
#include <utility>

#include <libdeflate.h>

namespace par_gzip
{

namespace
{

constexpr std::size_t header_bytes = 10;
constexpr std::size_t trailer_bytes = 8;
/// A name of the longest kind and its end.
constexpr std::size_t name_bytes_max = 256;

constexpr unsigned char flag_name = 8;
constexpr unsigned char best_compression = 2;
constexpr unsigned char fastest = 4;
constexpr unsigned char on_unix = 3;

void put_little_endian(std::byte* where, std::uint32_t value)
{
    for (int index = 0; index < 4; ++index)
    {
        where[index] = static_cast<std::byte>(value >> (8 * index) & 0xff);
    }
}

} // namespace

/// Some hundred KiB of tables, which only one thread uses at a time.
class member_maker::compressor
{
public:
    explicit compressor(int level) : state_(libdeflate_alloc_compressor(level))
    {
        if (state_ == nullptr)
        {
            throw std::bad_alloc();
        }
    }
    ~compressor()
    {
        libdeflate_free_compressor(state_);
    }
    compressor(const compressor&) = delete;
    compressor& operator=(const compressor&) = delete;

    [[nodiscard]] libdeflate_compressor* get() const noexcept
    {
        return state_;
    }

private:
    libdeflate_compressor* state_;
};

member_maker::member_maker(int level, std::size_t block_bytes)
    : level_(level), block_bytes_(block_bytes),
      member_bytes_max_(libdeflate_deflate_compress_bound(nullptr, block_bytes))
{
}

member_maker::~member_maker() = default;

buffer member_maker::take(std::vector<buffer>& from, std::size_t capacity)
{
    {
        const std::lock_guard lock(mutex_);
        if (!from.empty() && from.back().capacity >= capacity)
        {
            buffer taken = std::move(from.back());
            from.pop_back();
            taken.size = 0;
            return taken;
        }
    }
    return {std::make_unique_for_overwrite<std::byte[]>(capacity), capacity, 0};
}

buffer member_maker::input_buffer()
{
    return take(inputs_, block_bytes_);
}

void member_maker::give_back(buffer used)
{
    const std::lock_guard lock(mutex_);
    (used.capacity == block_bytes_ ? inputs_ : outputs_).push_back(std::move(used));
}

std::unique_ptr<member_maker::compressor> member_maker::take_compressor()
{
    {
        const std::lock_guard lock(mutex_);
        if (!compressors_.empty())
        {
            auto taken = std::move(compressors_.back());
            compressors_.pop_back();
            return taken;
        }
    }
    return std::make_unique<compressor>(level_);
}

buffer member_maker::compress(buffer input, const std::string& name, std::uint32_t modified)
{
    const std::size_t name_bytes = name.empty() ? 0 : name.size() + 1;
    const std::size_t around = header_bytes + name_bytes + trailer_bytes;
    if (name_bytes > name_bytes_max)
    {
        throw std::length_error("a file name is longer than any can be");
    }
    // Always of one size, so that each buffer serves for each piece.
    buffer made = take(outputs_, header_bytes + name_bytes_max + member_bytes_max_ + trailer_bytes);
    std::byte* const header = made.data.get();
    const auto effort = static_cast<std::byte>(level_ == 9   ? best_compression
                                               : level_ == 1 ? fastest
                                                             : 0);
    const std::byte start[header_bytes] = {
        std::byte{0x1f}, std::byte{0x8b},
        std::byte{8},    name.empty() ? std::byte{0} : std::byte{flag_name},
        std::byte{0},    std::byte{0},
        std::byte{0},    std::byte{0},
        effort,          std::byte{on_unix}};
    std::memcpy(header, start, header_bytes);
    put_little_endian(header + 4, modified);
    if (name_bytes != 0)
    {
        std::memcpy(header + header_bytes, name.c_str(), name_bytes);
    }

    auto working = take_compressor();
    std::byte* const body = header + header_bytes + name_bytes;
    const std::size_t packed = libdeflate_deflate_compress(
        working->get(), input.data.get(), input.size, body, made.capacity - around);
    {
        const std::lock_guard lock(mutex_);
        compressors_.push_back(std::move(working));
    }
    if (packed == 0)
    {
        throw std::logic_error("libdeflate needs more room than it said");
    }
    put_little_endian(body + packed, libdeflate_crc32(0, input.data.get(), input.size));
    put_little_endian(body + packed + 4, static_cast<std::uint32_t>(input.size));
    made.size = around + packed;
    give_back(std::move(input));
    return made;
}

} // namespace par_gzip
