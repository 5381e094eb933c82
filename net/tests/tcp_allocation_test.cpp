// The hot path of a connection: no allocation for an operation, whichever way it completes.
// Thread rule: the test's thread; one worker, so that nobody else allocates meanwhile.
#include "support.hpp"

#include <blitzio/io/timeout.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <chrono>
#include <memory>

using namespace net_tests;
using namespace std::chrono_literals;

namespace
{

constexpr int rounds = 1000;

bz::task<void> answer(net::tcp_stream& stream, int count)
{
    std::array<std::byte, 256> buffer;
    for (int round = 0; round < count; ++round)
    {
        const auto got = co_await stream.read_some(buffer);
        if (!got || *got == 0)
        {
            co_return;
        }
        EXPECT((co_await stream.write_all(std::span(buffer).first(*got))).has_value());
    }
}

bz::task<void> ask(net::tcp_stream& stream, int count, std::uint64_t& used)
{
    std::array<std::byte, 256> buffer{};
    const auto before = allocations();
    for (int round = 0; round < count; ++round)
    {
        EXPECT((co_await stream.write_all(buffer)).has_value());
        EXPECT((co_await stream.read_exactly(buffer)).has_value());
    }
    used = allocations() - before;
}

} // namespace

TEST_CASE("allocations are counted")
{
    if (!BLITZIO_TESTS_COUNT_ALLOCATIONS)
    {
        SKIP("the sanitizer brings its own operator new");
    }
    const auto before = allocations();
    const auto used = std::make_unique<std::string>(100, 'x');
    CHECK(allocations() - before == 2);
    CHECK(used->size() == 100);
}

TEST_CASE("reading and writing allocate nothing")
{
    on_kernel_runtimes([](bool) -> bz::task<void> {
        auto pair = co_await connect_pair();
        std::uint64_t warm_up = 0;
        co_await bz::when_all(answer(pair.server, rounds), ask(pair.client, rounds, warm_up));
        std::uint64_t used = 0;
        co_await bz::when_all(answer(pair.server, rounds), ask(pair.client, rounds, used));
        EXPECT(used == 0);
    });
}

TEST_CASE("large transfers that take many steps allocate nothing")
{
    on_kernel_runtimes([](bool) -> bz::task<void> {
        auto pair = co_await connect_pair();
        const std::string data = pattern(4 * 1024 * 1024);
        std::string received(data.size(), '\0');
        co_await bz::when_all(pair.client.write_all(data),
                              pair.server.read_exactly(writable(received)));
        const auto before = allocations();
        co_await bz::when_all(pair.client.write_all(data),
                              pair.server.read_exactly(writable(received)));
        EXPECT(allocations() == before);
        EXPECT(received == data);
    });
}

TEST_CASE("a read with a deadline allocates nothing")
{
    on_kernel_runtimes([](bool) -> bz::task<void> {
        auto pair = co_await connect_pair();
        std::array<std::byte, 16> buffer;
        static_cast<void>(co_await bz::timeout(1ms, pair.client.read_some(buffer)));
        const auto before = allocations();
        for (int round = 0; round < 20; ++round)
        {
            EXPECT(!co_await bz::timeout(1ms, pair.client.read_some(buffer)));
            EXPECT((co_await pair.server.write_some("x")).has_value());
            EXPECT(co_await bz::timeout(10s, pair.client.read_some(buffer)) == 1u);
        }
        EXPECT(allocations() == before);
    });
}
