// Entry point and command line of the neutral load generator: `loadgen echo|mixed|verify-mixed
// --port P ...`. Single-threaded; one JSON object on stdout. Exit status: 0 all answers right, 1
// some wrong or missing, 2 no run.
#include "support.hpp"

#include <sys/prctl.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>

namespace loadgen
{
namespace
{

double parse_number(const std::string& name, const char* text, double low, double high)
{
    char* end = nullptr;
    errno = 0;
    const double value = std::strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !(value >= low && value <= high))
    {
        fail(name + " " + text + ": expected a number from " + std::to_string(low) + " to " +
             std::to_string(high));
    }
    return value;
}

template <typename Number>
std::function<void(const char*)> number(const char* name, Number& target, double low, double high)
{
    return [=, &target](const char* text) {
        target = static_cast<Number>(parse_number(name, text, low, high));
    };
}

} // namespace

options parse_options(int argc, char** argv)
{
    options opts;
    if (argc < 2)
    {
        fail("usage: loadgen echo|mixed|verify-mixed --port P [options]");
    }
    opts.mode = argv[1];
    std::map<std::string, std::function<void(const char*)>> known;
    const auto define = [&](const char* name, auto& target, double low, double high) {
        known[name] = number(name, target, low, high);
    };
    define("--port", opts.port, 1, 65535);
    define("--seconds", opts.seconds, 0.01, 600);
    define("--warmup", opts.warmup_seconds, 0, 60);
    define("--core", opts.core, 0, 1023);
    define("--calibrate-core", opts.calibrate_core, 0, 1023);
    define("--server-pid", opts.server_pid, 1, 1 << 30);
    define("--spin", opts.spin, 0, 1);
    define("--max-requests", opts.requests_max, 1, 1e12);
    define("--connections", opts.connections, 1, 100'000);
    define("--payload", opts.payload, 1, 65536);
    define("--depth", opts.depth, 1, 1024);
    define("--cheap-rate", opts.cheap_rate, 1, 1e6);
    define("--cheap-connections", opts.cheap_connections, 1, 10'000);
    define("--heavy-connections", opts.heavy_connections, 0, 10'000);
    define("--heavy-payload", opts.heavy_payload, 0, 1 << 20);
    define("--heavy-work", opts.heavy_work, 1, 1e9);
    for (int index = 2; index < argc; index += 2)
    {
        const auto found = known.find(argv[index]);
        if (found == known.end() || index + 1 >= argc)
        {
            fail(std::string("unknown option or missing value: ") + argv[index]);
        }
        found->second(argv[index + 1]);
    }
    if (opts.port == 0)
    {
        fail("--port is required");
    }
    return opts;
}

} // namespace loadgen

int main(int argc, char** argv)
{
    const loadgen::options opts = loadgen::parse_options(argc, argv);
    std::signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL);
    if (opts.core >= 0)
    {
        loadgen::pin_this_thread(opts.core);
    }
    if (opts.mode == "echo")
    {
        return loadgen::run_echo(opts);
    }
    if (opts.mode == "mixed")
    {
        return loadgen::run_mixed(opts);
    }
    if (opts.mode == "verify-mixed")
    {
        return loadgen::run_verify_mixed(opts);
    }
    loadgen::fail("unknown mode: " + opts.mode);
}
