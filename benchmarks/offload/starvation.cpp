// What cheap work feels of heavy work beside it: two workers, two compute threads, 2,000 cheap requests a
// second over loopback connections, and heavy ones of 1.8 ms of computing in a closed loop.
//   starvation MODE SECONDS     MODE: idle, inline, yield, pool, courtesy
// Prints one line of JSON: how late the cheap requests were read, in us, and the heavy ones per second.
//   idle: no heavy ones; inline: on the workers; yield: on the workers, giving way each 100 us;
//   pool: compute_on, with the pool's courtesy switched off; courtesy: with it.
#include "work.hpp"

#include <blitzio/blitzio.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <span>
#include <string_view>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

namespace
{

using namespace blitzio;
using namespace std::chrono_literals;
using clock_type = std::chrono::steady_clock;

constexpr unsigned threads = 2;
constexpr int heavy_lanes = 4;
constexpr double heavy_ns = 1.8e6;
constexpr int pieces = 18;
constexpr auto cheap_period = 500us;

volatile std::uint64_t sink = 0;

/// False: this version of the pool knows no courtesy.
template <class Config>
bool set_courtesy(Config& config, bool on)
{
    if constexpr (requires { config.give_way; })
    {
        using courtesy_type = decltype(config.give_way);
        config.give_way = on ? courtesy_type::on : courtesy_type::off;
        return true;
    }
    return !on;
}

struct scene
{
    compute::pool& pool;
    std::uint64_t steps;
    std::string_view mode;
    std::atomic<bool> over{false};
    std::atomic<std::uint64_t> heavy_done{0};
};

task<void> heavy_lane(scene& here)
{
    while (!here.over.load(std::memory_order_relaxed))
    {
        if (here.mode == "inline")
        {
            sink = offload::chain(1, here.steps);
            co_await yield();
        }
        else if (here.mode == "yield")
        {
            for (int piece = 0; piece < pieces; ++piece)
            {
                sink = offload::chain(1, here.steps / pieces);
                co_await yield();
            }
        }
        else
        {
            const auto steps = here.steps;
            const auto value =
                co_await compute_on(here.pool, [steps] { return offload::chain(1, steps); });
            sink = value.value_or(0);
        }
        here.heavy_done.fetch_add(1, std::memory_order_relaxed);
    }
}

/// Cheap requests over loopback connections: 8 bytes, the time of their sending. They come twice in a
/// millisecond, whether those before were served or not.
class cheap_requests
{
public:
    cheap_requests(runtime& rt, double seconds)
        : rt_(rt), count_(static_cast<std::size_t>(seconds / period_seconds))
    {
        const auto port = rt.block_on([this]() -> task<std::uint16_t> {
            auto made = co_await net::tcp_listener::bind(net::endpoint(net::ipv4::loopback(), 0));
            listener_.emplace(or_throw(std::move(made), "listen"));
            co_return or_throw(listener_->local_endpoint(), "port").port;
        });
        for (std::size_t index = 0; index < connections; ++index)
        {
            sockets_.push_back(connect_to(port));
            serving_.push_back(rt.spawn(serve(*listener_, lateness_[index])));
        }
    }

    /// On the thread that sends.
    void run()
    {
        auto due = clock_type::now() + 100ms;
        for (std::size_t index = 0; index < count_; ++index, due += cheap_period)
        {
            std::this_thread::sleep_until(due);
            const std::int64_t sent = clock_type::now().time_since_epoch().count();
            if (::send(sockets_[index % connections], &sent, sizeof sent, 0) != sizeof sent)
            {
                std::perror("send");
                std::exit(1);
            }
        }
    }

    [[nodiscard]] std::vector<double> wait_for_all()
    {
        for (const int socket : sockets_)
        {
            ::close(socket);
        }
        std::vector<double> all;
        for (std::size_t index = 0; index < connections; ++index)
        {
            rt_.block_on(std::move(serving_[index]));
            all.insert(all.end(), lateness_[index].begin(), lateness_[index].end());
        }
        std::ranges::sort(all);
        return all;
    }

private:
    static constexpr double period_seconds = std::chrono::duration<double>(cheap_period).count();
    static constexpr std::size_t connections = 16;

    static int connect_to(std::uint16_t port)
    {
        const int made = ::socket(AF_INET, SOCK_STREAM, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const int at_once = 1;
        if (made < 0 ||
            ::setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &at_once, sizeof at_once) != 0 ||
            ::connect(made, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
        {
            std::perror("connect");
            std::exit(1);
        }
        return made;
    }

    static task<void> serve(net::tcp_listener& listener, std::vector<double>& lateness)
    {
        auto accepted = co_await listener.accept();
        auto stream = or_throw(std::move(accepted), "accept");
        std::array<std::int64_t, 64> stamps{};
        std::size_t held = 0;
        while (true)
        {
            const auto room = std::as_writable_bytes(std::span(stamps)).subspan(held);
            const auto read = co_await stream.read_some(room);
            if (!read || *read == 0)
            {
                co_return;
            }
            held += *read;
            const auto now = clock_type::now();
            for (std::size_t index = 0; index < held / sizeof(std::int64_t); ++index)
            {
                const clock_type::time_point sent{clock_type::duration(stamps[index])};
                lateness.push_back(std::chrono::duration<double, std::micro>(now - sent).count());
            }
            const std::size_t rest = held % sizeof(std::int64_t);
            stamps[0] = stamps[held / sizeof(std::int64_t)];
            held = rest;
        }
    }

    runtime& rt_;
    std::size_t count_;
    std::optional<net::tcp_listener> listener_;
    std::vector<int> sockets_;
    std::array<std::vector<double>, connections> lateness_;
    std::vector<join_handle<void>> serving_;
};

double part_of(const std::vector<double>& sorted, double part)
{
    const auto index = static_cast<std::size_t>(part * static_cast<double>(sorted.size()));
    return sorted[std::min(index, sorted.size() - 1)];
}

} // namespace

int main(int count, char** arguments)
{
    const std::string_view mode = count > 1 ? arguments[1] : "";
    const double seconds = count > 2 ? std::atof(arguments[2]) : 0;
    const bool known = mode == "idle" || mode == "inline" || mode == "yield" || mode == "pool" ||
                       mode == "courtesy";
    if (!known || seconds <= 0)
    {
        std::fprintf(stderr, "usage: %s idle|inline|yield|pool|courtesy SECONDS\n", arguments[0]);
        return 2;
    }
    offload::calibrated_work work;
    work.calibrate();
    compute::pool_config size;
    size.threads = threads;
    if (!set_courtesy(size, mode == "courtesy"))
    {
        std::fprintf(stderr, "this version's pools have no courtesy\n");
        return 3;
    }
    compute::pool pool(size);
    runtime_config settings;
    settings.io_threads = threads;
    settings.stall_threshold = 0ms;
    runtime rt(std::move(settings));
    scene here{pool, work.steps_for(heavy_ns), mode};

    cheap_requests cheap(rt, seconds);
    std::vector<join_handle<void>> heavy;
    for (int lane = 0; mode != "idle" && lane < heavy_lanes; ++lane)
    {
        heavy.push_back(rt.spawn(heavy_lane(here)));
    }
    const auto begin = clock_type::now();
    cheap.run();
    const auto done = here.heavy_done.load();
    const std::chrono::duration<double> took = clock_type::now() - begin;
    here.over = true;
    for (auto& each : heavy)
    {
        rt.block_on(std::move(each));
    }
    const auto all = cheap.wait_for_all();
    std::printf("{\"mode\":\"%s\",\"cheap\":%zu,\"p50_us\":%.1f,\"p90_us\":%.1f,\"p99_us\":%.1f,"
                "\"p999_us\":%.1f,\"max_us\":%.1f,\"heavy_per_s\":%.1f}\n",
                arguments[1], all.size(), part_of(all, 0.5), part_of(all, 0.9), part_of(all, 0.99),
                part_of(all, 0.999), all.back(), static_cast<double>(done) / took.count());
    return 0;
}
