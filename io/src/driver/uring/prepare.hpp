// Operations as submission entries, and completion results back. Thread rule: the ring's owner.
#pragma once

#include <blitzio/io/detail/op.hpp>

#include <cstdint>

struct io_uring_sqe;
struct statx;

namespace blitzio::detail::uring
{

/// False: the ring cannot do this kind of operation at all; it goes to the file pool.
[[nodiscard]] bool has_ring_form(op_kind kind) noexcept;

/// The opcode that prepare() uses, for the probe.
[[nodiscard]] int opcode_of(op_kind kind) noexcept;

/// Operations of this kind repeat on one descriptor, so that keeping it in the ring's table pays.
[[nodiscard]] bool can_name_slot(op_kind kind) noexcept;

/// Fills `entry` except for its user data. `status` is scratch space for op_kind::stat and must stay
/// until the operation completes.
void prepare(op& operation, io_uring_sqe& entry, struct statx* status) noexcept;

/// The operation's result from the kernel's; copies what was delivered into scratch space.
[[nodiscard]] std::int32_t conclude(op& operation, std::int32_t result,
                                    const struct statx* status) noexcept;

} // namespace blitzio::detail::uring
