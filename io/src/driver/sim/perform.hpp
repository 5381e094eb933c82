// Carries out one operation on the simulated world: the one switch over all operation kinds.
// Thread rule: the simulation's thread only.
#pragma once

#include "memory/worker_buffers.hpp"

#include <blitzio/io/detail/file_types.hpp>
#include <blitzio/io/detail/op.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace blitzio::detail
{
class sim_world;
} // namespace blitzio::detail

namespace blitzio::detail::sim
{

class description;

/// What an operation obtained, kept apart from the caller's memory until it is delivered: until
/// then that memory holds garbage, as it may with a kernel that is still writing.
struct staged_output
{
    std::vector<std::byte> bytes;
    directory_batch batch;
    /// Holds what a leased read obtained.
    buffer_lease lease;

    /// To the place that the operation names.
    void deliver(op& operation);
};

/// True for operations that name the description they work on by `fd` and keep it alive.
[[nodiscard]] bool uses_description(const op& operation) noexcept;

/// True for operations that wait until their descriptor is ready, whatever the call says.
[[nodiscard]] bool may_wait(op_kind kind) noexcept;

/// One attempt. Nothing: it has to wait for `target` to change. `target` is what the operation's
/// descriptor stood for when it was handed over (nullptr: not open). `connect_begun` belongs to the
/// operation: the first attempt of a connect starts the handshake, later ones ask for its end.
[[nodiscard]] std::optional<std::int32_t> perform(sim_world& world, op& operation,
                                                  const std::shared_ptr<description>& target,
                                                  bool& connect_begun, staged_output& output,
                                                  worker_buffers& buffers);

} // namespace blitzio::detail::sim
