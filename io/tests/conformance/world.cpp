// The worlds of the conformance suite. Thread rule: the test's thread.
#include "conformance/world.hpp"

#include "blocking_pool.hpp"
#include "driver/backend.hpp"
#include "driver/posix_ops.hpp"
#include "driver/sim/file_tree.hpp"
#include "driver/sim/sim_backend.hpp"
#include "driver/sim/sim_driver.hpp"
#include "unit/test_directory.hpp"

#include <catch2/catch_message.hpp>
#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <bit>
#include <fstream>
#include <iterator>

#include <csignal>
#include <ctime>

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace blitzio::conformance
{

namespace
{

/// As on a worker's thread: a write to a pipe without reader is an error and no signal.
class without_pipe_signal
{
public:
    without_pipe_signal()
    {
        sigemptyset(&pipe_signal_);
        sigaddset(&pipe_signal_, SIGPIPE);
        pthread_sigmask(SIG_BLOCK, &pipe_signal_, &before_);
    }

    ~without_pipe_signal()
    {
        const timespec at_once{};
        while (sigtimedwait(&pipe_signal_, nullptr, &at_once) > 0)
        {
        }
        pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }

    without_pipe_signal(const without_pipe_signal&) = delete;
    without_pipe_signal& operator=(const without_pipe_signal&) = delete;

private:
    sigset_t pipe_signal_;
    sigset_t before_;
};

exhaustion exhaust_kernel_descriptors()
{
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    // The lowest free number: with the limit there, not one more can be had.
    const int lowest = ::dup(0);
    REQUIRE(lowest >= 0);
    ::close(lowest);
    rlimit tight = before;
    tight.rlim_cur = static_cast<rlim_t>(lowest);
    REQUIRE(setrlimit(RLIMIT_NOFILE, &tight) == 0);
    return exhaustion([before] { setrlimit(RLIMIT_NOFILE, &before); });
}

exhaustion exhaust_simulated_descriptors(detail::system& os)
{
    std::vector<int> taken;
    for (;;)
    {
        const int fd = os.open_socket(detail::socket_family::ipv4, detail::socket_type::stream);
        if (fd < 0)
        {
            break;
        }
        taken.push_back(fd);
    }
    return exhaustion([&os, all = std::move(taken)] {
        for (const int fd : all)
        {
            static_cast<void>(os.close(fd));
        }
    });
}

/// The failures that calls of posix_ops get in the place of the kernel's answers.
struct planned_failure
{
    std::atomic<int> error{0};
    std::atomic<int> times{0};
};

planned_failure the_plan;

int next_failure() noexcept
{
    return the_plan.times.load() > 0 && the_plan.times.fetch_sub(1) > 0 ? the_plan.error.load() : 0;
}

class kernel_world final : public world
{
public:
    explicit kernel_world(const world_options& options)
        : pool_({.threads_max = options.file_threads})
    {
    }

    ~kernel_world() override
    {
        detail::set_fault_hook(nullptr);
        drivers_.clear();
    }

    void use(std::unique_ptr<detail::backend> chosen, unsigned workers)
    {
        backend_ = std::move(chosen);
        for (unsigned index = 0; index < workers; ++index)
        {
            auto made = backend_->create_driver(index);
            REQUIRE(made.has_value());
            drivers_.push_back(std::move(*made));
            drivers_.back()->start();
        }
    }

    [[nodiscard]] detail::blocking_pool& pool() noexcept
    {
        return pool_;
    }

    [[nodiscard]] std::string name() const override
    {
        std::string text(backend_->name());
        if (seam_.without != 0)
        {
            text += " without feature " + std::to_string(std::countr_zero(seam_.without));
        }
        return text;
    }
    [[nodiscard]] std::string notes() override
    {
        return backend_->notes().text();
    }
    bool inject_failure(op_kind, int error, unsigned times) override
    {
        if (backend_->name() != "epoll")
        {
            return false;
        }
        the_plan.error = error;
        the_plan.times = static_cast<int>(times);
        detail::set_fault_hook(&next_failure);
        return true;
    }
    void put_fifo(const std::string& name) override
    {
        REQUIRE(::mkfifo(path(name).c_str(), 0600) == 0);
    }
    /// What stands between the ring and its kernel.
    [[nodiscard]] detail::uring_test_seam& seam() noexcept
    {
        return seam_;
    }
    [[nodiscard]] bool is_simulated() const noexcept override
    {
        return false;
    }
    [[nodiscard]] detail::system& os() noexcept override
    {
        return backend_->operating_system();
    }

    void settle() override
    {
        for (int round = 0; round < 3; ++round)
        {
            for (auto& each : drivers_)
            {
                ready_list ready;
                each->poll(ready);
                take(ready);
            }
        }
    }

    [[nodiscard]] std::string path(std::string_view name) const override
    {
        return directory_.path(name);
    }
    void put_directory(const std::string& name) override
    {
        std::filesystem::create_directories(path(name));
    }
    void put_file(const std::string& name, std::string_view contents) override
    {
        directory_.file(name, contents);
    }
    void put_symlink(const std::string& name, const std::string& target) override
    {
        std::filesystem::create_symlink(target, path(name));
    }
    [[nodiscard]] std::optional<std::string> contents(const std::string& name) override
    {
        std::ifstream in(path(name), std::ios::binary);
        if (!in)
        {
            return std::nullopt;
        }
        return std::string(std::istreambuf_iterator<char>(in), {});
    }
    int make_pipe(int (&fds)[2]) override
    {
        return ::pipe2(fds, O_CLOEXEC | O_NONBLOCK) == 0 ? 0 : -errno;
    }
    [[nodiscard]] std::size_t open_descriptors() override
    {
        const std::filesystem::directory_iterator listing("/proc/self/fd");
        return static_cast<std::size_t>(std::distance(begin(listing), end(listing)));
    }
    [[nodiscard]] exhaustion exhaust_descriptors() override
    {
        return exhaust_kernel_descriptors();
    }

protected:
    bool pump(std::chrono::nanoseconds limit) override
    {
        ready_list ready;
        if (drivers_.size() == 1)
        {
            // All of the rest of the patience: a lost wake-up must not hide as a short delay.
            drivers_[0]->wait(ready, limit);
            take(ready);
            return true;
        }
        for (auto& each : drivers_)
        {
            each->poll(ready);
        }
        if (ready.empty())
        {
            drivers_[turn_++ % drivers_.size()]->wait(ready, 1ms);
        }
        take(ready);
        return true;
    }

private:
    without_pipe_signal signals_;
    detail::testing::test_directory directory_;
    detail::blocking_pool pool_;
    detail::uring_test_seam seam_;
    std::unique_ptr<detail::backend> backend_;
    std::size_t turn_ = 0;
};

class sim_conformance_world final : public world
{
public:
    sim_conformance_world(const world_options& options, std::uint64_t seed)
        : seed_(seed), backend_(detail::make_sim_backend(
                           {.worker_count = options.workers, .read_buffers = read_buffers(options)},
                           {.seed = seed,
                            .faults = seed % 2 == 0,
                            .descriptor_limit = 1024,
                            .check_permissions = ::geteuid() != 0}))
    {
        simulation().set_violation_handler(
            [this](std::string_view message) { violations_.emplace_back(message); });
        simulation().files().add_directory(base);
        for (unsigned index = 0; index < options.workers; ++index)
        {
            auto made = backend_->create_driver(index);
            REQUIRE(made.has_value());
            drivers_.push_back(std::move(*made));
            drivers_.back()->start();
        }
    }

    ~sim_conformance_world() override
    {
        drivers_.clear();
    }

    [[nodiscard]] std::string name() const override
    {
        return "sim, seed " + std::to_string(seed_) + (seed_ % 2 == 0 ? ", with faults" : "");
    }
    [[nodiscard]] bool is_simulated() const noexcept override
    {
        return true;
    }
    [[nodiscard]] detail::system& os() noexcept override
    {
        return backend_->operating_system();
    }

    void settle() override
    {
        const auto end = simulation().now() + 500ms;
        std::uint64_t steps = 0;
        while (any_ready() || simulation().next_event().value_or(end) < end)
        {
            pump(patience);
            REQUIRE(++steps < 10'000'000);
        }
    }

    [[nodiscard]] std::string path(std::string_view name) const override
    {
        return name.empty() ? base : base + '/' + std::string(name);
    }
    void put_directory(const std::string& name) override
    {
        simulation().files().add_directory(path(name));
    }
    void put_file(const std::string& name, std::string_view contents) override
    {
        simulation().files().add_file(path(name), contents);
    }
    void put_symlink(const std::string& name, const std::string& target) override
    {
        simulation().files().add_symlink(path(name), target);
    }
    [[nodiscard]] std::optional<std::string> contents(const std::string& name) override
    {
        return simulation().files().contents(path(name));
    }
    void put_fifo(const std::string& name) override
    {
        simulation().files().add_special(path(name), detail::file_type::fifo);
    }
    bool inject_failure(op_kind kind, int error, unsigned times) override
    {
        simulation().inject_failure(kind, error, times);
        return true;
    }
    [[nodiscard]] std::string notes() override
    {
        return backend_->notes().text();
    }
    int make_pipe(int (&fds)[2]) override
    {
        return simulation().make_pipe(fds);
    }
    [[nodiscard]] std::size_t open_descriptors() override
    {
        return simulation().open_descriptors();
    }
    [[nodiscard]] exhaustion exhaust_descriptors() override
    {
        return exhaust_simulated_descriptors(os());
    }
    [[nodiscard]] std::vector<std::string> violations() const override
    {
        return violations_;
    }

protected:
    bool pump(std::chrono::nanoseconds) override
    {
        bool had_ready = false;
        for (unsigned index = 0; index < drivers_.size(); ++index)
        {
            if (simulation().driver_has_ready(index))
            {
                had_ready = true;
                ready_list ready;
                drivers_[index]->wait(ready, std::nullopt);
                take(ready);
            }
        }
        if (had_ready)
        {
            return true;
        }
        const auto next = simulation().next_event();
        if (next)
        {
            simulation().advance_to(*next);
        }
        return next.has_value();
    }

private:
    inline static const std::string base = "/conformance";

    [[nodiscard]] bool any_ready() const
    {
        for (unsigned index = 0; index < drivers_.size(); ++index)
        {
            if (simulation().driver_has_ready(index))
            {
                return true;
            }
        }
        return false;
    }

    [[nodiscard]] detail::sim_world& simulation() const noexcept
    {
        return backend_->world();
    }

    std::uint64_t seed_;
    std::unique_ptr<detail::sim_backend> backend_;
    std::vector<std::string> violations_;
};

} // namespace

bool world::start(request& wanted, unsigned worker)
{
    wanted.worker = worker;
    wanted.started = true;
    wanted.done = false;
    wanted.times_continued = 0;
    if (wanted.cancellable)
    {
        wanted.state.reset();
        REQUIRE(wanted.state.begin());
    }
    if (!io(worker).submit(wanted))
    {
        return false;
    }
    REQUIRE((!wanted.cancellable || wanted.state.complete()));
    wanted.done = true;
    ++wanted.times_continued;
    return true;
}

void world::cancel(request& wanted)
{
    REQUIRE_FALSE(wanted.state.is_cancel_requested()); // at most once, says the protocol
    if (wanted.state.request_cancel())
    {
        deliver_cancel(wanted);
    }
}

void world::deliver_cancel(request& wanted)
{
    ready_list ready;
    if (wanted.state.is_terminal())
    {
        if (wanted.state.cancel_finished())
        {
            ready.push(wanted);
        }
    }
    else
    {
        io(wanted.worker).cancel(wanted, ready);
    }
    take(ready);
}

std::int32_t world::finish(request& wanted)
{
    REQUIRE(wanted.started);
    const auto deadline = std::chrono::steady_clock::now() + patience;
    while (!wanted.done)
    {
        const auto left = deadline - std::chrono::steady_clock::now();
        if (left <= 0ns || !pump(left))
        {
            FAIL("an operation of kind " << static_cast<int>(wanted.kind) << " on descriptor "
                                         << wanted.fd << " never completes");
        }
    }
    CHECK(wanted.times_continued == 1);
    return wanted.result;
}

std::int32_t world::run(request& wanted, unsigned worker)
{
    start(wanted, worker);
    return finish(wanted);
}

void world::take(ready_list& ready)
{
    while (detail::runnable* const item = ready.pop())
    {
        auto& ended = static_cast<request&>(static_cast<detail::op&>(*item));
        ended.done = true;
        ++ended.times_continued;
    }
}

detail::read_buffer_options world::read_buffers(const world_options& options)
{
    buffers_ = std::make_unique<blitzio::buffer_pool>(
        blitzio::buffer_pool_options{.bytes_max = options.pool_bytes});
    return {.bytes = options.read_buffer_bytes,
            .count_max = options.read_buffers,
            .pool = &buffers_->core()};
}

std::uint64_t world::in_flight() const noexcept
{
    std::uint64_t total = 0;
    for (const auto& each : drivers_)
    {
        total += each->in_flight();
    }
    return total;
}

std::unique_ptr<world> make_epoll_world(const world_options& options)
{
    auto made = std::make_unique<kernel_world>(options);
    auto backend = detail::make_epoll_backend({.worker_count = options.workers,
                                               .file_pool = &made->pool(),
                                               .read_buffers = made->read_buffers(options)});
    REQUIRE(backend.has_value());
    made->use(std::move(*backend), options.workers);
    return made;
}

std::unique_ptr<world> make_sim_world(const world_options& options, std::uint64_t seed)
{
    return std::make_unique<sim_conformance_world>(options, seed);
}

std::unique_ptr<world> make_uring_world([[maybe_unused]] const world_options& options,
                                        std::string& reason)
{
#if BLITZIO_WITH_IO_URING
    auto made = std::make_unique<kernel_world>(options);
    if (options.seam != nullptr)
    {
        made->seam() = *options.seam;
    }
    made->seam().without |= options.uring_without;
    auto backend = detail::make_uring_backend({.worker_count = options.workers,
                                               .ring_entries = options.ring_entries,
                                               .file_pool = &made->pool(),
                                               .read_buffers = made->read_buffers(options),
                                               .uring_seam = &made->seam()});
    if (backend)
    {
        made->use(std::move(*backend), options.workers);
        return made;
    }
    reason = backend.error().message();
#else
    reason = "built without it";
#endif
    return nullptr;
}

namespace detail_of_runs
{

struct world_note::content
{
    Catch::ScopedMessage message;
};

world_note::world_note(const world& where)
    : content_(new content{Catch::ScopedMessage(
          Catch::MessageBuilder("INFO", CATCH_INTERNAL_LINEINFO, Catch::ResultWas::Info)
          << where.name())})
{
}

world_note::~world_note() = default;

void before(world& where)
{
    // What drivers set up with their first operation is no leak of the body's.
    request nothing(op_kind::nop);
    REQUIRE(where.run(nothing) == 0);
    where.settle();
}

void after(world& where, std::size_t descriptors_before)
{
    where.settle();
    CHECK(where.in_flight() == 0);
    CHECK(where.open_descriptors() == descriptors_before);
    CHECK(where.violations() == std::vector<std::string>{});
}

} // namespace detail_of_runs

} // namespace blitzio::conformance
