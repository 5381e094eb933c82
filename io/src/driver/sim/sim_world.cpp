// Time, faults and bookkeeping of a simulated world.
// Thread rule: the simulation's thread only.
#include "driver/sim/sim_world.hpp"

#include "driver/sim/file_tree.hpp"
#include "driver/sim/network.hpp"
#include "driver/sim/sim_driver.hpp"
#include "driver/sim/sim_system.hpp"
#include "driver/sim/stream_socket.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

namespace blitzio::detail
{

sim_world::sim_world(const sim_options& options)
    : options_(options), clock_(options.start_time), random_(options.seed),
      descriptors_(options.first_descriptor, options.descriptor_limit)
{
    // Each fault is there in three of four seeds, so that most runs combine several and some are
    // without each of them.
    const auto choose = [this] { return random_.below(4) != 0; };
    chosen_faults_ = {.short_transfers = choose(),
                      .uneven_delays = choose(),
                      .reordered_batches = choose(),
                      .partial_batches = choose(),
                      .inline_completions = choose(),
                      .late_cancels = choose(),
                      .buffer_shortages = choose()};
    set_faults(options.faults);
    files_ = std::make_unique<sim::file_tree>(*this);
    network_ = std::make_unique<sim::network>(*this);
    system_ = std::make_unique<sim::sim_system>(*this);
}

sim_world::~sim_world()
{
    // Sockets tell their peers that they go, which needs all parts of the world.
    descriptors_.clear();
    events_.clear();
}

void sim_world::set_faults(bool enabled)
{
    faults_ = enabled ? chosen_faults_ : fault_set{};
}

system& sim_world::operating_system() noexcept
{
    return *system_;
}

std::size_t sim_world::open_descriptors() const noexcept
{
    return descriptors_.open_count();
}

std::optional<std::chrono::nanoseconds> sim_world::next_event() const
{
    for (const sim_driver* const driver : drivers_)
    {
        if (driver != nullptr && driver->has_completions())
        {
            return now();
        }
    }
    const auto next = events_.next_time();
    return next.has_value() ? std::optional(std::max(*next, now())) : std::nullopt;
}

void sim_world::advance_to(std::chrono::nanoseconds time)
{
    const auto target = std::max(time, now());
    for (auto next = events_.next_time(); next.has_value() && *next <= target;
         next = events_.next_time())
    {
        clock_.set(std::max(*next, now()));
        events_.take_next()();
    }
    clock_.set(target);
}

bool sim_world::driver_has_ready(unsigned worker_index) const
{
    const sim_driver* const driver =
        worker_index < drivers_.size() ? drivers_[worker_index] : nullptr;
    return driver != nullptr && (driver->has_work() || driver->is_woken());
}

void sim_world::add_job(runnable& job, std::chrono::nanoseconds at)
{
    const std::uint64_t id = ++job_sequence_;
    jobs_.push_back({id, &job});
    schedule_at(at, [this, id] { run_job(id); });
}

bool sim_world::remove_job(runnable& job)
{
    return std::erase_if(jobs_, [&](const job_entry& entry) { return entry.job == &job; }) != 0;
}

void sim_world::run_job(std::uint64_t id)
{
    const auto found = std::find_if(jobs_.begin(), jobs_.end(),
                                    [id](const job_entry& entry) { return entry.id == id; });
    if (found == jobs_.end())
    {
        return;
    }
    runnable* const job = found->job;
    jobs_.erase(found);
    ++statistics_.jobs_run;
    job->run(job); // may add jobs, and may be gone afterwards
}

void sim_world::schedule(std::chrono::nanoseconds delay, sim::event_queue::action what)
{
    schedule_at(now() + delay, std::move(what));
}

void sim_world::schedule_at(std::chrono::nanoseconds at, sim::event_queue::action what)
{
    events_.add(at, random_.next(), std::move(what));
}

std::chrono::nanoseconds sim_world::draw_delay()
{
    const auto most =
        static_cast<std::uint64_t>(std::max<std::int64_t>(options_.delay_max.count(), 0));
    std::uint64_t range = most / 16;
    if (faults_.uneven_delays)
    {
        range = random_.below(4) == 0 ? most : range;
    }
    const bool is_at_once = random_.below(4) == 0;
    const std::uint64_t delay = random_.below(range + 1);
    return std::chrono::nanoseconds(is_at_once ? 0 : delay);
}

bool sim_world::draw_fault(bool chosen, std::uint64_t odds)
{
    return chosen && random_.below(odds) == 0;
}

std::size_t sim_world::draw_transfer(std::size_t length)
{
    if (length < 2 || !draw_fault(faults_.short_transfers, 3))
    {
        return length;
    }
    ++statistics_.short_transfers;
    return 1 + random_.below(length - 1);
}

void sim_world::inject_failure(op_kind kind, int error, unsigned times)
{
    failure_ = {kind, error, times};
}

int sim_world::take_failure(op_kind kind) noexcept
{
    if (!has_failure(kind))
    {
        return 0;
    }
    --failure_.times;
    return failure_.error;
}

void sim_world::wake(sim::description& what)
{
    for (const sim::waiting_operation& waiting : std::exchange(what.waiting, {}))
    {
        if (sim_driver* const driver = drivers_[waiting.worker])
        {
            driver->look_again(waiting.id);
        }
    }
}

int sim_world::close(int fd, unsigned own_operations)
{
    if (descriptors_.operations_on(fd) > own_operations && descriptors_.find(fd) != nullptr)
    {
        report_violation("descriptor " + std::to_string(fd) +
                         " is closed while operations on it are in flight");
    }
    return descriptors_.remove(fd) == nullptr ? -EBADF : 0;
}

int sim_world::make_pipe(int (&fds)[2])
{
    using sim::stream_socket;
    const auto make = [this](stream_socket::variant kind) {
        return std::make_shared<stream_socket>(*this, kind, socket_family::unix_domain);
    };
    const auto reader = make(stream_socket::variant::pipe_reader);
    const auto writer = make(stream_socket::variant::pipe_writer);
    stream_socket::link(*reader, *writer);
    if (descriptors_.open_count() + 2 > options_.descriptor_limit)
    {
        return -EMFILE;
    }
    fds[0] = descriptors_.add(reader);
    fds[1] = descriptors_.add(writer);
    return 0;
}

void sim_world::set_violation_handler(std::function<void(std::string_view)> handler)
{
    violation_handler_ = std::move(handler);
}

void sim_world::report_violation(std::string_view message)
{
    ++statistics_.violations;
    if (violation_handler_)
    {
        violation_handler_(message);
        return;
    }
    std::fprintf(stderr, "blitzio simulation, seed %llu, at %lld ns: %.*s\n",
                 static_cast<unsigned long long>(options_.seed),
                 static_cast<long long>(now().count()), static_cast<int>(message.size()),
                 message.data());
    std::abort();
}

void sim_world::trace(std::uint64_t value) noexcept
{
    trace_hash_ = (trace_hash_ ^ value) * 0xBF58476D1CE4E5B9u;
    trace_hash_ ^= trace_hash_ >> 31;
}

void sim_world::attach(unsigned worker_index, sim_driver& driver)
{
    if (drivers_.size() <= worker_index)
    {
        drivers_.resize(worker_index + 1, nullptr);
    }
    drivers_[worker_index] = &driver;
}

void sim_world::detach(unsigned worker_index)
{
    drivers_[worker_index] = nullptr;
}

} // namespace blitzio::detail
