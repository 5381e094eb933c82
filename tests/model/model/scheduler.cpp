// What the code under test asks of the runtime: in a scenario, whoever wakes an operation continues
// it on the spot. Threading rule: used by the threads of a scenario.
#include "checker.hpp"

#include <blitzio/io/detail/resume.hpp>
#include <blitzio/io/detail/runtime_access.hpp>

namespace blitzio::detail
{

void schedule(runtime_core&, runnable& item) noexcept
{
    item.run(&item);
}

void schedule_last(runtime_core&, runnable& item) noexcept
{
    item.run(&item);
}

void resume(std::coroutine_handle<> coroutine) noexcept
{
    coroutine.resume();
}

void report_suppressed(const task_env&, std::exception_ptr) noexcept
{
    model::expect(false, "no scenario suppresses an exception");
}

} // namespace blitzio::detail
