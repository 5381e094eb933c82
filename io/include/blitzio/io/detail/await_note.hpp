// What a task waits in: the place of its await, the kind of operation, and since when. Written at each
// suspension with two plain stores, so that runtime::dump() can tell without stopping anybody.
// Thread rule: record() by whoever runs the task; read() on any thread that keeps the task from going
// away (under the lock of the list that it is in).
#pragma once

#include <blitzio/io/detail/runnable.hpp>

#include <atomic>
#include <bit>
#include <chrono>
#include <cstdint>
#include <source_location>
#include <string_view>

namespace blitzio
{
struct task_env;
} // namespace blitzio

namespace blitzio::detail
{

/// The time as the workers last saw it, in units of 2^24 ns (17 ms): the age of an await has to be
/// cheap, not exact. One word for the process: all runtimes that are not simulated share the clock.
class coarse_clock
{
public:
    static void publish(std::chrono::nanoseconds now) noexcept
    {
        const auto units = units_of(now);
        // Mostly read: the line stays with all workers until the number changes.
        if (units_.load(std::memory_order_relaxed) != units)
        {
            units_.store(units, std::memory_order_relaxed);
        }
    }

    [[nodiscard]] static std::uint32_t units() noexcept
    {
        return units_.load(std::memory_order_relaxed);
    }

    [[nodiscard]] static constexpr std::uint32_t units_of(std::chrono::nanoseconds time) noexcept
    {
        return static_cast<std::uint32_t>(static_cast<std::uint64_t>(time.count()) >> unit_bits);
    }

    /// How long ago that was; 0 for what lies ahead of `now`.
    [[nodiscard]] static constexpr std::chrono::nanoseconds age(
        std::uint32_t units, std::chrono::nanoseconds now) noexcept
    {
        const auto passed = static_cast<std::int32_t>(units_of(now) - units);
        return std::chrono::nanoseconds(passed > 0 ? std::int64_t{passed} << unit_bits : 0);
    }

private:
    static constexpr unsigned unit_bits = 24;
    static inline constinit std::atomic<std::uint32_t> units_{0};
};

template <class Operation>
consteval std::string_view function_that_names() noexcept
{
    return __PRETTY_FUNCTION__;
}

/// A text with the type's name in it; one object for each type, told apart by address.
template <class Operation>
inline constexpr std::string_view operation_type = function_that_names<Operation>();

/// Enters a task into the runtime's lists at its first await; the environment is that of a cell.
void register_at_first_await(const task_env& env) noexcept;

/// Part of every environment, in use only in those of cells: a copy, such as a combinator makes for
/// its children, records nothing. They may run on several workers at once, and a line that all of
/// them write at each await would cost more than the rest of the await.
///
/// Two words, each a pointer (48 bits on all platforms with 64) and half of the time. They are
/// written one after the other; a reader that meets a writer may see the kind of one await with the
/// place of the next. The word with the kind is the link of the runnable that lies before the
/// environment of every cell: no queue needs it once the task has begun.
class await_note
{
public:
    /// What place_ is before the first await.
    enum class phase : std::uint64_t
    {
        disabled = 0,
        begun = 1,          // in the lists already
        not_registered = 2, // enters the lists at its first await
    };

    struct snapshot
    {
        bool has_awaited = false;
        std::source_location where{};
        /// Null before the first await.
        const std::string_view* operation = nullptr;
        std::uint32_t since_units = 0;
    };

    constexpr await_note() noexcept = default;
    await_note(const await_note&) noexcept {}
    await_note& operator=(const await_note&) noexcept
    {
        return *this;
    }

    void enable(phase how) const noexcept
    {
        place_.store(static_cast<std::uint64_t>(how), std::memory_order_relaxed);
    }

    /// The task is about to suspend in `operation` at `where`. `env` is where this note is part of.
    void record(const task_env& env, const std::string_view& operation,
                std::source_location where) const noexcept
    {
        // Relaxed: whoever runs the task has written it, or got the task from who has.
        const auto before = place_.load(std::memory_order_relaxed);
        if (before <= static_cast<std::uint64_t>(phase::not_registered)) [[unlikely]]
        {
            if (before == static_cast<std::uint64_t>(phase::disabled))
            {
                return;
            }
            if (before == static_cast<std::uint64_t>(phase::not_registered))
            {
                register_at_first_await(env);
            }
        }
        const std::uint64_t time = coarse_clock::units();
        kind_of(env).store(reinterpret_cast<runnable*>(
                               reinterpret_cast<std::uint64_t>(&operation) << 16 | time >> 16),
                           std::memory_order_relaxed);
        // Release: partner is the acquire in read(); no queue writes to the link any more.
        place_.store(address_of(where) << 16 | (time & 0xffff), std::memory_order_release);
    }

    /// `env` is where this note is part of: that of a cell.
    [[nodiscard]] snapshot read(const task_env& env) const noexcept
    {
        const auto place = place_.load(std::memory_order_acquire);
        if (place <= static_cast<std::uint64_t>(phase::not_registered))
        {
            return {};
        }
        const auto kind =
            reinterpret_cast<std::uint64_t>(kind_of(env).load(std::memory_order_relaxed));
        return {.has_awaited = true,
                .where = std::bit_cast<std::source_location>(place >> 16),
                .operation = reinterpret_cast<const std::string_view*>(kind >> 16),
                .since_units =
                    static_cast<std::uint32_t>((kind & 0xffff) << 16 | (place & 0xffff))};
    }

private:
    // What the standard libraries make of it: a pointer to a constant of the compiler.
    static_assert(sizeof(std::source_location) == sizeof(std::uint64_t));

    [[nodiscard]] static std::uint64_t address_of(std::source_location where) noexcept
    {
        return std::bit_cast<std::uint64_t>(where);
    }

    [[nodiscard]] static std::atomic_ref<runnable*> kind_of(const task_env& env) noexcept
    {
        auto* const bytes = reinterpret_cast<unsigned char*>(const_cast<task_env*>(&env));
        return std::atomic_ref<runnable*>(
            reinterpret_cast<runnable*>(bytes - sizeof(runnable))->next);
    }

    mutable std::atomic<std::uint64_t> place_{0};
};

} // namespace blitzio::detail
