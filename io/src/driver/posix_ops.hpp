// Each operation as plain system calls, shared by everything that is not io_uring: the epoll driver
// repeats them until they stop asking to wait, the file pool lets them block.
// Thread rule: stateless, any thread; the operation must belong to the caller.
#pragma once

#include "memory/worker_buffers.hpp"

#include <blitzio/io/detail/op.hpp>

#include <cstddef>
#include <cstdint>

struct statx;

namespace blitzio::detail
{

/// What an operation needs from a driver that is told of readiness.
enum class op_interest : std::uint8_t
{
    none,     // never waits: completes at the next turn
    read,     // waits until the descriptor is readable
    write,    // waits until the descriptor is writable
    any,      // waits for the events it names itself
    blocking, // may block in the kernel whatever the descriptor says: needs a thread
};

[[nodiscard]] op_interest interest_of(op_kind kind) noexcept;

/// Does `operation` now and returns its result, kernel style: >= 0, or the negated errno. Sockets
/// never make it wait and never raise SIGPIPE; a write to a pipe without reader is -EPIPE and no
/// SIGPIPE either. EINTR is retried. What has to wait returns a result for which would_block() is
/// true; connect then goes on in the kernel and is concluded by continue_connect().
[[nodiscard]] std::int32_t perform(op& operation) noexcept;

/// As perform(), for op_kind::recv_leased: a buffer is on loan only if it holds something
/// afterwards. -ENOBUFS when there is none; nothing was taken from the socket then.
[[nodiscard]] std::int32_t perform_leased(op& operation, worker_buffers& buffers) noexcept;

/// As perform(), for op_kind::read and write on descriptors that other programs share and that
/// are therefore left in blocking mode (an inherited pipe or terminal): asks for readiness first,
/// and writes no more at once than a pipe takes without waiting.
[[nodiscard]] std::int32_t perform_gated(op& operation) noexcept;

/// op_kind::read_at from what the kernel has in memory already. -EAGAIN: not all of it is there, a
/// thread has to wait for the device. Never shorter than perform() would be.
[[nodiscard]] std::int32_t read_at_cached(op& operation) noexcept;

/// The state of a connect that would_block(): -EINPROGRESS, 0, or why it failed.
[[nodiscard]] std::int32_t continue_connect(op& operation) noexcept;

/// A pipe, socket or terminal: it has no positions to read and write at.
[[nodiscard]] bool is_stream(int fd) noexcept;
[[nodiscard]] bool is_socket(int fd) noexcept;

/// Tests only: called before each system call of an operation; a number other than 0 is the errno
/// that the call is then taken to have failed with. Null: no faults.
using fault_hook = int (*)() noexcept;
void set_fault_hook(fault_hook hook) noexcept;

/// True when `result` of an operation of this kind says "wait for readiness and repeat".
[[nodiscard]] bool would_block(op_kind kind, std::int32_t result) noexcept;

/// How a descriptor behaves under read, write, accept and connect.
enum class descriptor_mode : std::uint8_t
{
    unknown,
    non_blocking,
    blocking, // may wait inside the call although it can be polled
    file,     // always ready, blocks on the device: regular files, directories, block devices
};

/// Asks the kernel; a negated errno goes to `error` when it does not know `fd`.
[[nodiscard]] descriptor_mode mode_of(int fd, std::int32_t& error) noexcept;

/// Switches O_NONBLOCK on; 0 or the negated errno.
[[nodiscard]] std::int32_t make_non_blocking(int fd) noexcept;

/// open_flags of op.hpp as the kernel's O_ flags; O_CLOEXEC and O_NOCTTY are always among them.
[[nodiscard]] int native_open_flags(std::uint32_t flags) noexcept;

/// The directory to which path operations of `operation` are relative, for the *at() calls.
[[nodiscard]] int native_directory(const op& operation) noexcept;

/// The kernel's answer in the portable form.
void fill_file_status(const struct statx& from, file_status& to) noexcept;

} // namespace blitzio::detail
