// A user's program: one exchange over TCP on the loopback, its answer computed on the pool.
// Thread rule: main thread, two workers, two compute threads.
#include <blitzio/bridge/compute_on.hpp>
#include <blitzio/compute/pool.hpp>
#include <blitzio/io/runtime.hpp>
#include <blitzio/io/try.hpp>
#include <blitzio/net/endpoint.hpp>
#include <blitzio/net/tcp_listener.hpp>
#include <blitzio/net/tcp_stream.hpp>

#include <array>
#include <cstddef>
#include <cstdio>
#include <numeric>
#include <span>
#include <string>

namespace
{

blitzio::task<blitzio::result<int>> exchange(blitzio::compute::pool& pool)
{
    const auto anywhere = blitzio::net::endpoint::parse("127.0.0.1:0").value();
    auto listener = co_await blitzio::try_(blitzio::net::tcp_listener::bind(anywhere));
    const auto where = co_await blitzio::try_(listener.local_endpoint());
    auto client = co_await blitzio::try_(blitzio::net::tcp_stream::connect(where));
    auto server = co_await blitzio::try_(listener.accept());

    const std::array<std::byte, 4> sent{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
    co_await blitzio::try_(client.write_all(sent));
    std::array<std::byte, 4> received{};
    co_await blitzio::try_(server.read_exactly(received));

    co_return co_await blitzio::compute_on(pool, [&received] {
        return std::accumulate(received.begin(), received.end(), 0, [](int sum, std::byte value) {
            return sum + static_cast<int>(value);
        });
    });
}

} // namespace

int main()
{
    blitzio::runtime runtime{{.io_threads = 2}};
    blitzio::compute::pool pool{{.threads = 2}};
    const auto outcome = runtime.block_on(exchange(pool));
    if (!outcome)
    {
        std::printf("the exchange failed: %s\n", outcome.error().message().c_str());
        return 1;
    }
    std::printf("the bytes add up to %d\n", *outcome);
    return *outcome == 10 ? 0 : 1;
}
