// A server for cheap and heavy requests on the same connections: cheap ones are answered on the I/O
// workers, heavy ones on the compute pool, so that nobody waits behind somebody else's computation.
//
//     mixed_workload [--port P] [--threads N] [--compute C] [--courtesy 0|1]
//     mixed_workload --show MILLISECONDS [--threads N] [--compute C]
//
// The second form is its own client: it measures how fast cheap requests are answered beside heavy
// ones, first with computations that give way to I/O, then without, and prints both beside the
// number of computations; the runs alternate, so that a slow moment of the machine meets both.
//
// Request: u32le N, then N bytes: u32le W and N - 4 bytes of payload. Answer: u64le, in the order
// of the requests. N is 4 to 1 MiB; any other length closes the connection. Port 0: any, printed.
// Thread rule: one task per connection; it owns its buffers.
#include "support/accept_all.hpp"
#include "support/arguments.hpp"
#include "support/little_endian.hpp"
#include "support/mixed_client.hpp"

#include <blitzio/blitzio.hpp>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace bz = blitzio;

namespace
{

constexpr std::size_t request_bytes_max = 1024 * 1024;
constexpr std::size_t buffer_bytes = 16 * 1024;
constexpr std::uint64_t golden = 0x9E3779B97F4A7C15;

/// The work of a request: W + 1 rounds over the payload's words.
std::uint64_t mix(std::span<const std::byte> payload, std::uint32_t rounds)
{
    const auto step = [](std::uint64_t h, std::uint64_t word) {
        h = (h ^ word) + golden;
        h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9;
        h = (h ^ (h >> 27)) * 0x94D049BB133111EB;
        return h ^ (h >> 31);
    };
    std::uint64_t h = golden ^ payload.size();
    const std::size_t whole = payload.size() / 8 * 8;
    for (std::uint64_t round = 0; round <= rounds; ++round)
    {
        for (std::size_t at = 0; at < whole; at += 8)
        {
            std::uint64_t word = 0;
            std::memcpy(&word, payload.data() + at, sizeof word);
            h = step(h, word + round);
        }
        if (whole != payload.size())
        {
            h = step(h, example::load_u64_padded(payload.subspan(whole)) + round);
        }
    }
    return h;
}

/// Reads what is there, answers every whole request in it, and sends the answers together, though
/// never later than the next heavy request begins.
bz::task<bz::result<void>> serve(bz::net::tcp_stream stream, bz::compute::pool& pool)
{
    std::vector<std::byte> input(buffer_bytes);
    std::vector<std::byte> answers;
    std::size_t filled = 0;
    for (;;)
    {
        const std::size_t got =
            co_await bz::try_(stream.read_some(std::span(input).subspan(filled)));
        if (got == 0)
        {
            co_return {};
        }
        filled += got;
        std::size_t used = 0;
        while (filled - used >= 4)
        {
            const std::size_t length = example::load_u32(std::span(input).subspan(used));
            if (length < 4 || length > request_bytes_max)
            {
                co_await bz::try_(stream.write_all(answers));
                co_return bz::fail(std::errc::bad_message);
            }
            if (filled - used < 4 + length)
            {
                input.resize(std::max(input.size(), used + 4 + length));
                break;
            }
            const std::span<const std::byte> body(input.data() + used + 4, length);
            const std::uint32_t rounds = example::load_u32(body);
            const auto payload = body.subspan(4);
            if (rounds == 0)
            {
                example::append_u64(answers, mix(payload, 0));
            }
            else
            {
                co_await bz::try_(stream.write_all(answers));
                answers.clear();
                example::append_u64(answers, co_await bz::try_(bz::compute_on(
                                                 pool, [=] { return mix(payload, rounds); })));
            }
            used += 4 + length;
        }
        co_await bz::try_(stream.write_all(answers));
        answers.clear();
        std::memmove(input.data(), input.data() + used, filled - used);
        filled -= used;
    }
}

bz::task<bz::result<void>> listen(std::uint16_t port, bz::compute::pool& pool)
{
    const bz::net::endpoint where{bz::net::ipv4::loopback(), port};
    auto listener = co_await bz::try_(bz::net::tcp_listener::bind(where));
    std::printf("listening on %s\n", to_string(*listener.local_endpoint()).c_str());
    std::fflush(stdout);
    co_return co_await example::accept_all(
        listener, [&pool](bz::net::tcp_stream stream) { return serve(std::move(stream), pool); });
}

/// How many rounds over a kilobyte take about 1.8 ms here.
std::uint32_t rounds_of_a_heavy_request()
{
    const std::vector<std::byte> payload(1024);
    std::uint32_t rounds = 1;
    for (;;)
    {
        const auto begin = std::chrono::steady_clock::now();
        const volatile std::uint64_t kept = mix(payload, rounds);
        static_cast<void>(kept);
        const std::chrono::duration<double, std::milli> took =
            std::chrono::steady_clock::now() - begin;
        if (took.count() > 0.9)
        {
            return static_cast<std::uint32_t>(rounds * 1.8 / took.count());
        }
        rounds *= 2;
    }
}

struct setting
{
    unsigned threads;
    unsigned compute;
};

struct figures
{
    double p50 = 0;
    double p99 = 0;
    double p999 = 0;
    double heavy = 0;
};

bz::compute::pool make_pool(unsigned threads, bz::compute::courtesy give_way)
{
    bz::compute::pool_config config;
    config.threads = threads;
    config.give_way = give_way;
    return bz::compute::pool(std::move(config));
}

/// Serves until the client has finished. The client blocks a thread of its own, and has a runtime of
/// its own there.
bz::task<bz::result<void>> serve_until(bz::compute::pool& pool, unsigned heavy_connections,
                                       std::uint32_t rounds, std::chrono::milliseconds duration,
                                       figures& measured)
{
    const bz::net::endpoint where{bz::net::ipv4::loopback(), 0};
    auto listener = co_await bz::try_(bz::net::tcp_listener::bind(where));
    example::mixed_client client(*listener.local_endpoint(), heavy_connections, rounds, duration);
    co_return co_await bz::scope([&](bz::task_group& group) -> bz::task<bz::result<void>> {
        group.spawn([&]() -> bz::task<void> {
            static_cast<void>(
                co_await example::accept_all(listener, [&pool](bz::net::tcp_stream stream) {
                    return serve(std::move(stream), pool);
                }));
        });
        const auto loaded = co_await bz::spawn_blocking([&client] { return client.run(); });
        group.request_stop();
        measured = {client.cheap_us(0.5), client.cheap_us(0.99), client.cheap_us(0.999),
                    client.heavy_per_second()};
        co_return loaded;
    });
}

void print(const char* what, const figures& each)
{
    std::printf("%-14s %9.0f %9.0f %9.0f %12.0f\n", what, each.p50, each.p99, each.p999,
                each.heavy);
}

bz::result<void> show(const setting& given, std::chrono::milliseconds duration)
{
    const std::uint32_t rounds = rounds_of_a_heavy_request();
    std::printf("%-14s %9s %9s %9s %12s\n", "courtesy", "p50 us", "p99 us", "p99.9 us",
                "computed/s");
    std::string explanation;
    for (int run = 0; run < 2; ++run)
    {
        for (const auto give_way : {bz::compute::courtesy::on, bz::compute::courtesy::off})
        {
            bz::compute::pool pool = make_pool(given.compute, give_way);
            bz::runtime runtime({.io_threads = given.threads, .name = "mixed"});
            figures measured;
            const auto ended = runtime.block_on(
                serve_until(pool, 2 * pool.threads(), rounds, duration / 4, measured));
            if (!ended)
            {
                return ended;
            }
            const bool on = give_way == bz::compute::courtesy::on;
            print(on ? "on" : "off", measured);
            explanation = on ? pool.explain() : explanation;
        }
    }
    std::printf("\n%s", explanation.c_str());
    return {};
}

} // namespace

int main(int argc, char** argv)
{
    const example::arguments given(argc, argv,
                                   {"--port", "--threads", "--compute", "--courtesy", "--show"});
    const setting wanted{.threads = given.number("--threads", 0, 512),
                         .compute = given.number("--compute", 0, bz::compute::threads_max)};
    if (const unsigned milliseconds = given.number("--show", 0, 3'600'000); milliseconds != 0)
    {
        return example::exit_code(show(wanted, std::chrono::milliseconds(milliseconds)),
                                  "mixed_workload");
    }
    const auto port = static_cast<std::uint16_t>(given.number("--port", 0, 65535));
    const bool polite = given.number("--courtesy", 1, 1) == 1;
    auto pool = make_pool(wanted.compute,
                          polite ? bz::compute::courtesy::automatic : bz::compute::courtesy::off);
    bz::runtime runtime({.io_threads = wanted.threads, .name = "mixed"});
    return example::exit_code(runtime.block_on(listen(port, pool)), "mixed_workload");
}
