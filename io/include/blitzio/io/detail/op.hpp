// One operation in flight: what is asked, of which descriptor, and who waits. Lives in the awaiting
// frame; a driver holds a pointer to it from submit() until it completes.
// Thread rule: written by the submitting thread before submit(); afterwards the driver's, until the
// waiter is continued. Only `state` may be touched by others in between.
#pragma once

#include <blitzio/io/detail/buffer_lease.hpp>
#include <blitzio/io/detail/file_types.hpp>
#include <blitzio/io/detail/op_state.hpp>
#include <blitzio/io/detail/runnable.hpp>
#include <blitzio/io/detail/socket_address.hpp>
#include <blitzio/io/detail/waiter.hpp>

#include <cstddef>
#include <cstdint>

namespace blitzio::detail
{

class worker;

/// Every operation a driver knows. Adding one means adding it to each driver (the switches have no
/// default, so the compiler lists what is missing) and to the conformance suite.
enum class op_kind : std::uint8_t
{
    nop,            // completes with 0 at the next turn of the driver
    accept,         // args.peer (may be null) receives the peer; result: descriptor
    connect,        // args.peer is the target; result 0
    recv,           // args.transfer; result: bytes, 0 = end of stream
    recv_leased,    // args.lease; result: bytes, and then *out holds the buffer they are in
    send,           // args.transfer; result: bytes; never raises SIGPIPE
    read,           // args.transfer at the descriptor's position (pipes, terminals)
    write,          // likewise
    read_at,        // args.transfer with offset
    write_at,       // args.transfer with offset
    sync,           // args.sync; flushes a file
    open,           // args.open; result: descriptor, close-on-exec
    close,          // result 0; the descriptor is gone whatever the result says
    stat,           // args.stat by path, or by descriptor when path is empty
    read_directory, // args.directory; result: number of entries in the batch
    rename,         // args.paths; result 0
    unlink,         // args.open.path, args.open.flags = remove_directory or 0; result 0
    make_directory, // args.open.path and mode; result 0
    poll,           // args.poll.events: waits for readiness; result: poll_events that are ready
};

/// Readiness bits of op_kind::poll, independent of the platform's numbers.
namespace poll_events
{
inline constexpr std::uint32_t readable = 1;
inline constexpr std::uint32_t writable = 2;
inline constexpr std::uint32_t error = 4;
inline constexpr std::uint32_t hangup = 8;
} // namespace poll_events

/// Portable flags of op_kind::open.
namespace open_flags
{
inline constexpr std::uint32_t read = 1;
inline constexpr std::uint32_t write = 2;
inline constexpr std::uint32_t create = 4;
inline constexpr std::uint32_t truncate = 8;
inline constexpr std::uint32_t append = 16;
inline constexpr std::uint32_t exclusive = 32;
inline constexpr std::uint32_t directory = 64;
inline constexpr std::uint32_t no_follow = 128;
inline constexpr std::uint32_t non_block = 256;
/// For op_kind::unlink: the path names an empty directory.
inline constexpr std::uint32_t remove_directory = 512;
} // namespace open_flags

struct op : runnable
{
    /// "This descriptor is the current directory" for path operations.
    static constexpr int no_descriptor = -1;

    op_kind kind = op_kind::nop;
    /// Set when a stop token is attached; only then are the atomics of `state` used.
    bool cancellable = false;
    /// Free for the driver that holds the operation.
    std::uint8_t driver_flags = 0;
    /// Hint from the caller, for recv: the last one drained the socket, so polling first is cheaper.
    bool expect_wait = false;
    /// For read_at and write_at: one more than the number of the runtime's pool's slab that the
    /// memory lies in; 0 for memory of the program. Drivers may make use of it or not.
    std::uint16_t pool_slab = 0;
    int fd = no_descriptor;
    /// Kernel style: >= 0 is the result, < 0 the negated errno.
    std::int32_t result = 0;
    basic_op_state<> state;
    waiter on_complete;
    /// The worker that submitted; cancel requests travel to its inbox.
    worker* home = nullptr;
    /// Queued in the home worker's inbox by a cancel request.
    runnable cancel_node;

    union arguments
    {
        struct
        {
            void* data;
            std::size_t length;
            std::uint64_t offset;
        } transfer;
        struct
        {
            /// Means something only after a result above 0; whoever takes that result gives the
            /// buffer back.
            buffer_lease* out;
            /// Bytes at the most; 0: as many as the buffer holds.
            std::size_t length;
        } lease;
        struct
        {
            socket_address* address;
        } peer;
        struct
        {
            bool data_only;
        } sync;
        struct
        {
            const char* path;
            std::uint32_t flags;
            std::uint32_t mode;
        } open;
        struct
        {
            const char* path;
            file_status* out;
            bool follow_links;
        } stat;
        struct
        {
            directory_batch* out;
        } directory;
        struct
        {
            const char* from;
            const char* to;
            bool replace;
        } paths;
        struct
        {
            std::uint32_t events;
        } poll;

        arguments() noexcept : transfer{nullptr, 0, 0} {}
    } args;

    /// Free for the driver that holds the operation (list links, scratch).
    void* driver_data = nullptr;

    op() noexcept = default;

    /// The operation whose cancel_node this is.
    [[nodiscard]] static op& of_cancel_node(runnable& node) noexcept
    {
        // offsetof is conditionally supported for non-standard-layout types; clang and GCC do.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Winvalid-offsetof"
        return *reinterpret_cast<op*>(reinterpret_cast<std::byte*>(&node) -
                                      offsetof(op, cancel_node));
#pragma GCC diagnostic pop
    }
    op& operator=(const op&) = delete;

    /// Only for operations that have not been started: a combinator takes over what is asked for.
    op(op&& other) noexcept
        : kind(other.kind), expect_wait(other.expect_wait), pool_slab(other.pool_slab),
          fd(other.fd), args(other.args)
    {
    }
};

static_assert(sizeof(op) <= 128, "an operation is two cache lines at the most");

} // namespace blitzio::detail
