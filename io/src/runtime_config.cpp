// Checking a runtime's configuration. Thread rule: any thread.
#include <blitzio/io/runtime_config.hpp>

#include <blitzio/io/buffer_pool.hpp>

#include "limits.hpp"

#include <bit>
#include <utility>

namespace blitzio
{

namespace
{

std::unexpected<config_error> reject(std::string field, const std::string& given,
                                     const std::string& reason)
{
    auto message = field + " = " + given + ": " + reason;
    return std::unexpected(config_error{std::move(field), std::move(message),
                                        std::make_error_code(std::errc::invalid_argument)});
}

std::expected<void, config_error> check_range(const char* field, unsigned long long value,
                                              unsigned long long least, unsigned long long most)
{
    if (value < least || value > most)
    {
        return reject(field, std::to_string(value),
                      "must be from " + std::to_string(least) + " to " + std::to_string(most));
    }
    return {};
}

} // namespace

std::expected<backend_choice, config_error> parse_backend(std::string_view text)
{
    using enum backend_choice;
    for (const auto choice : {automatic, io_uring, epoll, sim})
    {
        if (text == to_string(choice))
        {
            return choice;
        }
    }
    return reject("backend", "\"" + std::string(text) + "\"",
                  "must be auto, io_uring, epoll or sim");
}

std::string_view to_string(backend_choice choice) noexcept
{
    switch (choice)
    {
    case backend_choice::automatic: return "auto";
    case backend_choice::io_uring: return "io_uring";
    case backend_choice::epoll: return "epoll";
    case backend_choice::sim: return "sim";
    }
    return "unknown";
}

std::expected<void, config_error> validate(const runtime_config& config)
{
    namespace limits = detail::limits;
    constexpr std::size_t stack_bytes_min = 64 * 1024;
    constexpr std::size_t name_length_max = 64;

    if (to_string(config.backend) == "unknown")
    {
        return reject("backend", std::to_string(static_cast<int>(config.backend)),
                      "is no backend_choice");
    }
    if (auto checked = check_range("io_threads", config.io_threads, 0, limits::workers_max);
        !checked)
    {
        return checked;
    }
    if (config.strategy > scheduling_strategy::single_threaded)
    {
        return reject("strategy", std::to_string(static_cast<int>(config.strategy)),
                      "is no scheduling_strategy");
    }
    if (config.strategy == scheduling_strategy::single_threaded && config.io_threads > 1)
    {
        return reject("io_threads", std::to_string(config.io_threads),
                      "must be 0 or 1 with scheduling_strategy::single_threaded");
    }
    if (config.affinity > affinity_choice::sequential)
    {
        return reject("affinity", std::to_string(static_cast<int>(config.affinity)),
                      "is no affinity_choice");
    }
    if (config.name.size() > name_length_max)
    {
        return reject("name", "\"" + config.name + "\"",
                      "must not be longer than " + std::to_string(name_length_max));
    }
    if (config.ring_entries != 0 && (!std::has_single_bit(config.ring_entries) ||
                                     config.ring_entries > limits::ring_entries_max))
    {
        return reject("ring_entries", std::to_string(config.ring_entries),
                      "must be 0 or a power of two up to " +
                          std::to_string(limits::ring_entries_max));
    }
    constexpr std::size_t read_buffer_bytes_min = 512;
    if (auto checked = check_range("read_buffer_bytes", config.read_buffer_bytes,
                                   config.read_buffer_bytes == 0 ? 0 : read_buffer_bytes_min,
                                   buffer_pool::buffer_bytes_max);
        !checked)
    {
        return checked;
    }
    if (config.read_buffers_max != 0 && (!std::has_single_bit(config.read_buffers_max) ||
                                         config.read_buffers_max > limits::read_buffers_max))
    {
        return reject("read_buffers_max", std::to_string(config.read_buffers_max),
                      "must be 0 or a power of two up to " +
                          std::to_string(limits::read_buffers_max));
    }
    constexpr unsigned pool_threads_max = 1u << 16;
    if (auto checked =
            check_range("blocking_threads_max", config.blocking_threads_max, 1, pool_threads_max);
        !checked)
    {
        return checked;
    }
    if (auto checked =
            check_range("file_threads_max", config.file_threads_max, 1, pool_threads_max);
        !checked)
    {
        return checked;
    }
    if (config.blocking_queue_max == 0)
    {
        return reject("blocking_queue_max", "0", "must be at least 1");
    }
    if (auto checked = check_range("registered_files_max", config.registered_files_max, 0,
                                   limits::registered_files_max);
        !checked)
    {
        return checked;
    }
    if (config.blocking_keep_alive.count() < 0)
    {
        return reject("blocking_keep_alive",
                      std::to_string(config.blocking_keep_alive.count()) + " ms",
                      "must not be negative");
    }
    if (config.stall_threshold.count() < 0)
    {
        return reject("stall_threshold", std::to_string(config.stall_threshold.count()) + " ms",
                      "must not be negative");
    }
    if (config.thread_stack_bytes != 0 && config.thread_stack_bytes < stack_bytes_min)
    {
        return reject("thread_stack_bytes", std::to_string(config.thread_stack_bytes),
                      "must be 0 or at least " + std::to_string(stack_bytes_min));
    }
    if (config.simulation.delay_max.count() < 0)
    {
        return reject("simulation.delay_max",
                      std::to_string(config.simulation.delay_max.count()) + " ns",
                      "must not be negative");
    }
    return {};
}

} // namespace blitzio
