// Interrupting a thread to have its stack. Thread rule: see the header.
#include "stall_stack.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#if __has_include(<execinfo.h>)
#include <cxxabi.h>
#include <dlfcn.h>
#include <execinfo.h>
#define BLITZIO_HAS_BACKTRACE 1
#else
#define BLITZIO_HAS_BACKTRACE 0
#endif

namespace blitzio::detail
{

namespace
{

constexpr int stack_signal = SIGURG;
/// A thread that the system does not run answers late, or, inside some sanitizers, at its next call of
/// the system.
constexpr std::chrono::milliseconds patience{100};
constexpr std::chrono::microseconds look_again{200};

constinit thread_local stall_stack_slot* this_threads_slot = nullptr;

bool belongs_to_nobody(const struct sigaction& action) noexcept
{
    return (action.sa_flags & SA_SIGINFO) == 0 &&
           (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN);
}

#if BLITZIO_HAS_BACKTRACE

std::string name_of(void* address)
{
    char text[32];
    Dl_info found{};
    if (::dladdr(address, &found) == 0 || found.dli_fname == nullptr)
    {
        std::snprintf(text, sizeof text, "%p", address);
        return text;
    }
    if (found.dli_sname == nullptr)
    {
        // For addr2line: where it lies in its file.
        std::snprintf(text, sizeof text, "+0x%tx",
                      static_cast<char*>(address) - static_cast<char*>(found.dli_fbase));
        return std::string(found.dli_fname) + '(' + text + ')';
    }
    int status = 0;
    char* const readable = abi::__cxa_demangle(found.dli_sname, nullptr, nullptr, &status);
    std::string name = status == 0 && readable != nullptr ? readable : found.dli_sname;
    std::free(readable);
    std::snprintf(text, sizeof text, "+0x%tx",
                  static_cast<char*>(address) - static_cast<char*>(found.dli_saddr));
    return name + text;
}

#endif

} // namespace

void stall_stack_slot::on_signal(int) noexcept
{
#if BLITZIO_HAS_BACKTRACE
    const int error = errno;
    stall_stack_slot* const slot = this_threads_slot;
    auto expected = phase::requested;
    // Acquire and release: the frames belong to this thread until they are captured.
    if (slot != nullptr &&
        slot->phase_.compare_exchange_strong(expected, phase::capturing, std::memory_order_acquire))
    {
        slot->depth_ = ::backtrace(slot->frames_.data(), depth_max);
        slot->phase_.store(phase::captured, std::memory_order_release);
    }
    errno = error;
#endif
}

bool stall_stack_slot::install() noexcept
{
#if BLITZIO_HAS_BACKTRACE
    static constinit std::mutex installing;
    static constinit bool loaded = false;
    const std::lock_guard lock(installing);
    struct sigaction action{};
    if (::sigaction(stack_signal, nullptr, &action) != 0)
    {
        return false;
    }
    if ((action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == &on_signal)
    {
        return true;
    }
    if (!belongs_to_nobody(action))
    {
        return false;
    }
    if (!loaded)
    {
        void* frame = nullptr;
        loaded = ::backtrace(&frame, 1) >= 0;
    }
    action = {};
    action.sa_handler = &on_signal;
    action.sa_flags = SA_RESTART | SA_ONSTACK;
    sigemptyset(&action.sa_mask);
    return ::sigaction(stack_signal, &action, nullptr) == 0;
#else
    return false;
#endif
}

void stall_stack_slot::attach() noexcept
{
    thread_ = static_cast<pid_t>(::syscall(SYS_gettid));
    this_threads_slot = this;
    struct sigaction action{};
    if (::sigaction(stack_signal, nullptr, &action) == 0 &&
        (belongs_to_nobody(action) || action.sa_handler == &on_signal))
    {
        sigset_t passed;
        sigemptyset(&passed);
        sigaddset(&passed, stack_signal);
        ::pthread_sigmask(SIG_UNBLOCK, &passed, nullptr);
    }
}

void stall_stack_slot::detach() noexcept
{
    this_threads_slot = nullptr;
}

std::vector<std::string> stall_stack_slot::capture()
{
    std::vector<std::string> names;
    if (!install())
    {
        return names;
    }
    phase_.store(phase::requested, std::memory_order_release);
    if (::syscall(SYS_tgkill, ::getpid(), thread_, stack_signal) != 0)
    {
        phase_.store(phase::idle, std::memory_order_relaxed);
        return names;
    }
    const auto until = std::chrono::steady_clock::now() + patience;
    while (phase_.load(std::memory_order_acquire) != phase::captured)
    {
        std::this_thread::sleep_for(look_again);
        if (std::chrono::steady_clock::now() < until)
        {
            continue;
        }
        auto expected = phase::requested;
        if (phase_.compare_exchange_strong(expected, phase::idle, std::memory_order_relaxed))
        {
            return names; // a signal that comes now finds nothing to do
        }
    }
#if BLITZIO_HAS_BACKTRACE
    // The handler itself and what the kernel returns to from it.
    constexpr int own_frames = 2;
    for (int index = own_frames; index < depth_; ++index)
    {
        names.push_back(name_of(frames_[static_cast<std::size_t>(index)]));
    }
#endif
    phase_.store(phase::idle, std::memory_order_relaxed);
    return names;
}

} // namespace blitzio::detail
