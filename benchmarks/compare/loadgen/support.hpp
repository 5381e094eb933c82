// What every mode of the load generator needs: options, clocks, pinning, sockets, calibration,
// JSON. All of it is called from the main thread only, except where a comment says otherwise.
#pragma once

#include "histogram.hpp"

#include <cstddef>
#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

namespace loadgen
{

struct options
{
    std::string mode;
    std::uint16_t port = 0;
    double seconds = 1.0;
    double warmup_seconds = 0.2;
    int core = -1;           // where the load generator runs; -1: anywhere
    int calibrate_core = -1; // where the server runs; -1: no calibration
    int server_pid = -1;     // whose CPU time is measured; -1: nobody's
    bool spin = false; // never sleep in epoll: for a load generator that has a core for itself
    std::uint64_t requests_max = 500'000'000;

    std::size_t connections = 1;
    std::size_t payload = 64;
    std::size_t depth = 1;

    double cheap_rate = 2000;
    std::size_t cheap_connections = 4;
    std::size_t heavy_connections = 2;
    std::size_t heavy_payload = 1024;
    std::uint32_t heavy_work = 4000;
};

// Exits with status 2 and a message naming the argument when it is unknown or out of its range.
options parse_options(int argc, char** argv);

[[noreturn]] void fail(const std::string& message);

std::uint64_t now_ns() noexcept;
std::uint64_t seconds_to_ns(double seconds) noexcept;
void pin_this_thread(int core);

// CPU time of a whole process (all its threads, also those that have ended) with the kernel's
// nanosecond clock: /proc counts in ticks of 10 ms, which is too coarse for windows below a second.
class process_cpu
{
public:
    explicit process_cpu(int pid);
    [[nodiscard]] std::uint64_t read_ns() const noexcept;

private:
    clockid_t clock_ = 0;
    bool known_ = false;
};

// Blocking connect to 127.0.0.1:port with TCP_NODELAY.
int connect_blocking(std::uint16_t port);
void make_nonblocking(int descriptor);

// CPU nanoseconds of one send + recv of `payload` bytes through a loopback TCP pair whose ends are
// both held by one thread pinned to `core`: a unit for the speed of that core's kernel at this very
// moment. 0 when core < 0.
double calibrate_ns(int core, std::size_t payload);

// The figures of one measuring window.
struct window
{
    std::uint64_t begin_ns = 0;
    std::uint64_t end_ns = 0;
    std::uint64_t server_cpu_ns = 0;
    std::uint64_t own_cpu_ns = 0;
};

class json_object
{
public:
    json_object& add(const std::string& key, double value);
    json_object& add(const std::string& key, std::uint64_t value);
    json_object& add(const std::string& key, const std::string& value);
    json_object& add(const std::string& key, const json_object& value);
    [[nodiscard]] std::string text() const;

private:
    json_object& add_raw(const std::string& key, const std::string& value);
    std::string body_;
};

json_object latency_json(const histogram& latencies_ns);

int run_echo(const options& opts);
int run_mixed(const options& opts);
int run_verify_mixed(const options& opts);

} // namespace loadgen
