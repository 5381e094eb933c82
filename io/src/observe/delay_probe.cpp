// The end of a probe's way. Thread rule: see the header.
#include "observe/delay_probe.hpp"

#include "runtime_core.hpp"
#include "scheduler/worker.hpp"

namespace blitzio::detail
{

void delay_probe::arrive(runnable* item) noexcept
{
    auto& probe = static_cast<delay_probe&>(*item);
    worker& here = *current_worker();
    here.own_stats().scheduling_delay.record(here.core().now() - probe.begun_);
    // Release: partner is the acquire in is_due(). The last access.
    probe.on_its_way_.store(false, std::memory_order_release);
}

} // namespace blitzio::detail
