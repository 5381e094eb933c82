// A load of cheap and heavy requests for mixed_workload, and what became of it.
// Thread rule: run() on a thread that may block; it has a runtime of its own.
#pragma once

#include "little_endian.hpp"

#include <blitzio/blitzio.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

namespace example
{

/// Cheap requests arrive 2,000 times a second whatever the server does, and their latency counts
/// from when they were due. Beside them a few connections always have one heavy request in progress.
class mixed_client
{
public:
    using clock = std::chrono::steady_clock;

    mixed_client(blitzio::net::endpoint server, unsigned heavy_connections, std::uint32_t rounds,
                 std::chrono::milliseconds duration)
        : server_(server), heavy_connections_(heavy_connections), rounds_(rounds),
          duration_(duration)
    {
    }

    blitzio::result<void> run()
    {
        blitzio::runtime runtime({.io_threads = 1, .name = "client"});
        end_ = clock::now() + duration_;
        return runtime.block_on(all());
    }

    /// Microseconds; `share` of the cheap requests were answered within it.
    [[nodiscard]] double cheap_us(double share)
    {
        if (latencies_.empty())
        {
            return 0;
        }
        const auto last = static_cast<double>(latencies_.size() - 1);
        const auto at = latencies_.begin() + static_cast<std::ptrdiff_t>(share * last);
        std::nth_element(latencies_.begin(), at, latencies_.end());
        return *at;
    }

    [[nodiscard]] double heavy_per_second() const
    {
        return static_cast<double>(heavy_answers_) /
               std::chrono::duration<double>(duration_).count();
    }

private:
    static constexpr std::size_t cheap_bytes = 64;
    static constexpr std::size_t heavy_bytes = 1024;
    static constexpr std::chrono::microseconds cheap_interval{500};

    static std::vector<std::byte> request(std::size_t payload, std::uint32_t rounds)
    {
        std::vector<std::byte> bytes(8 + payload, std::byte{0x5a});
        const auto length = static_cast<std::uint32_t>(4 + payload);
        std::memcpy(bytes.data(), &length, sizeof length);
        std::memcpy(bytes.data() + 4, &rounds, sizeof rounds);
        return bytes;
    }

    blitzio::task<blitzio::result<void>> all()
    {
        co_return co_await blitzio::scope(
            [this](blitzio::task_group& group) -> blitzio::task<blitzio::result<void>> {
                for (unsigned index = 0; index < heavy_connections_; ++index)
                {
                    group.spawn(heavy());
                }
                co_return co_await cheap();
            });
    }

    blitzio::task<blitzio::result<void>> cheap()
    {
        auto stream = co_await blitzio::try_(blitzio::net::tcp_stream::connect(server_));
        const auto question = request(cheap_bytes, 0);
        std::array<std::byte, 8> answer;
        auto due = clock::now();
        while (due < end_)
        {
            if (const auto now = clock::now(); now < due)
            {
                co_await blitzio::try_(blitzio::sleep_for(due - now));
            }
            co_await blitzio::try_(stream.write_all(question));
            co_await blitzio::try_(stream.read_exactly(answer));
            latencies_.push_back(
                std::chrono::duration<double, std::micro>(clock::now() - due).count());
            due += cheap_interval;
        }
        co_return blitzio::result<void>();
    }

    blitzio::task<blitzio::result<void>> heavy()
    {
        auto stream = co_await blitzio::try_(blitzio::net::tcp_stream::connect(server_));
        const auto question = request(heavy_bytes, rounds_);
        std::array<std::byte, 8> answer;
        while (clock::now() < end_)
        {
            co_await blitzio::try_(stream.write_all(question));
            co_await blitzio::try_(stream.read_exactly(answer));
            ++heavy_answers_;
        }
        co_return blitzio::result<void>();
    }

    blitzio::net::endpoint server_;
    unsigned heavy_connections_;
    std::uint32_t rounds_;
    std::chrono::milliseconds duration_;
    clock::time_point end_{};
    std::vector<double> latencies_;   // the client's one worker, then whoever called run()
    std::uint64_t heavy_answers_ = 0; // likewise
};

} // namespace example
