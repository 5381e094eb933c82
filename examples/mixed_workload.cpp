// A server for cheap and heavy requests on the same connections: cheap ones are answered on the I/O
// workers, heavy ones on the compute pool, so that nobody waits behind somebody else's computation.
//
//     mixed_workload [--port P] [--threads N] [--compute C]
//
// Request: u32le N, then N bytes: u32le W and N - 4 bytes of payload. Answer: u64le, in the order
// of the requests. N is 4 to 1 MiB; any other length closes the connection. Port 0: any, printed.
// Thread rule: one task per connection; it owns its buffers.
#include "support/accept_all.hpp"
#include "support/arguments.hpp"
#include "support/little_endian.hpp"

#include <blitzio/blitzio.hpp>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <span>
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
    std::uint64_t h = golden ^ payload.size();
    for (std::uint64_t round = 0; round <= rounds; ++round)
    {
        for (std::size_t at = 0; at < payload.size(); at += 8)
        {
            h = (h ^ (example::load_u64_padded(payload.subspan(at)) + round)) + golden;
            h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9;
            h = (h ^ (h >> 27)) * 0x94D049BB133111EB;
            h ^= h >> 31;
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

} // namespace

int main(int argc, char** argv)
{
    const example::arguments given(argc, argv, {"--port", "--threads", "--compute"});
    const auto port = static_cast<std::uint16_t>(given.number("--port", 0, 65535));
    bz::compute::pool pool({.threads = given.number("--compute", 0, bz::compute::threads_max)});
    bz::runtime runtime({.io_threads = given.number("--threads", 0, 512), .name = "mixed"});
    return example::exit_code(runtime.block_on(listen(port, pool)), "mixed_workload");
}
