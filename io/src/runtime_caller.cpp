// A runtime without threads: its worker runs on the thread of the program that calls.
//
// One thread for all of the runtime's life, the first that runs it: a ring belongs to the thread that
// has enabled it, and the kernel cancels what a thread has submitted when that thread ends.
// Thread rule: begin_turn() on any thread; the rest in a turn.
#include "driver/sim/sim_backend.hpp"
#include "runtime_core.hpp"

#include <blitzio/io/detail/runtime_access.hpp>
#include <blitzio/io/result.hpp>

#include <string>
#include <system_error>

namespace blitzio::detail
{

namespace
{

/// Never the same for two threads, unlike the identifiers of the system. Not 0.
std::uint64_t number_of_this_thread() noexcept
{
    static constinit std::atomic<std::uint64_t> last{0};
    static constinit thread_local std::uint64_t mine = 0;
    if (mine == 0)
    {
        mine = last.fetch_add(1, std::memory_order_relaxed) + 1;
    }
    return mine;
}

} // namespace

void runtime_core::begin_turn(const char* what)
{
    const std::uint64_t here = number_of_this_thread();
    std::uint64_t owner = 0;
    // Relaxed: the number is all there is to see; a thread that hands the runtime to the first one
    // that runs it synchronises with it in a way of its own.
    if (!owner_.compare_exchange_strong(owner, here, std::memory_order_relaxed) && owner != here)
    {
        throw std::system_error(make_error_code(io_errc::wrong_thread), what);
    }
    if (in_turn_)
    {
        throw std::system_error(make_error_code(io_errc::would_deadlock), what);
    }
    in_turn_ = true;
    if (owner == 0 && !is_simulated())
    {
        workers_[0]->io().start();
    }
}

void runtime_core::end_turn() noexcept
{
    in_turn_ = false;
}

void runtime_core::run_here_until(const std::function<bool()>& done,
                                  std::optional<std::chrono::nanoseconds> until)
{
    if (is_simulated())
    {
        simulate_until(done, until);
        return;
    }
    workers_[0]->run_until(
        [](void* context) noexcept {
            return (*static_cast<const std::function<bool()>*>(context))();
        },
        const_cast<std::function<bool()>*>(&done), until);
}

std::size_t runtime_core::run_ready(std::size_t most)
{
    return is_simulated() ? run_ready_simulated(most) : workers_[0]->run_ready(most);
}

result<int> runtime_core::descriptor() noexcept
{
    return workers_[0]->descriptor();
}

void runtime_core::run_to_the_end()
{
    if (!runs_on_caller())
    {
        wait_until_idle();
        return;
    }
    const std::uint64_t owner = owner_.load(std::memory_order_relaxed);
    if (owner != 0 && owner != number_of_this_thread())
    {
        if (live_task_count() != 0)
        {
            terminate_with("a single_threaded runtime with live tasks was destroyed on another "
                           "thread than the one that runs it");
        }
        return;
    }
    begin_turn("the end of a runtime");
    wait_until_idle();
    end_turn();
}

} // namespace blitzio::detail
