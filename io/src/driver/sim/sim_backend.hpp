// The backend whose operating system is a simulated world: what the runtime is given in tests that
// have to be repeatable.
// Thread rule: the simulation's thread only, except what driver.hpp and clock.hpp allow.
#pragma once

#include "driver/backend.hpp"
#include "driver/sim/sim_options.hpp"
#include "driver/sim/sim_world.hpp"

#include <memory>
#include <string_view>

namespace blitzio::detail
{

class sim_backend final : public backend
{
public:
    sim_backend(const backend_options& options, const sim_options& simulation);

    [[nodiscard]] std::string_view name() const noexcept override;
    [[nodiscard]] system& operating_system() noexcept override;
    /// Fails with invalid_argument when the index is not below worker_count. One driver per index
    /// may be alive at a time.
    [[nodiscard]] result<std::unique_ptr<driver>> create_driver(unsigned worker_index) override;

    [[nodiscard]] sim_world& world() noexcept
    {
        return world_;
    }
    [[nodiscard]] clock_source& clock() noexcept
    {
        return world_.clock();
    }

private:
    unsigned worker_count_;
    read_buffer_options read_buffers_;
    sim_world world_;
};

[[nodiscard]] std::unique_ptr<sim_backend> make_sim_backend(const backend_options& options,
                                                            const sim_options& simulation);

} // namespace blitzio::detail
