// Watches the memory that an operation in flight owns. What the kernel may write is filled with
// garbage, what it may read is hashed, and both are checked when the operation is delivered: a
// program that uses or reuses such memory too early is found at once, on every seed.
// Thread rule: the simulation's thread only.
#pragma once

#include <blitzio/io/detail/op.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace blitzio::detail::sim
{

[[nodiscard]] std::string_view operation_name(op_kind kind) noexcept;

class buffer_guard
{
public:
    /// The operation has been submitted.
    void begin(op& operation, std::uint64_t key);
    /// The garbage becomes other garbage, which also touches the memory: freed memory is found by
    /// the address sanitizer here. Returns what check() returns.
    [[nodiscard]] std::string_view stir(op& operation, std::uint64_t key);
    /// Empty when all is well, otherwise what has been changed by somebody else.
    [[nodiscard]] std::string_view check(const op& operation) const;

private:
    struct range
    {
        enum class purpose : std::uint8_t
        {
            none,
            buffer_written_by_kernel,
            result_written_by_kernel,
            buffer_read_by_kernel,
            argument_read_by_kernel,
        };

        purpose use = purpose::none;
        std::byte* data = nullptr;
        std::size_t size = 0;
        std::uint64_t expected = 0;
    };

    void add(range::purpose use, const void* data, std::size_t size);
    void add_text(const char* text);

    std::array<range, 2> ranges_;
    std::size_t count_ = 0;
};

} // namespace blitzio::detail::sim
