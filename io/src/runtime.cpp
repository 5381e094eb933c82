// The public runtime on top of runtime_core. Thread rule: see the header.
#include <blitzio/io/runtime.hpp>

#include <blitzio/io/detail/computing_thread.hpp>

#include "driver/sim/sim_backend.hpp"
#include "observe/task_dump.hpp"
#include "runtime_core.hpp"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <utility>

namespace blitzio
{

namespace detail
{

namespace
{

std::atomic<computes_for_function> asked_about_computing{nullptr};

} // namespace

void set_computes_for(computes_for_function asked) noexcept
{
    // Relaxed, here and below: a function, nothing is published with it.
    asked_about_computing.store(asked, std::memory_order_relaxed);
}

bool computes_for(const runtime_core& runtime) noexcept
{
    const auto asked = asked_about_computing.load(std::memory_order_relaxed);
    return asked != nullptr && asked(runtime);
}

void require_no_worker(const char* what)
{
    if (on_worker_thread())
    {
        throw std::system_error(make_error_code(io_errc::would_deadlock), what);
    }
}

caller_turn::caller_turn(runtime_core& runtime, const char* what)
{
    require_no_worker(what);
    if (computes_for(runtime))
    {
        throw std::system_error(make_error_code(io_errc::would_deadlock), what);
    }
    if (runtime.runs_on_caller())
    {
        runtime.begin_turn(what);
        taken_ = &runtime;
    }
}

caller_turn::~caller_turn()
{
    if (taken_ != nullptr)
    {
        taken_->end_turn();
    }
}

void blocking_waiter::wait(runtime_core& runtime)
{
    if (runtime.is_simulated() || runtime.runs_on_caller())
    {
        // Tasks end on this very thread.
        runtime.run_here_until([this] { return finished_; });
        return;
    }
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return finished_; });
}

/// The strategy under which there is something for the program to run.
void require_caller_runs(runtime_core& runtime, const char* what)
{
    if (!runtime.runs_on_caller())
    {
        throw std::system_error(
            std::make_error_code(std::errc::operation_not_supported),
            std::string(what) +
                ": the runtime has threads of its own (strategy is not single_threaded)");
    }
}

worker& require_worker(runtime_core& runtime, unsigned index)
{
    if (index >= runtime.worker_count())
    {
        throw std::system_error(std::make_error_code(std::errc::invalid_argument),
                                "runtime::spawn_on: worker " + std::to_string(index) + " of " +
                                    std::to_string(runtime.worker_count()));
    }
    return runtime.worker_at(index);
}

worker& require_this_worker(runtime_core& runtime)
{
    worker* const here = current_worker();
    if (here == nullptr || &here->core() != &runtime)
    {
        throw std::system_error(make_error_code(io_errc::not_on_worker), "runtime::spawn_local");
    }
    return *here;
}

waiter blocking_waiter::as_waiter() noexcept
{
    return {[](void* self) noexcept -> std::coroutine_handle<> {
                auto& waiting = *static_cast<blocking_waiter*>(self);
                // Notified under the lock: the waiting thread destroys the object as soon as it
                // can take it.
                const std::lock_guard lock(waiting.mutex_);
                waiting.finished_ = true;
                waiting.changed_.notify_one();
                return std::noop_coroutine();
            },
            this};
}

} // namespace detail

unsigned runtime::worker_count() const noexcept
{
    return core_->worker_count();
}

void runtime::core_deleter::operator()(detail::runtime_core* core) const noexcept
{
    delete core;
}

runtime::runtime(std::unique_ptr<detail::runtime_core, core_deleter> core) noexcept
    : core_(std::move(core))
{
}

std::expected<runtime, config_error> runtime::create(runtime_config config)
{
    auto core = detail::runtime_core::create(std::move(config));
    if (!core)
    {
        return std::unexpected(std::move(core.error()));
    }
    return runtime(std::unique_ptr<detail::runtime_core, core_deleter>(core->release()));
}

runtime::runtime(runtime_config config)
{
    auto core = detail::runtime_core::create(std::move(config));
    if (!core)
    {
        throw std::system_error(core.error().code, core.error().message);
    }
    core_.reset(core->release());
}

runtime::runtime(runtime&&) noexcept = default;

runtime& runtime::operator=(runtime&& other) noexcept
{
    if (this != &other)
    {
        detail::runtime_core* const old = core_.release();
        core_ = std::move(other.core_);
        core_deleter()(old);
    }
    return *this;
}

runtime::~runtime()
{
    if (core_ != nullptr && detail::on_worker_thread())
    {
        detail::terminate_with("a runtime was destroyed on a worker thread");
    }
}

void runtime::run()
{
    const detail::caller_turn turn(*core_, "runtime::run");
    core_->wait_until_idle();
}

int runtime::fd()
{
    detail::require_caller_runs(*core_, "runtime::fd");
    core_->begin_turn("runtime::fd");
    const auto made = core_->descriptor();
    core_->end_turn();
    if (!made)
    {
        throw std::system_error(made.error(), "runtime::fd");
    }
    return *made;
}

std::size_t runtime::run_ready(std::size_t most)
{
    detail::require_caller_runs(*core_, "runtime::run_ready");
    core_->begin_turn("runtime::run_ready");
    const std::size_t count = core_->run_ready(most);
    core_->end_turn();
    return count;
}

std::string_view runtime::backend_name() const noexcept
{
    return core_->io_backend().name();
}

std::string runtime::explain() const
{
    return core_->explain();
}

runtime_metrics runtime::metrics() const
{
    return core_->metrics();
}

runtime_dump runtime::dump(std::size_t tasks_max) const
{
    return detail::make_dump(*core_, tasks_max);
}

shutdown_report runtime::shutdown(std::chrono::steady_clock::time_point deadline)
{
    const detail::caller_turn turn(*core_, "runtime::shutdown");
    return core_->shutdown(deadline.time_since_epoch());
}

shutdown_report runtime::shutdown(std::chrono::nanoseconds patience)
{
    const detail::caller_turn turn(*core_, "runtime::shutdown");
    return core_->shutdown(detail::add_saturated(core_->now(), patience));
}

std::uint64_t runtime::simulation_trace_hash() const noexcept
{
    return core_->is_simulated() ? core_->simulation().world().trace_hash() : 0;
}

} // namespace blitzio
