// In the place of blitzio::stream_progress in mutants of the parallel stage's ring, which are no
// friends of that: the same numbers, for everybody.
//
// Threading rule: never used, only named; models give no progress.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace blitzio::detail
{

struct no_progress
{
    template <class T>
    static void set(std::atomic<T>&, T) noexcept
    {
    }

    [[nodiscard]] std::size_t bytes_peak() const noexcept
    {
        return 0;
    }

    std::atomic<std::uint64_t> taken_{0};
    std::atomic<std::uint64_t> finished_{0};
    std::atomic<std::uint64_t> delivered_{0};
    std::atomic<std::size_t> bytes_in_flight_{0};
    std::atomic<std::size_t> bytes_peak_{0};
};

} // namespace blitzio::detail
