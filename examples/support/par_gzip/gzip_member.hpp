// One piece of input as a gzip member of its own; members one behind the other are a gzip file.
// Thread rule: any threads at once.
#pragma once

#include <blitzio/io/result.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

namespace par_gzip
{

/// Memory that is used again for the next piece.
struct buffer
{
    std::unique_ptr<std::byte[]> data;
    std::size_t capacity = 0;
    std::size_t size = 0;

    [[nodiscard]] std::span<std::byte> room() const noexcept
    {
        return {data.get(), capacity};
    }
    [[nodiscard]] std::span<const std::byte> bytes() const noexcept
    {
        return {data.get(), size};
    }
};

/// What the members have in common, and what is reused between them.
class member_maker
{
public:
    member_maker(int level, std::size_t block_bytes);
    ~member_maker();
    member_maker(const member_maker&) = delete;
    member_maker& operator=(const member_maker&) = delete;

    [[nodiscard]] std::size_t block_bytes() const noexcept
    {
        return block_bytes_;
    }

    /// An empty buffer for a piece of input. Throws std::bad_alloc.
    [[nodiscard]] buffer input_buffer();
    void give_back(buffer used);

    /// `input` compressed, behind a header with `name` (unless empty) and `modified`, seconds since
    /// 1970 or 0. The input's buffer is used again. Throws std::bad_alloc.
    [[nodiscard]] buffer compress(buffer input, const std::string& name, std::uint32_t modified);

private:
    class compressor;

    [[nodiscard]] std::unique_ptr<compressor> take_compressor();
    [[nodiscard]] buffer take(std::vector<buffer>& from, std::size_t capacity);

    int level_;
    std::size_t block_bytes_;
    std::size_t member_bytes_max_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<compressor>> compressors_; // this and the rest guarded by mutex_
    std::vector<buffer> inputs_;
    std::vector<buffer> outputs_;
};

} // namespace par_gzip
