// Mixed load: cheap requests (W = 0) arrive at a given rate whatever the server does, on some
// connections; on others every answer to a heavy request (W > 0) is followed at once by the next
// one. Single-threaded; every answer checked.
//
// A cheap request's latency counts from the moment it was due, not from the moment it could be
// sent: a stalled server is charged for every request that had to wait behind the stall.
#include "mixed_protocol.hpp"
#include "support.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <deque>

namespace loadgen
{
namespace
{

struct expectation
{
    std::uint64_t due_ns = 0;
    std::uint64_t answer = 0;
};

struct channel
{
    int descriptor = -1;
    bool heavy = false;
    bool dead = false;
    std::vector<unsigned char> unsent;
    std::deque<expectation> expected;
    std::array<unsigned char, 8> partial{};
    std::size_t partial_length = 0;
    std::size_t next_request = 0;
};

struct tally
{
    histogram latencies;
    std::uint64_t requests = 0;
    std::uint64_t wrong = 0;
    std::uint64_t unanswered = 0;
    std::uint64_t errors = 0;
};

class mixed_load
{
public:
    explicit mixed_load(const options& opts)
        : opts_(opts), server_cpu_(opts.server_pid), own_cpu_(getpid()),
          epoll_(epoll_create1(EPOLL_CLOEXEC)),
          channels_(opts.cheap_connections + opts.heavy_connections)
    {
        for (std::size_t index = 0; index < 16; ++index)
        {
            cheap_requests_.push_back(prepare_request(24 + 3 * index, 0, index + 1));
        }
        for (std::size_t index = 0; index < 8; ++index)
        {
            heavy_requests_.push_back(
                prepare_request(opts.heavy_payload, opts.heavy_work, index + 101));
        }
        for (std::size_t index = 0; index < channels_.size(); ++index)
        {
            channel& c = channels_[index];
            c.descriptor = connect_blocking(opts.port);
            make_nonblocking(c.descriptor);
            c.heavy = index >= opts.cheap_connections;
            c.next_request = index;
            epoll_event event{.events = EPOLLIN, .data = {.u64 = index}};
            if (epoll_ctl(epoll_, EPOLL_CTL_ADD, c.descriptor, &event) != 0)
            {
                fail(std::string("epoll_ctl: ") + std::strerror(errno));
            }
        }
    }

    ~mixed_load()
    {
        for (const channel& c : channels_)
        {
            close(c.descriptor);
        }
        close(epoll_);
    }

    mixed_load(const mixed_load&) = delete;
    mixed_load& operator=(const mixed_load&) = delete;

    void run()
    {
        std::uint64_t now = now_ns();
        measure_at_ = now + seconds_to_ns(opts_.warmup_seconds);
        drain_at_ = measure_at_ + seconds_to_ns(opts_.seconds);
        next_due_ns_ = now;
        for (channel& c : channels_)
        {
            if (c.heavy)
            {
                send_next(c, now);
            }
        }
        const std::uint64_t give_up_at = drain_at_ + 3'000'000'000u;
        while (now < give_up_at && !(now >= drain_at_ && waiting_ == 0))
        {
            send_due(now);
            wait_and_receive(now);
            now = now_ns();
            mark_window(now);
        }
        mark_window(drain_at_);
        count_unanswered();
    }

    int report(double calibration_before, double calibration_after) const
    {
        const double seconds = static_cast<double>(window_.end_ns - window_.begin_ns) / 1e9;
        const auto side = [&](const tally& t) {
            json_object object;
            object.add("requests", t.requests)
                .add("wrong", t.wrong)
                .add("errors", t.errors)
                .add("unanswered", t.unanswered)
                .add("rate", static_cast<double>(t.requests) / std::max(seconds, 1e-9))
                .add("latency_us", latency_json(t.latencies));
            return object;
        };
        json_object object;
        object.add("mode", std::string("mixed"))
            .add("requests", cheap_.requests + heavy_.requests)
            .add("wrong", cheap_.wrong + heavy_.wrong)
            .add("errors", cheap_.errors + heavy_.errors)
            .add("unanswered", cheap_.unanswered + heavy_.unanswered)
            .add("seconds", seconds)
            .add("cheap", side(cheap_))
            .add("heavy", side(heavy_))
            .add("server_cpu_seconds", static_cast<double>(window_.server_cpu_ns) / 1e9)
            .add("loadgen_cpu_seconds", static_cast<double>(window_.own_cpu_ns) / 1e9)
            .add("calibration_ns", (calibration_before + calibration_after) / 2);
        std::printf("%s\n", object.text().c_str());
        const auto clean = [](const tally& t) {
            return t.wrong == 0 && t.errors == 0 && t.unanswered == 0;
        };
        const bool complete =
            cheap_.requests != 0 && (opts_.heavy_connections == 0 || heavy_.requests != 0);
        return clean(cheap_) && clean(heavy_) && complete ? 0 : 1;
    }

private:
    tally& tally_of(const channel& c)
    {
        return c.heavy ? heavy_ : cheap_;
    }

    // Gaps are exponential, as those of many independent clients, from a fixed seed: every server
    // meets the same train.
    std::uint64_t next_gap_ns()
    {
        random_ = random_ * 6364136223846793005ULL + 1442695040888963407ULL;
        const double uniform = (static_cast<double>(random_ >> 11) + 0.5) / 9007199254740992.0;
        return static_cast<std::uint64_t>(-std::log(uniform) * 1e9 / opts_.cheap_rate);
    }

    void send_due(std::uint64_t now)
    {
        while (next_due_ns_ <= now && next_due_ns_ < drain_at_)
        {
            channel& c = channels_[cheap_turn_++ % opts_.cheap_connections];
            send_next(c, next_due_ns_);
            next_due_ns_ += next_gap_ns();
        }
    }

    void send_next(channel& c, std::uint64_t due_ns)
    {
        if (c.dead)
        {
            ++tally_of(c).unanswered;
            return;
        }
        const auto& requests = c.heavy ? heavy_requests_ : cheap_requests_;
        const prepared_request& request = requests[c.next_request++ % requests.size()];
        c.expected.push_back({due_ns, request.answer});
        ++waiting_;
        c.unsent.insert(c.unsent.end(), request.bytes.begin(), request.bytes.end());
        flush(c);
    }

    void flush(channel& c)
    {
        while (!c.unsent.empty())
        {
            const ssize_t written =
                send(c.descriptor, c.unsent.data(), c.unsent.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
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
            c.unsent.erase(c.unsent.begin(), c.unsent.begin() + written);
        }
    }

    void wait_and_receive(std::uint64_t now)
    {
        std::uint64_t wake_at =
            now < drain_at_ ? std::min(next_due_ns_, drain_at_) : now + 50'000'000u;
        if (now < measure_at_)
        {
            wake_at = std::min(wake_at, measure_at_);
        }
        const std::uint64_t wait_ns = opts_.spin || wake_at <= now ? 0 : wake_at - now;
        const timespec timeout{.tv_sec = static_cast<time_t>(wait_ns / 1'000'000'000u),
                               .tv_nsec = static_cast<long>(wait_ns % 1'000'000'000u)};
        std::array<epoll_event, 64> events;
        const int count =
            epoll_pwait2(epoll_, events.data(), static_cast<int>(events.size()), &timeout, nullptr);
        for (int index = 0; index < count; ++index)
        {
            const epoll_event& event = events[static_cast<std::size_t>(index)];
            channel& c = channels_[event.data.u64];
            if (!c.dead && (event.events & EPOLLOUT) != 0)
            {
                set_interest(c, false);
                flush(c);
            }
            if (!c.dead && (event.events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0)
            {
                receive(c);
            }
        }
    }

    void receive(channel& c)
    {
        std::array<unsigned char, 4096> buffer;
        const ssize_t got = recv(c.descriptor, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got < 0 && errno == EAGAIN)
        {
            return;
        }
        if (got <= 0)
        {
            bury(c);
            return;
        }
        const std::uint64_t now = now_ns();
        for (ssize_t index = 0; index < got && !c.dead; ++index)
        {
            c.partial[c.partial_length++] = buffer[static_cast<std::size_t>(index)];
            if (c.partial_length == 8)
            {
                c.partial_length = 0;
                take_answer(c, load_le64(c.partial.data(), 8), now);
            }
        }
    }

    void take_answer(channel& c, std::uint64_t answer, std::uint64_t now)
    {
        tally& t = tally_of(c);
        if (c.expected.empty() || c.expected.front().answer != answer)
        {
            ++t.wrong;
            bury(c);
            return;
        }
        const std::uint64_t due = c.expected.front().due_ns;
        c.expected.pop_front();
        --waiting_;
        // Cheap ones belong to the window in which they were due, so that a stall at its end is not
        // cut off.
        const std::uint64_t counted_at = c.heavy ? now : due;
        if (counted_at >= measure_at_ && counted_at < drain_at_)
        {
            ++t.requests;
            t.latencies.record(now - due);
        }
        if (c.heavy && now < drain_at_)
        {
            send_next(c, now);
        }
    }

    void set_interest(channel& c, bool wants_write)
    {
        const auto index = static_cast<std::uint64_t>(&c - channels_.data());
        epoll_event event{.events = EPOLLIN | (wants_write ? EPOLLOUT : 0u),
                          .data = {.u64 = index}};
        epoll_ctl(epoll_, EPOLL_CTL_MOD, c.descriptor, &event);
    }

    void bury(channel& c)
    {
        c.dead = true;
        ++tally_of(c).errors;
        tally_of(c).unanswered += c.expected.size();
        waiting_ -= c.expected.size();
        c.expected.clear();
        epoll_ctl(epoll_, EPOLL_CTL_DEL, c.descriptor, nullptr);
    }

    void mark_window(std::uint64_t now)
    {
        if (window_.begin_ns == 0 && now >= measure_at_)
        {
            window_ = {.begin_ns = now,
                       .end_ns = 0,
                       .server_cpu_ns = server_cpu_.read_ns(),
                       .own_cpu_ns = own_cpu_.read_ns()};
        }
        if (window_.end_ns == 0 && now >= drain_at_)
        {
            window_.end_ns = now;
            window_.server_cpu_ns = server_cpu_.read_ns() - window_.server_cpu_ns;
            window_.own_cpu_ns = own_cpu_.read_ns() - window_.own_cpu_ns;
        }
    }

    void count_unanswered()
    {
        for (const channel& c : channels_)
        {
            tally_of(c).unanswered += c.expected.size();
        }
    }

    const options& opts_;
    process_cpu server_cpu_;
    process_cpu own_cpu_;
    int epoll_ = -1;
    std::vector<channel> channels_;
    std::vector<prepared_request> cheap_requests_;
    std::vector<prepared_request> heavy_requests_;
    window window_;
    tally cheap_;
    tally heavy_;
    std::uint64_t random_ = 0x2545F4914F6CDD1DULL;
    std::uint64_t measure_at_ = 0;
    std::uint64_t drain_at_ = 0;
    std::uint64_t next_due_ns_ = 0;
    std::size_t cheap_turn_ = 0;
    std::size_t waiting_ = 0;
};

} // namespace

int run_mixed(const options& opts)
{
    const double before = calibrate_ns(opts.calibrate_core, 64);
    mixed_load load(opts);
    load.run();
    return load.report(before, calibrate_ns(opts.calibrate_core, 64));
}

} // namespace loadgen
