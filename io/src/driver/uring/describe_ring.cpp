// Asking the kernel about io_uring. Thread rule: see the header.
#include "driver/uring/describe_ring.hpp"

#include "driver/uring/prepare.hpp"

#include <blitzio/io/detail/op.hpp>

#include <liburing.h>

#include <array>
#include <system_error>

namespace blitzio::detail
{

namespace
{

struct named_bit
{
    const char* name;
    unsigned bit;
};

/// By number, so that the list does not depend on the headers that are installed.
constexpr std::array<named_bit, 16> features{{
    {"single_mmap", 1u << 0},
    {"nodrop", 1u << 1},
    {"submit_stable", 1u << 2},
    {"rw_cur_pos", 1u << 3},
    {"cur_personality", 1u << 4},
    {"fast_poll", 1u << 5},
    {"poll_32bits", 1u << 6},
    {"sqpoll_nonfixed", 1u << 7},
    {"ext_arg", 1u << 8},
    {"native_workers", 1u << 9},
    {"rsrc_tags", 1u << 10},
    {"cqe_skip", 1u << 11},
    {"linked_file", 1u << 12},
    {"reg_reg_ring", 1u << 13},
    {"recvsend_bundle", 1u << 14},
    {"min_timeout", 1u << 15},
}};

/// The codes of the kernel's interface, in its order from 0 on.
constexpr std::array<const char*, 63> opcodes{
    "nop",
    "readv",
    "writev",
    "fsync",
    "read_fixed",
    "write_fixed",
    "poll_add",
    "poll_remove",
    "sync_file_range",
    "sendmsg",
    "recvmsg",
    "timeout",
    "timeout_remove",
    "accept",
    "async_cancel",
    "link_timeout",
    "connect",
    "fallocate",
    "openat",
    "close",
    "files_update",
    "statx",
    "read",
    "write",
    "fadvise",
    "madvise",
    "send",
    "recv",
    "openat2",
    "epoll_ctl",
    "splice",
    "provide_buffers",
    "remove_buffers",
    "tee",
    "shutdown",
    "renameat",
    "unlinkat",
    "mkdirat",
    "symlinkat",
    "linkat",
    "msg_ring",
    "fsetxattr",
    "setxattr",
    "fgetxattr",
    "getxattr",
    "socket",
    "uring_cmd",
    "send_zc",
    "sendmsg_zc",
    "read_multishot",
    "waitid",
    "futex_wait",
    "futex_wake",
    "futex_waitv",
    "fixed_fd_install",
    "ftruncate",
    "bind",
    "listen",
    "recv_zc",
    "epoll_wait",
    "readv_fixed",
    "writev_fixed",
    "pipe",
};

/// The ways to set up a ring that matter to the driver, each tried alone with what it needs.
constexpr std::array<named_bit, 6> setups{{
    {"submit_all", IORING_SETUP_SUBMIT_ALL},
    {"coop_taskrun", IORING_SETUP_COOP_TASKRUN},
    {"taskrun_flag", IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG},
    {"single_issuer", IORING_SETUP_SINGLE_ISSUER},
    {"defer_taskrun", IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN},
    {"registered files", 0},
}};

constexpr unsigned entries = 4;

std::string list(std::string_view title, const std::string& names)
{
    return names.empty() ? std::string() : "  " + std::string(title) + ":" + names + '\n';
}

std::string describe_setups()
{
    std::string granted;
    std::string refused;
    for (const auto& each : setups)
    {
        io_uring ring{};
        int error = io_uring_queue_init(entries, &ring, each.bit);
        if (error >= 0)
        {
            if (each.bit == 0)
            {
                error = io_uring_register_files_sparse(&ring, entries);
            }
            io_uring_queue_exit(&ring);
        }
        (error >= 0 ? granted : refused) += std::string(" ") + each.name;
    }
    return list("setup flags granted", granted) + list("setup flags refused", refused);
}

std::string describe_opcodes(io_uring& ring)
{
    io_uring_probe* const probe = io_uring_get_probe_ring(&ring);
    if (probe == nullptr)
    {
        return "  operation codes: the kernel cannot be asked\n";
    }
    std::string known;
    std::string missing;
    for (std::size_t code = 0; code < opcodes.size(); ++code)
    {
        const bool there = io_uring_opcode_supported(probe, static_cast<int>(code)) != 0;
        (there ? known : missing) += std::string(" ") + opcodes[code];
    }
    const int last = probe->last_op;
    std::string needed;
    for (auto kind = 0; kind <= static_cast<int>(op_kind::poll); ++kind)
    {
        const int code = uring::opcode_of(static_cast<op_kind>(kind));
        if (code >= 0 && io_uring_opcode_supported(probe, code) == 0)
        {
            needed += ' ' + std::to_string(code);
        }
    }
    io_uring_free_probe(probe);
    return "  last operation code: " + std::to_string(last) + '\n' +
           list("operation codes known", known) + list("operation codes missing", missing) +
           list("missing, and needed by the driver", needed);
}

} // namespace

std::string describe_ring()
{
    io_uring ring{};
    if (const int error = io_uring_queue_init(entries, &ring, 0); error < 0)
    {
        return "io_uring: cannot be used: " +
               std::error_code(-error, std::system_category()).message() + '\n';
    }
    std::string names;
    for (const auto& each : features)
    {
        if ((ring.features & each.bit) != 0)
        {
            names += std::string(" ") + each.name;
        }
    }
    std::string text = "io_uring: can be used\n" + list("features", names);
    text += describe_opcodes(ring);
    io_uring_queue_exit(&ring);
    return text + describe_setups();
}

} // namespace blitzio::detail
