// Senders, and the lines that they send.
// Thread rule: run() is awaited by one task; senders are served by tasks on any worker; the counters
// may be read on any thread.
#pragma once

#include "log_analytics/aggregator.hpp"
#include "log_analytics/block.hpp"
#include "log_analytics/options.hpp"

#include <blitzio/blitzio.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <vector>

namespace log_analytics
{

/// What senders send becomes blocks of whole lines. When nobody takes blocks, the senders are not
/// read from any more, and have to wait: memory is bounded by one block for each sender, and those
/// in the channel.
class receiver
{
public:
    using blocks = blitzio::sync::channel_sender<block>;

    receiver(const options& wanted, aggregator& overlong) : options_(wanted), overlong_(&overlong)
    {
    }

    /// Until a stop is requested, or what the options say has come. Whatever was received before is
    /// in the channel then, or in left_over().
    [[nodiscard]] blitzio::task<blitzio::result<void>> run(blitzio::net::tcp_listener& listener,
                                                           blocks out);

    /// Blocks that a stop kept from the channel; after run() has ended.
    [[nodiscard]] std::vector<block>& left_over() noexcept
    {
        return left_over_;
    }

    [[nodiscard]] std::uint64_t senders() const noexcept
    {
        return senders_.load(std::memory_order_relaxed);
    }

    [[nodiscard]] std::uint64_t connected() const noexcept
    {
        return connected_.load(std::memory_order_relaxed);
    }

    /// Lines whose ends did not come before a stop or the loss of a connection; not counted.
    [[nodiscard]] std::uint64_t unfinished() const noexcept
    {
        return unfinished_.load(std::memory_order_relaxed);
    }

private:
    class connection;

    [[nodiscard]] blitzio::task<blitzio::result<void>> serve(blitzio::net::tcp_stream stream,
                                                             blocks out);
    [[nodiscard]] blitzio::task<blitzio::result<void>> watch_idleness();

    options options_;
    aggregator* overlong_;
    blitzio::sync::event ended_;
    std::atomic<std::uint64_t> senders_{0};
    std::atomic<std::uint64_t> connected_{0};
    std::atomic<std::uint64_t> unfinished_{0};
    std::atomic<std::uint64_t> receipts_{0};
    std::mutex mutex_;
    std::vector<block> left_over_; // guarded by mutex_
};

} // namespace log_analytics
