// Closed-loop TCP echo load: every connection keeps `depth` requests of `payload` bytes unanswered.
// Single-threaded. Every received byte is compared with the byte that was sent at its place in the
// stream.
#include "support.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace loadgen
{
namespace
{

// A connection sends an endless walk through one table whose length is a prime, so that lost,
// repeated or swapped pieces of any size we use shift the walk and are seen. The table's head is
// repeated behind its end: a chunk of chunk_max bytes can be sent from, and compared at, any
// position without wrapping.
constexpr std::size_t pattern_period = 65521;
constexpr std::size_t chunk_max = 65536;

std::vector<char> make_pattern()
{
    std::vector<char> pattern(pattern_period + chunk_max);
    std::uint64_t state = 0x853C49E6748FEA9BULL;
    for (std::size_t index = 0; index < pattern_period; ++index)
    {
        state = state * 6364136223846793005ULL + 1442695040888963407ULL;
        pattern[index] = static_cast<char>(state >> 56);
    }
    for (std::size_t index = 0; index < chunk_max; ++index)
    {
        pattern[pattern_period + index] = pattern[index % pattern_period];
    }
    return pattern;
}

struct connection
{
    int descriptor = -1;
    bool dead = false;
    bool wants_write = false;
    std::uint64_t base = 0;     // where in the pattern this connection's stream begins
    std::uint64_t allowed = 0;  // bytes that may have been sent
    std::uint64_t sent = 0;     // bytes the kernel has taken
    std::uint64_t received = 0; // bytes that came back right
    std::uint64_t issued = 0;   // requests
    std::uint64_t completed = 0;
    std::vector<std::uint64_t> issue_times;
};

enum class phase
{
    warmup,
    measure,
    drain,
};

class echo_load
{
public:
    explicit echo_load(const options& opts)
        : opts_(opts), server_cpu_(opts.server_pid), own_cpu_(getpid()), pattern_(make_pattern()),
          buffer_(chunk_max), connections_(opts.connections)
    {
        epoll_ = epoll_create1(EPOLL_CLOEXEC);
        for (std::size_t index = 0; index < connections_.size(); ++index)
        {
            connection& c = connections_[index];
            c.descriptor = connect_blocking(opts.port);
            make_nonblocking(c.descriptor);
            c.base = index * 7919;
            c.issue_times.resize(opts.depth);
            epoll_event event{.events = EPOLLIN, .data = {.u64 = index}};
            if (epoll_ctl(epoll_, EPOLL_CTL_ADD, c.descriptor, &event) != 0)
            {
                fail(std::string("epoll_ctl: ") + std::strerror(errno));
            }
        }
    }

    ~echo_load()
    {
        for (const connection& c : connections_)
        {
            close(c.descriptor);
        }
        close(epoll_);
    }

    echo_load(const echo_load&) = delete;
    echo_load& operator=(const echo_load&) = delete;

    void run()
    {
        std::uint64_t now = now_ns();
        const std::uint64_t measure_at = now + seconds_to_ns(opts_.warmup_seconds);
        const std::uint64_t drain_at = measure_at + seconds_to_ns(opts_.seconds);
        const std::uint64_t give_up_at = drain_at + 2'000'000'000u;
        for (connection& c : connections_)
        {
            issue(c, opts_.depth, now_ns());
        }
        std::array<epoll_event, 256> events;
        while (now < give_up_at && !(phase_ == phase::drain && outstanding_ == 0))
        {
            const int timeout_ms = opts_.spin ? 0 : 20;
            const int count =
                epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout_ms);
            now = now_ns();
            enter_phase(now, measure_at, drain_at);
            for (int index = 0; index < count; ++index)
            {
                const epoll_event& event = events[static_cast<std::size_t>(index)];
                handle(connections_[event.data.u64], event.events);
            }
        }
        if (phase_ != phase::drain)
        {
            enter_phase(drain_at, measure_at, drain_at);
        }
    }

    int report(double calibration_before, double calibration_after) const
    {
        std::uint64_t unanswered = 0;
        for (const connection& c : connections_)
        {
            unanswered += c.issued - c.completed;
        }
        const double seconds = static_cast<double>(window_.end_ns - window_.begin_ns) / 1e9;
        const auto requests = static_cast<double>(std::max<std::uint64_t>(requests_, 1));
        json_object object;
        object.add("mode", std::string("echo"))
            .add("requests", requests_)
            .add("verified_bytes", verified_bytes_)
            .add("wrong", wrong_)
            .add("errors", errors_)
            .add("unanswered", unanswered)
            .add("seconds", seconds)
            .add("rate", static_cast<double>(requests_) / std::max(seconds, 1e-9))
            .add("latency_us", latency_json(latencies_))
            .add("server_cpu_ns_per_op", static_cast<double>(window_.server_cpu_ns) / requests)
            .add("loadgen_cpu_ns_per_op", static_cast<double>(window_.own_cpu_ns) / requests)
            .add("calibration_ns", (calibration_before + calibration_after) / 2);
        std::printf("%s\n", object.text().c_str());
        return wrong_ == 0 && errors_ == 0 && unanswered == 0 && requests_ != 0 ? 0 : 1;
    }

private:
    void enter_phase(std::uint64_t now, std::uint64_t measure_at, std::uint64_t drain_at)
    {
        if (phase_ == phase::warmup && now >= measure_at)
        {
            phase_ = phase::measure;
            window_ = {.begin_ns = now,
                       .end_ns = now,
                       .server_cpu_ns = server_cpu_.read_ns(),
                       .own_cpu_ns = own_cpu_.read_ns()};
        }
        if (phase_ == phase::measure && (now >= drain_at || requests_ >= opts_.requests_max))
        {
            phase_ = phase::drain;
            window_.end_ns = now;
            window_.server_cpu_ns = server_cpu_.read_ns() - window_.server_cpu_ns;
            window_.own_cpu_ns = own_cpu_.read_ns() - window_.own_cpu_ns;
        }
    }

    void handle(connection& c, std::uint32_t ready)
    {
        if (c.dead)
        {
            return;
        }
        if ((ready & EPOLLOUT) != 0)
        {
            flush(c);
        }
        if (!c.dead && (ready & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
        {
            receive(c);
        }
    }

    void issue(connection& c, std::size_t count, std::uint64_t now)
    {
        for (std::size_t index = 0; index < count; ++index)
        {
            c.issue_times[c.issued % opts_.depth] = now;
            ++c.issued;
        }
        outstanding_ += count;
        c.allowed += count * opts_.payload;
        flush(c);
    }

    void flush(connection& c)
    {
        while (c.sent < c.allowed)
        {
            const std::size_t length = std::min<std::uint64_t>(c.allowed - c.sent, chunk_max);
            const char* from = pattern_.data() + (c.base + c.sent) % pattern_period;
            const ssize_t written = send(c.descriptor, from, length, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (written < 0)
            {
                if (errno == EAGAIN)
                {
                    set_interest(c, true);
                    return;
                }
                bury(c);
                return;
            }
            c.sent += static_cast<std::uint64_t>(written);
        }
        set_interest(c, false);
    }

    void receive(connection& c)
    {
        std::size_t length = 0;
        do
        {
            const ssize_t got = recv(c.descriptor, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
            if (got < 0 && errno == EAGAIN)
            {
                return;
            }
            if (got <= 0)
            {
                bury(c);
                return;
            }
            length = static_cast<std::size_t>(got);
            accept_bytes(c, length);
        } while (!c.dead && length == buffer_.size());
    }

    void accept_bytes(connection& c, std::size_t length)
    {
        const char* expected = pattern_.data() + (c.base + c.received) % pattern_period;
        if (c.received + length > c.sent || std::memcmp(buffer_.data(), expected, length) != 0)
        {
            // The rest of a shifted stream would count again and again, so the connection ends
            // here.
            ++wrong_;
            bury(c);
            return;
        }
        c.received += length;
        const std::uint64_t finished = c.received / opts_.payload - c.completed;
        const std::uint64_t now = now_ns();
        if (phase_ == phase::measure)
        {
            for (std::uint64_t index = 0; index < finished; ++index)
            {
                latencies_.record(now - c.issue_times[(c.completed + index) % opts_.depth]);
            }
            requests_ += finished;
            verified_bytes_ += length;
        }
        c.completed += finished;
        outstanding_ -= finished;
        if (phase_ != phase::drain && finished != 0)
        {
            issue(c, finished, now);
        }
    }

    void set_interest(connection& c, bool wants_write)
    {
        if (c.wants_write == wants_write)
        {
            return;
        }
        c.wants_write = wants_write;
        const auto index = static_cast<std::uint64_t>(&c - connections_.data());
        epoll_event event{.events = EPOLLIN | (wants_write ? EPOLLOUT : 0u),
                          .data = {.u64 = index}};
        epoll_ctl(epoll_, EPOLL_CTL_MOD, c.descriptor, &event);
    }

    // A connection that failed: its unanswered requests stay counted as such.
    void bury(connection& c)
    {
        ++errors_;
        c.dead = true;
        outstanding_ -= c.issued - c.completed;
        epoll_ctl(epoll_, EPOLL_CTL_DEL, c.descriptor, nullptr);
    }

    const options& opts_;
    process_cpu server_cpu_;
    process_cpu own_cpu_;
    std::vector<char> pattern_;
    std::vector<char> buffer_;
    std::vector<connection> connections_;
    int epoll_ = -1;
    phase phase_ = phase::warmup;
    window window_;
    histogram latencies_;
    std::uint64_t requests_ = 0;
    std::uint64_t verified_bytes_ = 0;
    std::uint64_t wrong_ = 0;
    std::uint64_t errors_ = 0;
    std::uint64_t outstanding_ = 0;
};

} // namespace

int run_echo(const options& opts)
{
    const double before = calibrate_ns(opts.calibrate_core, opts.payload);
    echo_load load(opts);
    load.run();
    return load.report(before, calibrate_ns(opts.calibrate_core, opts.payload));
}

} // namespace loadgen
