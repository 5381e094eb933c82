// Takes the signals on a thread of its own, so that no code runs in a signal handler.
// Thread rule: see the header.
#include "interrupt_watch.hpp"

#include <cerrno>
#include <chrono>
#include <ctime>
#include <utility>

#include <pthread.h>
#include <unistd.h>

namespace example
{

namespace
{

/// Short enough that Ctrl-C has ended the program after 100 ms.
constexpr std::chrono::milliseconds grace{60};
constexpr int exit_code_interrupted = 130;

} // namespace

interrupt_watch::interrupt_watch(std::function<void()> last_words)
    : last_words_(std::move(last_words))
{
    sigemptyset(&signals_);
    sigaddset(&signals_, SIGINT);
    sigaddset(&signals_, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals_, nullptr);
    thread_ = std::thread([this] { watch(); });
}

interrupt_watch::~interrupt_watch()
{
    ending_ = true;
    // Wakes the thread out of its wait; it looks at ending_ then.
    pthread_kill(thread_.native_handle(), SIGTERM);
    thread_.join();
}

void interrupt_watch::watch()
{
    int which = 0;
    sigwait(&signals_, &which);
    if (ending_)
    {
        return;
    }
    stop_.request_stop();
    const timespec wait{0, std::chrono::nanoseconds(grace).count()};
    while (sigtimedwait(&signals_, nullptr, &wait) < 0 && errno == EINTR)
    {
    }
    if (!ending_)
    {
        last_words_();
        _exit(exit_code_interrupted);
    }
}

} // namespace example
