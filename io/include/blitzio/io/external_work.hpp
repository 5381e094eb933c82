// Work outside of a simulated runtime for which its virtual clock has to wait.
// Thread rule: an object belongs to one thread at a time and may be handed on; it may begin and end on
// any thread.
#pragma once

#include <utility>

namespace blitzio
{

namespace detail
{
class runtime_core;

/// True: `runtime` is simulated and counts the work; end_external_work() must follow.
[[nodiscard]] bool begin_external_work(runtime_core& runtime) noexcept;
void end_external_work(runtime_core& runtime) noexcept;
} // namespace detail

/// While one of these exists, the clock of its simulated runtime stands still, and the simulation
/// waits for what comes from outside instead of declaring that nothing can happen any more. The
/// pools use it themselves (simulation_config::real_pools); a test needs it for threads of its own
/// that answer a task:
///
///     blitzio::external_work outside(runtime.core());
///     std::thread([&, outside = std::move(outside)] { sender.send(compute()); }).detach();
///
/// End it after the answer was handed over, not before. A task that waits for virtual time to pass
/// before it lets the outside work end waits for ever.
/// With a runtime that is not simulated it does nothing. Lifetime: the runtime's destructor waits
/// for it.
class external_work
{
public:
    external_work() noexcept = default;

    explicit external_work(detail::runtime_core& runtime) noexcept
        : runtime_(detail::begin_external_work(runtime) ? &runtime : nullptr)
    {
    }

    external_work(external_work&& other) noexcept : runtime_(std::exchange(other.runtime_, nullptr))
    {
    }

    external_work& operator=(external_work&& other) noexcept
    {
        if (this != &other)
        {
            end();
            runtime_ = std::exchange(other.runtime_, nullptr);
        }
        return *this;
    }

    ~external_work()
    {
        end();
    }

    void end() noexcept
    {
        if (runtime_ != nullptr)
        {
            detail::end_external_work(*std::exchange(runtime_, nullptr));
        }
    }

private:
    detail::runtime_core* runtime_ = nullptr;
};

} // namespace blitzio
