// The runtime's own threads. Thread rule: start_thread() on any thread; a thread object belongs to
// one owner.
#pragma once

#include <blitzio/io/result.hpp>

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

namespace blitzio::detail
{

/// A thread with a name and a stack of a chosen size, which std::thread cannot give. Must be joined
/// before it is destroyed.
class worker_thread
{
public:
    struct state;

    explicit worker_thread(std::unique_ptr<state> started) noexcept;
    worker_thread(worker_thread&&) noexcept;
    worker_thread& operator=(worker_thread&&) noexcept;
    ~worker_thread();

    void join() noexcept;

private:
    std::unique_ptr<state> state_;
};

/// Starts `body` on a thread called `name` (cut to what the system shows) on which signals are
/// blocked as signal_blocker says. `stack_bytes` 0 is the system's default.
[[nodiscard]] result<worker_thread> start_thread(const std::string& name, std::size_t stack_bytes,
                                                 std::function<void()> body);

/// Keeps the calling thread on one of the processors that it may use: the one at `position`, counted
/// again from the first beyond the last. False: the system refuses, and nothing has changed.
[[nodiscard]] bool bind_to_processor(unsigned position) noexcept;

} // namespace blitzio::detail
