// What a program sees of a pool. Thread rule: see pool.hpp.
#include <blitzio/compute/pool.hpp>

#include "crew.hpp"
#include "fork_guard.hpp"
#include "pool_core.hpp"
#include "thread_budget.hpp"

#include <blitzio/io/processors.hpp>

#include <tbb/info.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace blitzio::compute
{

namespace detail
{

namespace
{

/// oneTBB must not be used in a child that was forked after the parent had used it, because its
/// threads do not exist there. Null while no pool was ever created.
std::atomic<std::uint32_t> first_generation{0};

pool_error invalid(std::string field, const std::string& text)
{
    return {field, field + ": " + text, std::make_error_code(std::errc::invalid_argument)};
}

template <class Ids>
std::string list_of(const Ids& ids)
{
    std::string text;
    for (const auto id : ids)
    {
        text += (text.empty() ? "" : ", ") + std::to_string(id);
    }
    return text;
}

template <class Ids>
bool is_among(int value, const Ids& ids)
{
    return std::find(ids.begin(), ids.end(), value) != ids.end();
}

/// -1 is no constraint. `ask` gives the ids that there are; it is costly, so it comes last.
template <class Ask>
std::expected<void, pool_error> check_id(const char* field, int given, Ask ask)
{
    if (given == -1)
    {
        return {};
    }
    if (given < 0)
    {
        return std::unexpected(
            invalid(field, std::to_string(given) + " is negative; -1 stands for none"));
    }
    if (const auto known = ask(); !is_among(given, known))
    {
        return std::unexpected(invalid(field, std::to_string(given) +
                                                  " is none of those that oneTBB knows here (" +
                                                  list_of(known) + ")"));
    }
    return {};
}

std::expected<void, pool_error> check_constraints(const pool_constraints& given)
{
    if (given.max_threads_per_core < 0)
    {
        return std::unexpected(
            invalid("constraints.max_threads_per_core",
                    std::to_string(given.max_threads_per_core) + " is negative; 0 stands for all"));
    }
    if (auto checked = check_id("constraints.numa_node", given.numa_node,
                                [] { return tbb::info::numa_nodes(); });
        !checked)
    {
        return checked;
    }
    return check_id("constraints.core_type", given.core_type,
                    [] { return tbb::info::core_types(); });
}

/// What threads = 0 stands for.
unsigned usable_threads(const pool_constraints& given)
{
    unsigned threads = usable_processors().count;
    if (given.numa_node >= 0 || given.core_type >= 0 || given.max_threads_per_core > 0)
    {
        tbb::task_arena::constraints wanted;
        if (given.numa_node >= 0)
        {
            wanted.set_numa_id(given.numa_node);
        }
        if (given.core_type >= 0)
        {
            wanted.set_core_type(given.core_type);
        }
        if (given.max_threads_per_core > 0)
        {
            wanted.set_max_threads_per_core(given.max_threads_per_core);
        }
        threads = std::min(
            threads, static_cast<unsigned>(std::max(tbb::info::default_concurrency(wanted), 1)));
    }
    return std::clamp(threads, 1u, std::max(threads_left(), 1u));
}

} // namespace

pool pool_access::make(std::unique_ptr<pool_core> core) noexcept
{
    return pool(std::move(core));
}

std::expected<std::uint32_t, pool_error> pool_access::begin()
{
    const std::uint32_t generation = begin_fork_guard();
    if (generation == 0)
    {
        return std::unexpected(pool_error{"process", "the fork handler cannot be registered",
                                          std::make_error_code(std::errc::not_enough_memory)});
    }
    std::uint32_t first = 0;
    // Relaxed: a number, nothing is published with it.
    if (!first_generation.compare_exchange_strong(first, generation, std::memory_order_relaxed) &&
        first != generation)
    {
        return std::unexpected(pool_error{
            "process",
            "the process was forked after its parent had created a compute pool; the threads exist "
            "only in the parent",
            std::make_error_code(std::errc::no_such_process)});
    }
    return generation;
}

std::expected<void, pool_error> pool_access::check_name(const std::string& name)
{
    if (name.empty() || name.find('\0') != std::string::npos)
    {
        return std::unexpected(invalid("name", "must not be empty or contain a zero byte"));
    }
    return {};
}

} // namespace detail

std::expected<void, pool_error> validate(const pool_config& config)
{
    const unsigned limit = detail::threads_limit();
    if (config.threads > limit)
    {
        return std::unexpected(detail::invalid("threads", std::to_string(config.threads) +
                                                              " is more than the limit of " +
                                                              std::to_string(limit)));
    }
    if (auto checked = detail::pool_access::check_name(config.name); !checked)
    {
        return checked;
    }
    if (config.priority > pool_priority::high)
    {
        return std::unexpected(
            detail::invalid("priority", std::to_string(static_cast<int>(config.priority)) +
                                            " is none of low, normal, high"));
    }
    if (config.give_way > courtesy::off)
    {
        return std::unexpected(
            detail::invalid("give_way", std::to_string(static_cast<int>(config.give_way)) +
                                            " is none of automatic, on, off"));
    }
    if (config.idle_spin < std::chrono::nanoseconds(0) || config.idle_spin > detail::idle_spin_max)
    {
        return std::unexpected(
            detail::invalid("idle_spin", std::to_string(config.idle_spin.count()) +
                                             " ns is not between 0 and 10 ms"));
    }
    return detail::check_constraints(config.constraints);
}

std::expected<pool, pool_error> pool::create(pool_config config)
{
    if (auto checked = validate(config); !checked)
    {
        return std::unexpected(std::move(checked).error());
    }
    const auto generation = detail::pool_access::begin();
    if (!generation)
    {
        return std::unexpected(generation.error());
    }
    const unsigned threads =
        config.threads != 0 ? config.threads : detail::usable_threads(config.constraints);
    if (detail::reserve_threads(threads) == 0)
    {
        return std::unexpected(
            pool_error{"threads",
                       "threads: " + std::to_string(threads) +
                           " together with the other pools' are more than " +
                           std::to_string(detail::threads_limit()),
                       std::make_error_code(std::errc::resource_unavailable_try_again)});
    }
    const auto failed = [threads](std::error_code code, const char* what) {
        detail::return_threads(threads);
        return std::unexpected(pool_error{
            "threads", "threads: " + std::to_string(threads) + " cannot be set up: " + what, code});
    };
    try
    {
        return pool(std::make_unique<detail::crew>(threads, std::move(config), *generation));
    }
    catch (const std::system_error& error)
    {
        return failed(error.code(), error.what());
    }
    catch (const std::exception& error)
    {
        return failed(std::make_error_code(std::errc::not_enough_memory), error.what());
    }
}

pool::pool(pool_config config) : core_(nullptr)
{
    auto created = create(std::move(config));
    if (!created)
    {
        throw std::system_error(created.error().code,
                                "compute::pool_config::" + created.error().message);
    }
    core_ = std::move(created->core_);
}

pool::pool(std::unique_ptr<detail::pool_core> core) noexcept : core_(std::move(core)) {}

pool::pool(pool&& other) noexcept = default;

pool& pool::operator=(pool&& other) noexcept
{
    if (this != &other)
    {
        const pool ended(std::move(*this));
        core_ = std::move(other.core_);
    }
    return *this;
}

pool::~pool()
{
    // In a forked child neither the threads nor a consistent oneTBB exist: leave all of it alone.
    if (core_ != nullptr && core_->forked_away())
    {
        static_cast<void>(core_.release());
    }
}

unsigned pool::threads() const noexcept
{
    return core_->threads();
}

std::chrono::nanoseconds pool::idle_spin() const noexcept
{
    return core_->idle_spin();
}

std::string_view pool::name() const noexcept
{
    return core_->name();
}

std::size_t pool::pending() const noexcept
{
    return core_->pending();
}

bool pool::has_idle_thread() const noexcept
{
    return core_->has_idle_thread();
}

bool pool::owns_current_thread() const noexcept
{
    return detail::current_pool() == core_.get();
}

result<void> pool::enqueue(job& work) noexcept
{
    return core_->enqueue(work);
}

std::string pool::explain() const
{
    return core_->explain();
}

pool_metrics pool::metrics() const noexcept
{
    return core_->metrics();
}

detail::job_times& pool::times() noexcept
{
    return core_->times();
}

namespace
{

/// Created once per process and never destroyed: jobs may still run while main() returns.
std::expected<pool, pool_error>& process_pool()
{
    static auto* const the_one = new std::expected<pool, pool_error>(pool::create({}));
    return *the_one;
}

} // namespace

pool& default_pool()
{
    auto& created = process_pool();
    if (!created)
    {
        throw std::system_error(created.error().code,
                                "the default compute pool: " + created.error().message);
    }
    return *created;
}

result<pool*> find_default_pool() noexcept
{
    try
    {
        auto& created = process_pool();
        if (!created)
        {
            return std::unexpected(created.error().code);
        }
        return &*created;
    }
    catch (...)
    {
        return fail(std::errc::not_enough_memory);
    }
}

} // namespace blitzio::compute
