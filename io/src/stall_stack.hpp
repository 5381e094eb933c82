// The stack of another thread of this process.
// Thread rule: a slot is used by one asking thread and by the thread that it belongs to.
//
// Only a thread itself can unwind its stack, so it is interrupted: by SIGURG, whose default is to be
// ignored, so that no late or stray one can hurt. The handler is installed when it is needed for the
// first time, with SA_RESTART, and never over a handler of the program's. It collects return addresses
// by backtrace(), which was called once before so that it need not load anything, and touches nothing
// but its slot. Names are looked up afterwards, on the asking thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include <sys/types.h>

namespace blitzio::detail
{

class stall_stack_slot
{
public:
    /// On the thread that the slot is for, before it may be asked: lets the signal through, unless
    /// the program has a handler of its own for it.
    void attach() noexcept;
    /// On that thread, before it ends.
    void detach() noexcept;

    /// From another thread, while it is attached: the functions, the innermost first. Empty when the
    /// signal belongs to the program, or was not answered in time.
    [[nodiscard]] std::vector<std::string> capture();

    [[nodiscard]] pid_t thread_id() const noexcept
    {
        return thread_;
    }

private:
    enum class phase : std::uint8_t
    {
        idle,
        requested,
        capturing,
        captured,
    };
    static constexpr int depth_max = 64;

    static void on_signal(int) noexcept;
    [[nodiscard]] static bool install() noexcept;

    std::atomic<phase> phase_{phase::idle};
    std::array<void*, depth_max> frames_{};
    int depth_ = 0;
    pid_t thread_ = 0;
};

} // namespace blitzio::detail
