// What a running task knows of its surroundings: its runtime, its stop token, its name.
// Thread rule: immutable while the task runs; owned by whoever launched it (a spawn cell or a
// combinator in an awaiting frame) and passed down by pointer, so awaiting a child costs no atomics.
#pragma once

#include <blitzio/io/detail/await_note.hpp>
#include <blitzio/io/stop_token.hpp>

#include <bit>
#include <chrono>
#include <cstdint>
#include <source_location>

namespace blitzio
{

namespace detail
{
class runtime_core;
struct local_binding;
struct placement;
} // namespace detail

/// The deadline of what has none.
inline constexpr auto no_deadline = std::chrono::nanoseconds::max();

/// What most tasks have nothing of. Whoever makes an environment that differs in it owns one, and
/// keeps it for as long as the environment and its copies are in use.
struct task_details
{
    const char* name = "";
    std::source_location spawned_at{};
    std::chrono::nanoseconds deadline = no_deadline;
    const detail::local_binding* locals = nullptr;
    const detail::placement* home = nullptr;
};

namespace detail
{

/// One word, because every parked task has one: where the task was spawned, or, with the lowest bit
/// set, its details, which then know that.
class task_origin
{
public:
    constexpr task_origin() noexcept = default;

    explicit task_origin(std::source_location where) noexcept
        : word_(std::bit_cast<std::uintptr_t>(where))
    {
    }

    explicit task_origin(const task_details& details) noexcept
        : word_(reinterpret_cast<std::uintptr_t>(&details) | detailed)
    {
    }

    /// Null for a task that has none.
    [[nodiscard]] const task_details* details() const noexcept
    {
        return (word_ & detailed) != 0 ? reinterpret_cast<const task_details*>(word_ & ~detailed)
                                       : nullptr;
    }

    /// Only without details.
    [[nodiscard]] std::source_location where() const noexcept
    {
        return std::bit_cast<std::source_location>(word_);
    }

private:
    // What the standard libraries make of it: a pointer to a constant of the compiler, which itself
    // consists of pointers and so is aligned like one.
    static_assert(sizeof(std::source_location) == sizeof(std::uintptr_t));
    static_assert(alignof(task_details) > 1);

    static constexpr std::uintptr_t detailed = 1;

    std::uintptr_t word_ = 0;
};

} // namespace detail

struct task_env
{
    /// The runtime whose workers run the task. Never null while a task runs.
    detail::runtime_core* runtime = nullptr;
    /// Asked by every operation before and while it waits.
    stop_token stop{};
    /// Read by the functions below.
    detail::task_origin origin{};
    /// What the task waits in; for dumps.
    detail::await_note awaiting{};

    /// For people: dumps, stall reports, unobserved errors.
    [[nodiscard]] const char* name() const noexcept
    {
        const auto* const details = origin.details();
        return details != nullptr ? details->name : "";
    }

    /// Where the task was spawned.
    [[nodiscard]] std::source_location spawned_at() const noexcept
    {
        const auto* const details = origin.details();
        return details != nullptr ? details->spawned_at : origin.where();
    }

    /// When the stop will be requested at the latest, by the runtime's clock. Whatever shortens it
    /// for its children also requests their stop; nothing can make it later, except shield(), under
    /// which there is no stop. Spawned tasks have a stop of their own, and no deadline.
    [[nodiscard]] std::chrono::nanoseconds deadline() const noexcept
    {
        const auto* const details = origin.details();
        return details != nullptr ? details->deadline : no_deadline;
    }

    /// The innermost task-local value that is visible; see task_local.hpp.
    [[nodiscard]] const detail::local_binding* locals() const noexcept
    {
        const auto* const details = origin.details();
        return details != nullptr ? details->locals : nullptr;
    }

    /// Which worker may run the task, and when; null: any, in turn. What it awaits inherits it.
    [[nodiscard]] const detail::placement* home() const noexcept
    {
        const auto* const details = origin.details();
        return details != nullptr ? details->home : nullptr;
    }

    /// All of it, to be changed in parts for a child.
    [[nodiscard]] task_details details() const noexcept
    {
        const auto* const details = origin.details();
        return details != nullptr ? *details : task_details{.spawned_at = origin.where()};
    }
};

} // namespace blitzio
