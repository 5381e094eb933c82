// What will happen in a simulated world, in the order of virtual time.
// Thread rule: the simulation's thread only.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

namespace blitzio::detail::sim
{

/// Events at the same time happen in the order of a number drawn by the caller, which makes the
/// order of independent events a matter of the seed; equal draws fall back to the order of arrival.
class event_queue
{
public:
    using action = std::function<void()>;

    void add(std::chrono::nanoseconds at, std::uint64_t draw, action what)
    {
        events_.emplace(key{at, draw, ++sequence_}, std::move(what));
    }

    [[nodiscard]] std::optional<std::chrono::nanoseconds> next_time() const
    {
        if (events_.empty())
        {
            return std::nullopt;
        }
        return events_.begin()->first.at;
    }

    /// Only when there is a next event.
    [[nodiscard]] action take_next()
    {
        auto node = events_.extract(events_.begin());
        return std::move(node.mapped());
    }

    /// Destroying an action may destroy the last owner of a socket, which in turn schedules what
    /// its peer sees; those events go as well.
    void clear()
    {
        while (!events_.empty())
        {
            const auto doomed = std::exchange(events_, {});
        }
    }

private:
    struct key
    {
        std::chrono::nanoseconds at;
        std::uint64_t draw;
        std::uint64_t sequence;

        auto operator<=>(const key&) const = default;
    };

    std::map<key, action> events_;
    std::uint64_t sequence_ = 0;
};

} // namespace blitzio::detail::sim
