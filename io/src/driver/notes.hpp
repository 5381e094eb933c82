// What the drivers of a runtime found out while running: abilities that were refused, each told once
// in runtime::explain(), and once per process on stderr.
// Thread rule: any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>

namespace blitzio::detail
{

/// Abilities that a driver can do without.
enum class optional_ability : std::uint8_t
{
    provided_buffers,   // the kernel picks the buffer of a leased read
    registered_buffers, // files are read into and written from pool memory without mapping it anew
    registered_files,   // the ring keeps descriptors that are used often
    read_buffers,       // no memory for a worker's own buffers
};

class driver_notes
{
public:
    /// The first time for each ability: keeps the line, and prints it if no other runtime of the
    /// process has.
    void degraded(optional_ability what, std::string_view line)
    {
        const std::uint32_t bit = 1u << static_cast<unsigned>(what);
        const std::lock_guard lock(mutex_);
        if ((told_ & bit) != 0)
        {
            return;
        }
        told_ |= bit;
        text_.append(line).push_back('\n');
        if ((told_by_process_.fetch_or(bit, std::memory_order_relaxed) & bit) == 0)
        {
            std::fprintf(stderr, "blitzio: %.*s\n", static_cast<int>(line.size()), line.data());
        }
    }

    /// A line each.
    [[nodiscard]] std::string text() const
    {
        const std::lock_guard lock(mutex_);
        return text_;
    }

private:
    mutable std::mutex mutex_;
    std::string text_;
    std::uint32_t told_ = 0;
    static inline constinit std::atomic<std::uint32_t> told_by_process_{0};
};

} // namespace blitzio::detail
