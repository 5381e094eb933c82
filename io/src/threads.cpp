// Starting threads with POSIX calls. Thread rule: see the header.
#include "threads.hpp"

#include "signal_blocker.hpp"

#include <pthread.h>
#include <sched.h>
#include <utility>

namespace blitzio::detail
{

struct worker_thread::state
{
    pthread_t handle{};
    std::string name;
    std::function<void()> body;
};

worker_thread::worker_thread(std::unique_ptr<state> started) noexcept : state_(std::move(started))
{
}
worker_thread::worker_thread(worker_thread&&) noexcept = default;
worker_thread& worker_thread::operator=(worker_thread&&) noexcept = default;
worker_thread::~worker_thread() = default;

void worker_thread::join() noexcept
{
    pthread_join(state_->handle, nullptr);
    state_.reset();
}

namespace
{

void* run_thread(void* argument)
{
    auto& self = *static_cast<worker_thread::state*>(argument);
    constexpr std::size_t name_length_max = 15;
    pthread_setname_np(pthread_self(), self.name.substr(0, name_length_max).c_str());
    self.body();
    return nullptr;
}

} // namespace

result<worker_thread> start_thread(const std::string& name, std::size_t stack_bytes,
                                   std::function<void()> body)
{
    auto state = std::make_unique<worker_thread::state>();
    state->name = name;
    state->body = std::move(body);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    int error = stack_bytes == 0 ? 0 : pthread_attr_setstacksize(&attributes, stack_bytes);
    if (error == 0)
    {
        const signal_blocker blocked;
        error = pthread_create(&state->handle, &attributes, &run_thread, state.get());
    }
    pthread_attr_destroy(&attributes);
    if (error != 0)
    {
        return fail(std::error_code(error, std::system_category()));
    }
    return worker_thread(std::move(state));
}

bool bind_to_processor(unsigned position) noexcept
{
    cpu_set_t allowed;
    CPU_ZERO(&allowed);
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0)
    {
        return false; // more processors than the mask has bits
    }
    unsigned left = position % static_cast<unsigned>(CPU_COUNT(&allowed));
    for (std::size_t processor = 0; processor < CPU_SETSIZE; ++processor)
    {
        if (!CPU_ISSET(processor, &allowed))
        {
            continue;
        }
        if (left-- == 0)
        {
            cpu_set_t chosen;
            CPU_ZERO(&chosen);
            CPU_SET(processor, &chosen);
            return sched_setaffinity(0, sizeof chosen, &chosen) == 0;
        }
    }
    return false;
}

} // namespace blitzio::detail
