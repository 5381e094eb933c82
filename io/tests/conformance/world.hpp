// What the conformance suite runs on: every driver behind one face. A body is written once and runs
// on epoll, on simulated worlds of many seeds, and on io_uring.
// Thread rule: the test's thread, unless said otherwise.
#pragma once

#include "driver/driver.hpp"
#include "driver/uring/uring_features.hpp"

#include <blitzio/io/buffer_pool.hpp>
#include <blitzio/io/detail/op.hpp>
#include <blitzio/io/detail/system.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace blitzio::conformance
{

using detail::op_kind;
using detail::ready_list;
using detail::socket_address;
namespace open_flags = detail::open_flags;
namespace poll_events = detail::poll_events;
using namespace std::chrono_literals;

/// Long enough for a loaded machine; reached only when something is lost.
inline constexpr std::chrono::nanoseconds patience = 20s;

/// An operation as a test sees it.
struct request : detail::op
{
    explicit request(op_kind what, int descriptor = op::no_descriptor)
    {
        kind = what;
        fd = descriptor;
    }

    unsigned worker = 0;
    bool started = false;
    bool done = false;
    unsigned times_continued = 0;
};

struct world_options
{
    unsigned workers = 1;
    /// Simulated worlds; half of them with faults.
    std::uint64_t seeds = 24;
    /// Submission entries of a ring; 0 leaves the choice to the backend.
    unsigned ring_entries = 0;
    /// Threads of the file pool of the kernel drivers.
    unsigned file_threads = 4;
    /// Of each worker, for leased reads; 0 leaves the choice to the driver.
    std::size_t read_buffer_bytes = 0;
    unsigned read_buffers = 0;
    /// Of the pool that they fall back to.
    std::size_t pool_bytes = std::size_t{64} << 20;
    /// detail::uring_features that a ring has to do without.
    std::uint32_t uring_without = 0;
    /// The kernel drivers include rings that lack one feature each.
    bool each_feature_missing = true;
    detail::uring_test_seam* seam = nullptr;
};

/// Descriptors run out for as long as it lives.
class [[nodiscard]] exhaustion
{
public:
    /// No virtual functions: sanitizers need a descriptor of their own to look at such objects.
    explicit exhaustion(std::function<void()> restore) : restore_(std::move(restore)) {}
    exhaustion(const exhaustion&) = delete;
    exhaustion& operator=(const exhaustion&) = delete;
    ~exhaustion()
    {
        restore_();
    }

private:
    std::function<void()> restore_;
};

class world
{
public:
    virtual ~world() = default;
    world() = default;
    world(const world&) = delete;
    world& operator=(const world&) = delete;

    [[nodiscard]] virtual std::string name() const = 0;
    [[nodiscard]] virtual bool is_simulated() const noexcept = 0;
    [[nodiscard]] virtual detail::system& os() noexcept = 0;
    [[nodiscard]] detail::driver& io(unsigned worker = 0)
    {
        return *drivers_.at(worker);
    }

    // --- operations, with the protocol that start_op() and worker::cancel_op() follow
    /// True: it completed on the spot.
    bool start(request& wanted, unsigned worker = 0);
    /// What a stop callback and the home worker do together.
    void cancel(request& wanted);
    /// The worker's half: only after request_cancel() has returned true.
    void deliver_cancel(request& wanted);
    /// Lets things happen until `wanted` is over; its result. Fails the test when it never is.
    std::int32_t finish(request& wanted);
    std::int32_t run(request& wanted, unsigned worker = 0);
    std::int32_t run(request&& wanted)
    {
        return run(wanted);
    }
    /// Everything that happens without a further event from outside within half a virtual second
    /// has happened (simulated), or had several chances to (kernel). Nothing times out that early.
    virtual void settle() = 0;
    void take(ready_list& ready);

    // --- surroundings
    [[nodiscard]] virtual std::string path(std::string_view name) const = 0;
    virtual void put_directory(const std::string& name) = 0;
    virtual void put_file(const std::string& name, std::string_view contents) = 0;
    virtual void put_symlink(const std::string& name, const std::string& target) = 0;
    [[nodiscard]] virtual std::optional<std::string> contents(const std::string& name) = 0;
    virtual void put_fifo(const std::string& name) = 0;
    virtual int make_pipe(int (&fds)[2]) = 0;
    /// The next calls for an operation of this kind fail in the kernel's place; false: no way here.
    virtual bool inject_failure(op_kind kind, int error, unsigned times) = 0;
    /// Makes the pool, too.
    [[nodiscard]] detail::read_buffer_options read_buffers(const world_options& options);
    [[nodiscard]] blitzio::buffer_pool& buffers() noexcept
    {
        return *buffers_;
    }
    /// What the backend has told of abilities that were refused.
    [[nodiscard]] virtual std::string notes() = 0;
    [[nodiscard]] virtual std::size_t open_descriptors() = 0;
    [[nodiscard]] virtual exhaustion exhaust_descriptors() = 0;
    /// Rules of the driver interface that the test has broken, as far as the world can tell.
    [[nodiscard]] virtual std::vector<std::string> violations() const
    {
        return {};
    }

    [[nodiscard]] std::size_t workers() const noexcept
    {
        return drivers_.size();
    }
    [[nodiscard]] std::uint64_t in_flight() const noexcept;

protected:
    /// One step; false: nothing will ever happen by itself again.
    virtual bool pump(std::chrono::nanoseconds limit) = 0;

    std::unique_ptr<blitzio::buffer_pool> buffers_;
    // A deriving class owns what its drivers stand on and clears this before that goes.
    std::vector<std::unique_ptr<detail::driver>> drivers_;
};

[[nodiscard]] std::unique_ptr<world> make_epoll_world(const world_options& options);
[[nodiscard]] std::unique_ptr<world> make_sim_world(const world_options& options,
                                                    std::uint64_t seed);
/// Null and a reason when io_uring is not there or not allowed.
[[nodiscard]] std::unique_ptr<world> make_uring_world(const world_options& options,
                                                      std::string& reason);

namespace detail_of_runs
{
void before(world& where);
void after(world& where, std::size_t descriptors_before);
/// Names the world in failures.
class world_note
{
public:
    explicit world_note(const world& where);
    ~world_note();
    world_note(const world_note&) = delete;
    world_note& operator=(const world_note&) = delete;

private:
    struct content;
    std::unique_ptr<content> content_;
};
} // namespace detail_of_runs

template <class Body>
void run_in(world& where, Body& body)
{
    const detail_of_runs::world_note note(where);
    detail_of_runs::before(where);
    const std::size_t descriptors = where.open_descriptors();
    body(where);
    detail_of_runs::after(where, descriptors);
}

/// Calls `body(world&)` on the drivers that talk to a kernel; on io_uring only when the kernel has
/// and allows it, which a test of its own reports.
template <class Body>
void on_kernel_drivers(Body body, const world_options& options = {})
{
    {
        const auto epoll = make_epoll_world(options);
        run_in(*epoll, body);
    }
    world_options variant = options;
    std::string reason;
    for (std::uint32_t feature = 0; feature <= detail::uring_features::all;
         feature = feature == 0 ? 1 : feature << 1)
    {
        variant.uring_without = options.uring_without | feature;
        if (feature != 0 && !options.each_feature_missing)
        {
            break;
        }
        if (const auto ring = make_uring_world(variant, reason))
        {
            run_in(*ring, body);
        }
    }
}

/// The same, on simulated worlds as well. At the end no operation may be in flight, and as many
/// descriptors be open as before.
template <class Body>
void on_every_driver(Body body, const world_options& options = {})
{
    for (std::uint64_t seed = 1; seed <= options.seeds; ++seed)
    {
        const auto simulated = make_sim_world(options, seed);
        run_in(*simulated, body);
    }
    on_kernel_drivers(body, options);
}

} // namespace blitzio::conformance
