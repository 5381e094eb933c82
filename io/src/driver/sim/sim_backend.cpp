// Puts a simulated world behind the interface of a backend.
// Thread rule: the simulation's thread only.
#include "driver/sim/sim_backend.hpp"

#include "driver/sim/sim_driver.hpp"

namespace blitzio::detail
{

sim_backend::sim_backend(const backend_options& options, const sim_options& simulation)
    : worker_count_(options.worker_count), read_buffers_(options.read_buffers), world_(simulation)
{
}

std::string_view sim_backend::name() const noexcept
{
    return "sim";
}

system& sim_backend::operating_system() noexcept
{
    return world_.operating_system();
}

result<std::unique_ptr<driver>> sim_backend::create_driver(unsigned worker_index)
{
    if (worker_index >= worker_count_)
    {
        return fail(std::errc::invalid_argument);
    }
    return std::make_unique<sim_driver>(world_, worker_index, read_buffers_);
}

std::unique_ptr<sim_backend> make_sim_backend(const backend_options& options,
                                              const sim_options& simulation)
{
    return std::make_unique<sim_backend>(options, simulation);
}

} // namespace blitzio::detail
