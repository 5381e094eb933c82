// Building, running and ending a runtime. Thread rule: see the header.
#include "runtime_core.hpp"

#include "driver/sim/sim_backend.hpp"
#include "exception_report.hpp"
#include "limits.hpp"
#include "memory/buffer_pool.hpp"
#include "observe/task_dump.hpp"
#include "scheduler/urgent.hpp"
#include "threads.hpp"

#include <blitzio/io/external_work.hpp>
#include <blitzio/io/processors.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <utility>

namespace blitzio::detail
{

namespace
{

constexpr const char* scheduled_too_late = "work was scheduled on a runtime that has ended";

class steady_clock_source final : public clock_source
{
public:
    [[nodiscard]] std::chrono::nanoseconds now() const noexcept override
    {
        return std::chrono::steady_clock::now().time_since_epoch();
    }
};

unsigned choose_worker_count(const runtime_config& config, std::string& explanation)
{
    if (config.strategy == scheduling_strategy::single_threaded)
    {
        explanation += "workers: 1 (single_threaded: on the thread that runs it)\n";
        return 1;
    }
    if (config.io_threads != 0)
    {
        explanation += "workers: " + std::to_string(config.io_threads) + " (configured)\n";
        return config.io_threads;
    }
    const auto budget = usable_processors();
    const unsigned count = std::min(budget.count, limits::workers_max);
    explanation += "workers: " + std::to_string(count) + " (" + std::string(budget.reason) + ")\n";
    return count;
}

bool pins_workers(const runtime_config& config, unsigned workers)
{
    if (config.strategy == scheduling_strategy::single_threaded)
    {
        return false; // the thread is not ours
    }
    switch (config.affinity)
    {
    case affinity_choice::none: return false;
    case affinity_choice::sequential: return true;
    case affinity_choice::automatic: break;
    }
    return config.strategy == scheduling_strategy::thread_per_core &&
           workers == usable_processors().count;
}

} // namespace

runtime_core::runtime_core(runtime_config config)
    : config_(std::move(config)), worker_count_(choose_worker_count(config_, explanation_)),
      buffers_({.bytes_max = config_.buffer_pool_bytes_max}),
      own_clock_(std::make_unique<steady_clock_source>()), clock_(own_clock_.get()),
      simulation_random_(config_.simulation.seed), idle_(worker_count_)
{
}

std::expected<std::unique_ptr<runtime_core>, config_error> runtime_core::create(
    runtime_config config)
{
    if (auto checked = validate(config); !checked)
    {
        return std::unexpected(std::move(checked.error()));
    }
    std::unique_ptr<runtime_core> core(new runtime_core(std::move(config)));
    if (auto built = core->build(); !built)
    {
        return std::unexpected(std::move(built.error()));
    }
    return core;
}

result<void> runtime_core::choose_backend(backend_choice wanted)
{
    const backend_options options{.worker_count = worker_count_,
                                  .ring_entries = config_.ring_entries,
                                  .file_pool = file_pool_.get(),
                                  .read_buffers = {.bytes = config_.read_buffer_bytes,
                                                   .count_max = config_.read_buffers_max,
                                                   .pool = &buffers_.core()},
                                  .registered_files_max = config_.registered_files_max};
    if (wanted == backend_choice::sim)
    {
        sim_options world{};
        world.seed = config_.simulation.seed;
        world.faults = config_.simulation.faults;
        world.delay_max = config_.simulation.delay_max;
        world.descriptor_limit = config_.simulation.descriptor_limit;
        auto simulated = make_sim_backend(options, world);
        simulation_ = simulated.get();
        clock_ = &simulated->clock();
        backend_ = std::move(simulated);
        explanation_ += "backend: sim (configured)\n";
        return {};
    }
    if (wanted != backend_choice::epoll)
    {
#if BLITZIO_WITH_IO_URING
        auto ring = make_uring_backend(options);
#else
        result<std::unique_ptr<backend>> ring = fail(std::errc::function_not_supported);
#endif
        if (ring)
        {
            backend_ = std::move(*ring);
            explanation_ += wanted == backend_choice::automatic
                                ? "backend: io_uring (the kernel has it and allows it)\n"
                                : "backend: io_uring (asked for)\n";
            return {};
        }
        if (wanted == backend_choice::io_uring)
        {
            return fail(ring.error());
        }
        explanation_ += "backend: epoll (io_uring refused: " + ring.error().message() + ")\n";
    }
    else
    {
        explanation_ += "backend: epoll (asked for)\n";
    }
    auto readiness = make_epoll_backend(options);
    if (!readiness)
    {
        return fail(readiness.error());
    }
    backend_ = std::move(*readiness);
    return {};
}

std::expected<void, config_error> runtime_core::build()
{
    auto wanted = config_.backend;
    if (const char* const text = std::getenv("BLITZIO_BACKEND");
        text != nullptr && wanted == backend_choice::automatic)
    {
        auto parsed = parse_backend(text);
        if (!parsed)
        {
            parsed.error().message =
                "environment variable BLITZIO_BACKEND: " + parsed.error().message;
            return std::unexpected(std::move(parsed.error()));
        }
        wanted = *parsed;
    }
    user_pool_ = std::make_unique<blocking_pool>(
        blocking_pool::options{.threads_max = config_.blocking_threads_max,
                               .keep_alive = config_.blocking_keep_alive,
                               .queue_length_max = config_.blocking_queue_max,
                               .name = config_.name + "-block"});
    file_pool_ = std::make_unique<blocking_pool>(
        blocking_pool::options{.threads_max = config_.file_threads_max,
                               .keep_alive = config_.blocking_keep_alive,
                               .queue_length_max = config_.blocking_queue_max,
                               .name = config_.name + "-file"});
    auto chosen = choose_backend(wanted);
    if (chosen)
    {
        chosen = start_workers();
    }
    if (!chosen)
    {
        const auto choice = std::string(to_string(wanted));
        return std::unexpected(config_error{
            "backend", "backend = " + choice + ": cannot be used: " + chosen.error().message(),
            chosen.error()});
    }
    return {};
}

result<void> runtime_core::start_workers()
{
    for (unsigned index = 0; index < worker_count_; ++index)
    {
        auto io = backend_->create_driver(index);
        if (!io)
        {
            return fail(io.error());
        }
        const std::uint64_t seed = is_simulated()
                                       ? simulation_random_.next()
                                       : static_cast<std::uint64_t>(now().count()) + index;
        workers_.push_back(
            std::make_unique<worker>(*this, index, std::move(*io), seed, config_.timers_max));
    }
    if (is_simulated())
    {
        for (auto& each : workers_)
        {
            each->io().start();
        }
        return {};
    }
    if (runs_on_caller())
    {
        explanation_ += "affinity: none\n";
        return {};
    }
    return start_threads();
}

result<void> runtime_core::start_threads()
{
    const bool pinned = pins_workers(config_, worker_count_);
    explanation_ += pinned ? "affinity: a processor for each worker\n" : "affinity: none\n";
    if (config_.stall_threshold.count() != 0)
    {
        stalls_ = std::make_unique<stall_watch>(
            *this, stall_watch::options{.threshold = config_.stall_threshold,
                                        .handler = config_.on_stall,
                                        .name = config_.name});
    }
    for (unsigned index = 0; index < worker_count_; ++index)
    {
        const auto body = [this, index, pinned] {
            if (pinned)
            {
                // Without it the worker only runs where the system likes; nothing depends on it.
                static_cast<void>(bind_to_processor(index));
            }
            if (stalls_ != nullptr)
            {
                stalls_->attach(index);
            }
            workers_[index]->run();
            if (stalls_ != nullptr)
            {
                stalls_->detach(index);
            }
        };
        auto started = start_thread(config_.name + '-' + std::to_string(index),
                                    config_.thread_stack_bytes, body);
        if (!started)
        {
            return fail(started.error());
        }
        threads_.push_back(std::move(*started));
    }
    return stalls_ == nullptr ? result<void>() : stalls_->start();
}

void runtime_core::stop_workers() noexcept
{
    if (stalls_ != nullptr)
    {
        stalls_->stop();
    }
    // release pairs with the acquire in stopping().
    stopping_.store(true, std::memory_order_release);
    for (auto& each : workers_)
    {
        each->io().wake();
    }
    for (auto& thread : threads_)
    {
        thread.join();
    }
    threads_.clear();
}

void runtime_core::stop_tasks() noexcept
{
    for_each_task([](const known_task& task) {
        // A task of a scope has the scope's source; asking that more than once does nothing.
        task.env.stop.source()->request_stop(stop_reason::shutdown);
    });
}

runtime_core::~runtime_core()
{
    ask_to_end();
    run_to_the_end();
    stop_workers();
    while (injection_.pop() != nullptr) // a probe of a queue's delay, if it overflowed into here
    {
    }
    callers_.wait_until_gone();
    for (std::uint32_t round = 0; external_work_.load(std::memory_order_acquire) != 0; ++round)
    {
        std_atomics::back_off(round);
    }
    // Files first: their results go to drivers, which must still be there.
    file_pool_.reset();
    user_pool_.reset();
    workers_.clear();
    backend_.reset();
}

// --- work ---------------------------------------------------------------------------------------

void runtime_core::notify_one() noexcept
{
    if (worker_count_ == 1)
    {
        // Nobody to choose from: its driver knows whether it sleeps, and remembers if it does not.
        workers_[0]->io().wake();
        return;
    }
    if (const auto chosen = idle_.worker_to_notify())
    {
        workers_[*chosen]->io().wake();
    }
}

void runtime_core::inject_list(runnable* first, runnable* last, std::size_t count) noexcept
{
    if (!injection_.push_list(first, last, count))
    {
        terminate_with(scheduled_too_late);
    }
    notify_one();
}

void runtime_core::inject(runnable& item) noexcept
{
    if (uses_priorities() && is_urgent(item)) [[unlikely]]
    {
        post_placed(high_anywhere_, waiter_that_runs(item));
        return;
    }
    // Once queued, `item` may be run by a worker that is awake, and may be all that the runtime's end
    // was waiting for, while this thread is still on its way to notify_one().
    const callers_inside::visit inside(callers_);
    if (!injection_.push(&item))
    {
        terminate_with(scheduled_too_late);
    }
    notify_one();
}

bool runtime_core::has_visible_work() const noexcept
{
    if (!injection_.empty() || (uses_priorities() && !lanes_.look_empty()))
    {
        return true;
    }
    return worker_count_ > 1 && steals_work() &&
           std::ranges::any_of(workers_,
                               [](const auto& each) { return each->has_stealable_work(); });
}

// --- tasks --------------------------------------------------------------------------------------

[[gnu::noinline]] void runtime_core::launch(live_task& cell) noexcept
{
    worker* const here = worker_here();
    cell.env.awaiting.enable(await_note::phase::begun);
    if (here == nullptr || &here->core() != this) [[unlikely]]
    {
        launch_from_outside(cell);
        return;
    }
    here->own_stats().tasks_spawned.add();
    here->tasks().add(cell);
    if (ending_.load(std::memory_order_relaxed)) [[unlikely]]
    {
        cell.stop.request_stop(stop_reason::shutdown);
    }
    if (const placement* const home = cell.env.home(); home != nullptr) [[unlikely]]
    {
        start_placed(*home, cell);
        return;
    }
    here->schedule_next(cell);
}

[[gnu::noinline]] void runtime_core::launch_from_outside(live_task& cell) noexcept
{
    spawned_outside_.fetch_add(1, std::memory_order_relaxed);
    outside_tasks_.add(cell);
    if (ending_.load(std::memory_order_relaxed))
    {
        cell.stop.request_stop(stop_reason::shutdown);
    }
    if (const placement* const home = cell.env.home(); home != nullptr)
    {
        start_placed(*home, cell);
        return;
    }
    inject(cell);
}

void runtime_core::register_child(known_task& cell) noexcept
{
    current_worker()->tasks().add(cell);
}

[[gnu::noinline]] void runtime_core::remove_child(known_task& cell) noexcept
{
    worker& here = *worker_here();
    here.own_stats().tasks_finished.add();
    if (const unsigned number = cell.links.list(); number != live_links::no_list)
    {
        here.core().list_with(number, here).remove(cell);
    }
}

[[gnu::noinline]] bool runtime_core::remove_live(live_task& cell) noexcept
{
    worker* const here = worker_here();
    here->own_stats().tasks_finished.add();
    list_with(cell.links.list(), *here).remove(cell);
    return here->is_nested_run(cell);
}

live_tasks& runtime_core::list_with(unsigned number, worker& here) noexcept
{
    // Most tasks end where they were spawned.
    if (number == here.tasks().number()) [[likely]]
    {
        return here.tasks();
    }
    return number == outside_list ? outside_tasks_ : workers_[number - list_number(0)]->tasks();
}

std::size_t runtime_core::live_task_count() const noexcept
{
    std::size_t total = outside_tasks_.size();
    for (const auto& each : workers_)
    {
        total += each->tasks().size();
    }
    return total;
}

std::string runtime_core::name_live_tasks() const
{
    constexpr std::size_t names_max = 20;
    return make_dump(*this, names_max).to_string();
}

void runtime_core::wait_until_idle()
{
    const auto all_ended = [this] { return live_task_count() == 0; };
    const std::chrono::seconds patience(limits::shutdown_report_seconds);
    const auto report = [this] {
        std::fprintf(stderr, "%s: waiting to end; %s", config_.name.c_str(),
                     name_live_tasks().c_str());
    };
    // Only a runtime that is going away is expected to become idle soon.
    const bool ending = ending_.load(std::memory_order_relaxed);
    if (is_simulated() || runs_on_caller())
    {
        if (ending && !is_simulated())
        {
            run_here_until(all_ended, now() + patience);
            if (!all_ended())
            {
                report();
            }
        }
        run_here_until(all_ended);
        return;
    }
    watch_.watchers.fetch_add(1, std::memory_order_relaxed);
    std::unique_lock lock(watch_.mutex);
    bool reported = false;
    while (!watch_.changed.wait_for(lock, patience, all_ended))
    {
        if (ending_.load(std::memory_order_relaxed) && !std::exchange(reported, true))
        {
            report();
        }
    }
    watch_.watchers.fetch_sub(1, std::memory_order_relaxed);
}

std::string runtime_core::explain() const
{
    return explanation_ + backend_->notes().text() + describe_sizes() + describe_surroundings();
}

runtime_core::pool_statistics runtime_core::pools() const noexcept
{
    return {user_pool_->snapshot(), file_pool_->snapshot()};
}

} // namespace blitzio::detail
