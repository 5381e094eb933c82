// Ctrl-C as a stop request, with a promise: the process is gone a moment later, whatever it waits
// for.
// Thread rule: created by main() before any other thread, destroyed by it after all others.
#pragma once

#include <blitzio/io/stop_token.hpp>

#include <atomic>
#include <csignal>
#include <functional>
#include <thread>

namespace example
{

/// SIGINT and SIGTERM are blocked in this thread and in those it starts later, and taken by a
/// thread of the watch. The first one requests a stop and gives the program a grace period for an
/// orderly end; after that, or at the second one, `last_words` is called and the process ends with
/// 130.
class interrupt_watch
{
public:
    explicit interrupt_watch(std::function<void()> last_words);
    ~interrupt_watch();
    interrupt_watch(const interrupt_watch&) = delete;
    interrupt_watch& operator=(const interrupt_watch&) = delete;

    [[nodiscard]] blitzio::stop_token token() const noexcept
    {
        return stop_.get_token();
    }

    [[nodiscard]] bool interrupted() const noexcept
    {
        return stop_.stop_requested();
    }

private:
    void watch();

    std::function<void()> last_words_;
    sigset_t signals_{};
    blitzio::stop_source stop_;
    std::atomic<bool> ending_{false};
    std::thread thread_;
};

} // namespace example
