// What becomes of each operation when the kernel fails it: a table of operation and errno, and the
// outcome that is promised. Failures are injected where the driver calls the kernel; with io_uring
// there is no such place, the kernel repeats by itself.
// Thread rule: the test's thread.
#include "conformance/stage.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cerrno>
#include <cstdint>
#include <string>
#include <string_view>

using namespace blitzio::conformance;
using blitzio::detail::file_type;

namespace
{

enum class promise : std::uint8_t
{
    /// The driver repeats or waits, nobody notices.
    unnoticed,
    /// The caller is told the errno; nothing was taken or changed, so the same again succeeds.
    told,
    /// The caller is told, and what was asked for has happened all the same.
    told_and_done,
};

struct cell
{
    op_kind kind;
    int error;
    promise outcome;
};

constexpr cell cells[] = {
    {op_kind::accept, EINTR, promise::unnoticed},
    {op_kind::accept, EAGAIN, promise::unnoticed},
    {op_kind::accept, ECONNABORTED, promise::unnoticed},
    {op_kind::accept, EMFILE, promise::told},
    {op_kind::accept, ENFILE, promise::told},
    {op_kind::accept, ENOBUFS, promise::told},
    {op_kind::accept, ENOMEM, promise::told},
    {op_kind::accept, EPROTO, promise::told},
    {op_kind::connect, EINTR, promise::unnoticed},
    {op_kind::connect, ECONNREFUSED, promise::told},
    {op_kind::connect, ETIMEDOUT, promise::told},
    {op_kind::connect, ENETUNREACH, promise::told},
    {op_kind::connect, EHOSTUNREACH, promise::told},
    {op_kind::connect, EADDRNOTAVAIL, promise::told},
    {op_kind::connect, EAGAIN, promise::told}, // no free port: nothing to wait for
    {op_kind::recv, EINTR, promise::unnoticed},
    {op_kind::recv, EAGAIN, promise::unnoticed},
    {op_kind::recv, ECONNRESET, promise::told},
    {op_kind::recv, ETIMEDOUT, promise::told},
    {op_kind::recv, ENOBUFS, promise::told},
    {op_kind::recv, ENOMEM, promise::told},
    {op_kind::recv, EIO, promise::told},
    {op_kind::recv_leased, EINTR, promise::unnoticed},
    {op_kind::recv_leased, EAGAIN, promise::unnoticed},
    {op_kind::recv_leased, ECONNRESET, promise::told},
    {op_kind::recv_leased, ETIMEDOUT, promise::told},
    {op_kind::recv_leased, ENOBUFS, promise::told},
    {op_kind::recv_leased, ENOMEM, promise::told},
    {op_kind::send, EINTR, promise::unnoticed},
    {op_kind::send, EAGAIN, promise::unnoticed},
    {op_kind::send, EPIPE, promise::told},
    {op_kind::send, ECONNRESET, promise::told},
    {op_kind::send, ETIMEDOUT, promise::told},
    {op_kind::send, ENOBUFS, promise::told},
    {op_kind::send, ENOMEM, promise::told},
    {op_kind::read, EINTR, promise::unnoticed},
    {op_kind::read, EAGAIN, promise::unnoticed},
    {op_kind::read, EIO, promise::told},
    {op_kind::write, EINTR, promise::unnoticed},
    {op_kind::write, EAGAIN, promise::unnoticed},
    {op_kind::write, EPIPE, promise::told},
    {op_kind::write, EIO, promise::told},
    {op_kind::write, ENOSPC, promise::told},
    {op_kind::read_at, EINTR, promise::unnoticed},
    {op_kind::read_at, EAGAIN, promise::unnoticed}, // not in memory: a thread waits for the disk
    {op_kind::read_at, EIO, promise::told},
    {op_kind::read_at, ENOMEM, promise::told},
    {op_kind::write_at, EINTR, promise::unnoticed},
    {op_kind::write_at, EIO, promise::told},
    {op_kind::write_at, ENOSPC, promise::told},
    {op_kind::write_at, EDQUOT, promise::told},
    {op_kind::write_at, EFBIG, promise::told},
    {op_kind::sync, EINTR, promise::unnoticed},
    {op_kind::sync, EIO, promise::told},
    {op_kind::sync, ENOSPC, promise::told},
    {op_kind::sync, EDQUOT, promise::told},
    {op_kind::open, EINTR, promise::unnoticed},
    {op_kind::open, EMFILE, promise::told},
    {op_kind::open, ENFILE, promise::told},
    {op_kind::open, EACCES, promise::told},
    {op_kind::open, ENOSPC, promise::told},
    {op_kind::open, EIO, promise::told},
    {op_kind::open, ENOMEM, promise::told},
    {op_kind::open, EAGAIN, promise::told}, // a lease conflict: nothing to wait for
    {op_kind::close, EINTR, promise::unnoticed},
    {op_kind::close, EIO, promise::told_and_done},
    {op_kind::close, ENOSPC, promise::told_and_done},
    {op_kind::close, EDQUOT, promise::told_and_done},
    {op_kind::stat, EINTR, promise::unnoticed},
    {op_kind::stat, EIO, promise::told},
    {op_kind::stat, ENOMEM, promise::told},
    {op_kind::stat, EACCES, promise::told},
    {op_kind::read_directory, EINTR, promise::unnoticed},
    {op_kind::read_directory, EIO, promise::told},
    {op_kind::read_directory, ENOMEM, promise::told},
    {op_kind::rename, EINTR, promise::unnoticed},
    {op_kind::rename, EXDEV, promise::told},
    {op_kind::rename, ENOSPC, promise::told},
    {op_kind::rename, EIO, promise::told},
    {op_kind::unlink, EINTR, promise::unnoticed},
    {op_kind::unlink, EBUSY, promise::told},
    {op_kind::unlink, EIO, promise::told},
    {op_kind::make_directory, EINTR, promise::unnoticed},
    {op_kind::make_directory, ENOSPC, promise::told},
    {op_kind::make_directory, EDQUOT, promise::told},
    {op_kind::make_directory, EMLINK, promise::told},
    {op_kind::poll, EINTR, promise::unnoticed},
    {op_kind::poll, ENOMEM, promise::told},
};

constexpr std::int32_t any_descriptor = 0x7fffffff;

/// Makes a request that succeeds when nothing is injected; its result then.
std::int32_t arrange(stage& scene, request& wanted)
{
    switch (wanted.kind)
    {
    case op_kind::nop: return 0;
    case op_kind::accept:
    {
        const int listening = scene.listener();
        request connecting(op_kind::connect);
        stage::peer(connecting, scene.tcp_socket(), &scene.address);
        REQUIRE(scene.w.run(connecting) == 0);
        stage::peer(wanted, listening, nullptr);
        return any_descriptor;
    }
    case op_kind::connect:
        static_cast<void>(scene.listener());
        stage::peer(wanted, scene.tcp_socket(), &scene.address);
        return 0;
    // The accepted side: the driver knows nothing of it yet, so an edge is still to come.
    case op_kind::recv:
    case op_kind::recv_leased:
    {
        const auto both = scene.tcp();
        scene.send(both.near, "b");
        if (wanted.kind == op_kind::recv)
        {
            stage::transfer(wanted, both.far, scene.buffer.data(), 1);
        }
        else
        {
            stage::leased(wanted, both.far, &scene.lease);
        }
        return 1;
    }
    case op_kind::send: stage::transfer(wanted, scene.tcp().far, scene.buffer.data(), 1); return 1;
    case op_kind::read:
    {
        const auto both = scene.pipe();
        scene.write(both.far, "b");
        stage::transfer(wanted, both.near, scene.buffer.data(), 1);
        return 1;
    }
    case op_kind::write:
        stage::transfer(wanted, scene.pipe().far, scene.buffer.data(), 1);
        return 1;
    case op_kind::read_at:
        scene.file("f", "abc");
        stage::transfer(wanted, scene.open("f"), scene.buffer.data(), 1, 1);
        return 1;
    case op_kind::write_at:
        scene.file("f", "abc");
        stage::transfer(wanted, scene.open("f", open_flags::write), scene.buffer.data(), 1, 1);
        return 1;
    case op_kind::sync:
        scene.file("f", "abc");
        wanted.fd = scene.open("f", open_flags::write);
        wanted.args.sync = {false};
        return 0;
    case op_kind::open:
        stage::on_path(wanted, scene.file("f", "abc"), open_flags::read);
        return any_descriptor;
    case op_kind::close:
        scene.file("f", "abc");
        wanted.fd = scene.open("f");
        scene.disown(wanted.fd);
        return 0;
    case op_kind::stat: stage::stat(wanted, scene.file("f", "abc"), &scene.status); return 0;
    case op_kind::read_directory:
        scene.directory("d");
        scene.file("d/f", "abc");
        wanted.fd = scene.open("d");
        wanted.args.directory = {&scene.batch};
        return 1;
    case op_kind::rename: stage::paths(wanted, scene.file("f", "abc"), scene.c_path("g")); return 0;
    case op_kind::unlink: stage::on_path(wanted, scene.file("f", "abc")); return 0;
    case op_kind::make_directory: stage::on_path(wanted, scene.c_path("d")); return 0;
    case op_kind::poll:
        stage::wait_for_events(wanted, scene.pipe().far, poll_events::writable);
        return static_cast<std::int32_t>(poll_events::writable);
    }
    return -ENOSYS;
}

void check_success(stage& scene, const request& done, std::int32_t expected)
{
    if (expected == any_descriptor)
    {
        REQUIRE(done.result >= 0);
        static_cast<void>(scene.own(done.result));
    }
    else
    {
        REQUIRE(done.result == expected);
    }
    if (done.kind == op_kind::recv_leased)
    {
        CHECK(stage::take(scene.lease, done.result) == "b");
    }
    if (done.kind == op_kind::recv || done.kind == op_kind::read || done.kind == op_kind::read_at)
    {
        CHECK(scene.buffer[0] == 'b');
    }
}

void check_cell(world& where, const cell& each, unsigned times)
{
    INFO("operation " << static_cast<int>(each.kind) << ", errno " << each.error << ", " << times
                      << " times");
    stage scene(where);
    request wanted(each.kind);
    const std::int32_t expected = arrange(scene, wanted);
    where.settle();
    REQUIRE(where.inject_failure(each.kind, each.error, times));
    const std::int32_t result = where.run(wanted);
    where.inject_failure(each.kind, 0, 0);
    if (each.outcome == promise::unnoticed)
    {
        check_success(scene, wanted, expected);
        return;
    }
    CHECK(result == -each.error);
    if (each.outcome == promise::told_and_done)
    {
        CHECK(where.os().close(wanted.fd) == -EBADF);
        return;
    }
    // Nothing was used up by the failure.
    request again(each.kind);
    again.fd = wanted.fd;
    again.args = wanted.args;
    static_cast<void>(where.run(again));
    check_success(scene, again, expected);
}

} // namespace

TEST_CASE("each operation keeps its promise when the kernel fails it", "[conformance][errno]")
{
    on_every_driver(
        [](world& where) {
            if (!where.inject_failure(op_kind::nop, 0, 0))
            {
                return; // io_uring: the kernel carries the operation out by itself
            }
            for (const cell& each : cells)
            {
                check_cell(where, each, 1);
                if (each.outcome == promise::unnoticed && each.error != EAGAIN)
                {
                    check_cell(where, each, 3);
                }
            }
        },
        {.seeds = 8, .each_feature_missing = false});
}
