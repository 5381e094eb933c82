// Clocks, pinning, sockets, calibration and JSON for the load generator.
// Main thread only; calibrate_ns starts a thread of its own and joins it before it returns.
#include "support.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

namespace loadgen
{

void fail(const std::string& message)
{
    std::fprintf(stderr, "loadgen: %s\n", message.c_str());
    std::exit(2);
}

namespace
{

std::uint64_t read_clock_ns(clockid_t clock) noexcept
{
    timespec value{};
    if (clock_gettime(clock, &value) != 0)
    {
        return 0;
    }
    return static_cast<std::uint64_t>(value.tv_sec) * 1'000'000'000u +
           static_cast<std::uint64_t>(value.tv_nsec);
}

} // namespace

std::uint64_t now_ns() noexcept
{
    return read_clock_ns(CLOCK_MONOTONIC);
}

std::uint64_t seconds_to_ns(double seconds) noexcept
{
    return static_cast<std::uint64_t>(seconds * 1e9);
}

void pin_this_thread(int core)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<std::size_t>(core), &set);
    if (sched_setaffinity(0, sizeof(set), &set) != 0)
    {
        fail("cannot run on core " + std::to_string(core) + ": " + std::strerror(errno));
    }
}

process_cpu::process_cpu(int pid)
{
    if (pid < 0)
    {
        return;
    }
    const int error = clock_getcpuclockid(pid, &clock_);
    if (error != 0)
    {
        fail("no CPU clock for process " + std::to_string(pid) + ": " + std::strerror(error));
    }
    known_ = true;
}

std::uint64_t process_cpu::read_ns() const noexcept
{
    return known_ ? read_clock_ns(clock_) : 0;
}

int connect_blocking(std::uint16_t port)
{
    const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
    {
        fail(std::string("socket: ") + std::strerror(errno));
    }
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0)
    {
        fail("connect to port " + std::to_string(port) + ": " + std::strerror(errno));
    }
    const int on = 1;
    setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return descriptor;
}

void make_nonblocking(int descriptor)
{
    const int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0 || fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) != 0)
    {
        fail(std::string("fcntl: ") + std::strerror(errno));
    }
}

namespace
{

struct socket_pair
{
    int near = -1;
    int far = -1;
};

socket_pair make_loopback_pair()
{
    const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    if (listener < 0 || bind(listener, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
        listen(listener, 1) != 0 ||
        getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    {
        fail(std::string("calibration listener: ") + std::strerror(errno));
    }
    socket_pair pair;
    pair.near = connect_blocking(ntohs(address.sin_port));
    pair.far = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    close(listener);
    if (pair.far < 0)
    {
        fail(std::string("calibration accept: ") + std::strerror(errno));
    }
    return pair;
}

// Batches are short and the median of their costs is taken, so that one interruption does not
// count.
double measure_pair(const socket_pair& pair, std::size_t payload)
{
    constexpr std::size_t per_batch = 250;
    constexpr std::size_t batches_max = 400;
    const std::uint64_t deadline = now_ns() + 50'000'000;
    std::vector<char> buffer(payload, 'c');
    std::vector<double> costs;
    for (std::size_t batch = 0; batch < batches_max && now_ns() < deadline; ++batch)
    {
        const std::uint64_t begin = read_clock_ns(CLOCK_THREAD_CPUTIME_ID);
        for (std::size_t index = 0; index < per_batch; ++index)
        {
            if (send(pair.near, buffer.data(), payload, MSG_NOSIGNAL) !=
                    static_cast<ssize_t>(payload) ||
                recv(pair.far, buffer.data(), payload, MSG_WAITALL) !=
                    static_cast<ssize_t>(payload))
            {
                fail("calibration transfer failed");
            }
        }
        const std::uint64_t cost = read_clock_ns(CLOCK_THREAD_CPUTIME_ID) - begin;
        costs.push_back(static_cast<double>(cost) / static_cast<double>(per_batch));
    }
    std::nth_element(costs.begin(), costs.begin() + static_cast<std::ptrdiff_t>(costs.size() / 2),
                     costs.end());
    return costs[costs.size() / 2];
}

} // namespace

double calibrate_ns(int core, std::size_t payload)
{
    if (core < 0)
    {
        return 0;
    }
    double cost = 0;
    std::thread worker([&] {
        pin_this_thread(core);
        const socket_pair pair = make_loopback_pair();
        cost = measure_pair(pair, std::min<std::size_t>(payload, 16384));
        close(pair.near);
        close(pair.far);
    });
    worker.join();
    return cost;
}

json_object& json_object::add_raw(const std::string& key, const std::string& value)
{
    body_ += (body_.empty() ? "\"" : ", \"") + key + "\": " + value;
    return *this;
}

json_object& json_object::add(const std::string& key, double value)
{
    char text[64];
    std::snprintf(text, sizeof(text), "%.3f", value);
    return add_raw(key, text);
}

json_object& json_object::add(const std::string& key, std::uint64_t value)
{
    return add_raw(key, std::to_string(value));
}

json_object& json_object::add(const std::string& key, const std::string& value)
{
    return add_raw(key, "\"" + value + "\"");
}

json_object& json_object::add(const std::string& key, const json_object& value)
{
    return add_raw(key, value.text());
}

std::string json_object::text() const
{
    return "{" + body_ + "}";
}

json_object latency_json(const histogram& latencies_ns)
{
    const auto microseconds = [](std::uint64_t ns) { return static_cast<double>(ns) / 1000.0; };
    json_object object;
    object.add("p50", microseconds(latencies_ns.quantile(0.50)))
        .add("p90", microseconds(latencies_ns.quantile(0.90)))
        .add("p99", microseconds(latencies_ns.quantile(0.99)))
        .add("p999", microseconds(latencies_ns.quantile(0.999)))
        .add("max", microseconds(latencies_ns.max()));
    return object;
}

} // namespace loadgen
