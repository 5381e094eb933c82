// What the tests of this module share: runtimes to run on, tasks that give others a turn, values that
// count themselves, and the number of allocations.
// Thread rule: any thread, unless said otherwise.
#pragma once

#include <blitzio/io/result.hpp>
#include <blitzio/io/runtime.hpp>
#include <blitzio/io/task.hpp>
#include <blitzio/io/yield.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace sync_tests
{

/// A simulated world: everything happens on the calling thread, in an order that the seed decides.
inline blitzio::runtime simulated(std::uint64_t seed, unsigned workers = 2)
{
    blitzio::runtime_config config;
    config.backend = blitzio::backend_choice::sim;
    config.io_threads = workers;
    config.simulation.seed = seed;
    return blitzio::runtime(std::move(config));
}

/// Real threads.
inline blitzio::runtime threaded(unsigned workers)
{
    blitzio::runtime_config config;
    config.io_threads = workers;
    return blitzio::runtime(std::move(config));
}

inline constexpr std::uint64_t seeds = 600;

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SYNC_TESTS_THREAD_SANITIZER 1
#endif
#if __has_feature(address_sanitizer)
#define SYNC_TESTS_ADDRESS_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define SYNC_TESTS_THREAD_SANITIZER 1
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SYNC_TESTS_ADDRESS_SANITIZER 1
#endif

/// False where operator new cannot be replaced: ThreadSanitizer links its own.
#if defined(SYNC_TESTS_THREAD_SANITIZER)
inline constexpr bool counts_allocations = false;
#else
inline constexpr bool counts_allocations = true;
#endif

/// False where each frame is allocated on its own, so that the sanitizer sees its life.
#if defined(SYNC_TESTS_THREAD_SANITIZER) || defined(SYNC_TESTS_ADDRESS_SANITIZER)
inline constexpr bool frames_are_pooled = false;
#else
inline constexpr bool frames_are_pooled = true;
#endif

/// Calls of operator new in this process so far.
[[nodiscard]] std::uint64_t allocations() noexcept;

/// While it lives there is no memory for as many bytes as are given, or more, at once. Without
/// effect where counts_allocations is false. One at a time.
class memory_shortage
{
public:
    explicit memory_shortage(std::size_t bytes) noexcept;
    ~memory_shortage();
    memory_shortage(const memory_shortage&) = delete;
    memory_shortage& operator=(const memory_shortage&) = delete;
};

inline blitzio::task<void> yield_times(std::size_t times)
{
    for (std::size_t turn = 0; turn < times; ++turn)
    {
        co_await blitzio::yield();
    }
}

/// For race(): something that ends after a number of turns, as a result like the other child.
inline blitzio::task<blitzio::result<void>> turns(std::size_t times)
{
    co_await yield_times(times);
    co_return blitzio::result<void>{};
}

[[nodiscard]] inline bool is_cancelled(std::error_code code) noexcept
{
    return code == std::errc::operation_canceled;
}

/// An identified value of which there must be exactly one.
class tracked
{
public:
    explicit tracked(std::uint64_t id) noexcept : id_(id)
    {
        live_.fetch_add(1, std::memory_order_relaxed);
    }

    tracked(tracked&& other) noexcept : id_(std::exchange(other.id_, moved_from)) {}

    tracked& operator=(tracked&& other) noexcept
    {
        if (this != &other)
        {
            drop();
            id_ = std::exchange(other.id_, moved_from);
        }
        return *this;
    }

    ~tracked()
    {
        drop();
    }

    [[nodiscard]] std::uint64_t id() const noexcept
    {
        return id_;
    }

    [[nodiscard]] bool has_value() const noexcept
    {
        return id_ != moved_from;
    }

    /// Values that exist now.
    [[nodiscard]] static std::int64_t live() noexcept
    {
        return live_.load(std::memory_order_relaxed);
    }

private:
    static constexpr std::uint64_t moved_from = static_cast<std::uint64_t>(-1);

    void drop() noexcept
    {
        if (std::exchange(id_, moved_from) != moved_from)
        {
            live_.fetch_sub(1, std::memory_order_relaxed);
        }
    }

    std::uint64_t id_;
    inline static std::atomic<std::int64_t> live_{0};
};

} // namespace sync_tests
