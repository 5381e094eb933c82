// How far a parallel stage of a stream is.
// Thread rule: read on any thread at any time. Each number is exact; read one after the other while
// the stage works, they are of different moments.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace blitzio
{

namespace detail
{
template <class Atomics>
class par_ring;
} // namespace detail

/// Given to one stage as par_options::progress; outlives the await of its pipeline. The stage begins
/// at 0 when it is opened.
class stream_progress
{
public:
    /// Values that were taken from the stage above and given to the pool.
    [[nodiscard]] std::uint64_t taken() const noexcept
    {
        return taken_.load(std::memory_order_relaxed);
    }

    /// Of those, how many the function has ended for; without those that were skipped because the
    /// stream has failed or is stopped.
    [[nodiscard]] std::uint64_t finished() const noexcept
    {
        return finished_.load(std::memory_order_relaxed);
    }

    /// Of those, how many the stage below has taken the result of, or par_filter has dropped.
    [[nodiscard]] std::uint64_t delivered() const noexcept
    {
        return delivered_.load(std::memory_order_relaxed);
    }

    /// Of values that were taken and not delivered, by byte_size(); of the result where that is there
    /// and larger.
    [[nodiscard]] std::size_t bytes_in_flight() const noexcept
    {
        return bytes_in_flight_.load(std::memory_order_relaxed);
    }

    /// The most that they ever were.
    [[nodiscard]] std::size_t bytes_peak() const noexcept
    {
        return bytes_peak_.load(std::memory_order_relaxed);
    }

private:
    template <class Atomics>
    friend class detail::par_ring;

    /// Written under the stage's lock, so one write at a time: no read-modify-write is needed.
    template <class T>
    static void set(std::atomic<T>& number, T value) noexcept
    {
        number.store(value, std::memory_order_relaxed);
    }

    std::atomic<std::uint64_t> taken_{0};
    std::atomic<std::uint64_t> finished_{0};
    std::atomic<std::uint64_t> delivered_{0};
    std::atomic<std::size_t> bytes_in_flight_{0};
    std::atomic<std::size_t> bytes_peak_{0};
};

} // namespace blitzio
