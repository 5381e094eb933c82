// Starting threads that leave the program's signals alone. Thread rule: affects the calling thread.
#pragma once

#include <csignal>

#include <pthread.h>

namespace blitzio::detail
{

/// For as long as it lives, threads that the calling thread creates have the signals blocked that
/// the process may receive from outside: a program's handlers run on the program's own threads, and
/// a write to a closed pipe is an error, not a signal. Signals that report a fault of the thread
/// itself, and the profiler's, stay as they are.
class signal_blocker
{
public:
    signal_blocker() noexcept
    {
        sigset_t blocked;
        sigfillset(&blocked);
        for (const int kept : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF})
        {
            sigdelset(&blocked, kept);
        }
        pthread_sigmask(SIG_BLOCK, &blocked, &before_);
    }

    ~signal_blocker()
    {
        pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }

    signal_blocker(const signal_blocker&) = delete;
    signal_blocker& operator=(const signal_blocker&) = delete;

private:
    sigset_t before_;
};

} // namespace blitzio::detail
