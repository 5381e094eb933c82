// Leased reads on every driver: where buffers come from, what happens when there are none, that a
// read which waits holds none. Thread rule: the test's thread, and threads that drop leases.
#include "conformance/stage.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string>
#include <thread>
#include <vector>

using namespace blitzio::conformance;
using blitzio::leased_buffer;
using blitzio::detail::buffer_lease;

namespace
{

struct leased_read
{
    leased_read() : wanted(op_kind::recv_leased) {}

    request wanted;
    buffer_lease lease;

    void aim(int fd, std::size_t length = 0)
    {
        stage::leased(wanted, fd, &lease, length);
    }

    leased_buffer take()
    {
        REQUIRE(wanted.result > 0);
        return leased_buffer(lease, static_cast<std::size_t>(wanted.result));
    }
};

/// One byte each, which no world delivers in parts.
std::string name_of(std::size_t index)
{
    return std::string(1, static_cast<char>('!' + index));
}

std::string text_of(const leased_buffer& buffer)
{
    return {reinterpret_cast<const char*>(buffer.bytes().data()), buffer.size()};
}

leased_buffer lease_from(stage& scene, int fd)
{
    leased_read reading;
    reading.aim(fd);
    static_cast<void>(scene.w.run(reading.wanted));
    return reading.take();
}

/// Small: 16 buffers of 512 bytes for a worker, and 8 more in the pool.
constexpr world_options scarce{
    .read_buffer_bytes = 512, .read_buffers = 16, .pool_bytes = 8 * 1024};

} // namespace

TEST_CASE("leases that are kept use up the worker's buffers, then the pool's, and lose nothing",
          "[conformance][lease]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            const auto both = scene.unix_pair();
            std::vector<leased_buffer> kept;
            std::string sent;
            std::string received;
            for (char letter = 'a'; letter < 'a' + 24; ++letter)
            {
                INFO("lease " << kept.size());
                scene.send(both.far, std::string(1, letter));
                sent += letter;
                kept.push_back(lease_from(scene, both.near));
                received += text_of(kept.back());
            }
            CHECK(received == sent);
            // All addresses differ.
            std::vector<const void*> places;
            for (auto& each : kept)
            {
                places.push_back(each.bytes().data());
            }
            std::ranges::sort(places);
            CHECK(std::ranges::adjacent_find(places) == places.end());

            // Simulated shortages may have left some of the worker's own.
            std::size_t more = 0;
            std::int32_t last = 0;
            for (;;)
            {
                scene.send(both.far, "z");
                leased_read reading;
                reading.aim(both.near);
                last = where.run(reading.wanted);
                if (last < 0)
                {
                    break;
                }
                kept.push_back(reading.take());
                REQUIRE(++more <= 16);
            }
            CHECK(last == -ENOBUFS);
            const auto counters = where.io().read_buffers();
            CHECK(counters.leases == kept.size());
            CHECK(counters.from_pool >= 8);
            CHECK(counters.refusals >= 1);
            // The byte is still there, for whoever has room.
            kept.clear();
            CHECK(text_of(lease_from(scene, both.near)) == "z");
        },
        scarce);
}

TEST_CASE("reads that wait hold no buffer, however many there are", "[conformance][lease]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            constexpr std::size_t count = 64; // of 24 buffers
            std::vector<stage::pair> pairs;
            std::vector<std::unique_ptr<leased_read>> reads;
            for (std::size_t index = 0; index < count; ++index)
            {
                pairs.push_back(scene.unix_pair());
                reads.push_back(std::make_unique<leased_read>());
                reads.back()->aim(pairs.back().near);
                reads.back()->wanted.expect_wait = index % 2 == 0;
                where.start(reads.back()->wanted);
            }
            where.settle();
            CHECK(where.buffers().metrics().buffers_leased == 0);
            for (std::size_t index = 0; index < count; ++index)
            {
                CHECK_FALSE(reads[index]->wanted.done);
            }
            // One after the other: a single buffer would do.
            for (std::size_t index = 0; index < count; ++index)
            {
                INFO("read " << index);
                scene.send(pairs[index].far, name_of(index));
                REQUIRE(where.finish(reads[index]->wanted) == 1);
                CHECK(text_of(reads[index]->take()) == name_of(index));
            }
        },
        scarce);
}

TEST_CASE("many leased reads that become ready at once all get their bytes", "[conformance][lease]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            constexpr std::size_t count = 48;
            std::vector<stage::pair> pairs;
            std::vector<std::unique_ptr<leased_read>> reads;
            for (std::size_t index = 0; index < count; ++index)
            {
                pairs.push_back(scene.unix_pair());
                reads.push_back(std::make_unique<leased_read>());
            }
            for (int round = 0; round < 4; ++round)
            {
                for (std::size_t index = 0; index < count; ++index)
                {
                    reads[index] = std::make_unique<leased_read>();
                    reads[index]->aim(pairs[index].near);
                    where.start(reads[index]->wanted);
                }
                where.settle();
                for (std::size_t index = 0; index < count; ++index)
                {
                    scene.send(pairs[index].far, name_of(index));
                }
                for (std::size_t index = 0; index < count; ++index)
                {
                    REQUIRE(where.finish(reads[index]->wanted) > 0);
                }
                for (std::size_t index = 0; index < count; ++index)
                {
                    CHECK(text_of(reads[index]->take()) == name_of(index));
                }
            }
        },
        {.read_buffer_bytes = 512, .read_buffers = 64});
}

TEST_CASE("a leased read that waits is cancelled without a buffer", "[conformance][lease][cancel]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            const auto both = scene.unix_pair();
            for (const bool keep_all : {false, true})
            {
                INFO("buffers used up: " << keep_all);
                std::vector<leased_buffer> kept;
                while (keep_all && kept.size() < 16)
                {
                    scene.send(both.far, "k");
                    kept.push_back(lease_from(scene, both.near));
                }
                leased_read reading;
                reading.aim(both.near);
                reading.wanted.cancellable = true;
                where.start(reading.wanted);
                where.settle();
                where.cancel(reading.wanted);
                CHECK(where.finish(reading.wanted) == -ECANCELED);
                where.settle();
                CHECK(reading.wanted.times_continued == 1);
            }
            // Nothing hangs on to the socket: what comes later goes to the next read.
            scene.send(both.far, "next");
            CHECK(text_of(lease_from(scene, both.near)).substr(0, 1) == "n");
        },
        scarce);
}

TEST_CASE("a cancel that meets the bytes of a leased read loses neither them nor the buffer",
          "[conformance][lease][cancel]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            const auto both = scene.unix_pair();
            for (int round = 0; round < 40; ++round)
            {
                INFO("round " << round);
                leased_read reading;
                reading.aim(both.near);
                reading.wanted.cancellable = true;
                where.start(reading.wanted);
                if (round % 2 == 0)
                {
                    where.settle();
                }
                scene.send(both.far, "x");
                where.cancel(reading.wanted);
                const std::int32_t result = where.finish(reading.wanted);
                if (result == -ECANCELED)
                {
                    CHECK(text_of(lease_from(scene, both.near)) == "x");
                }
                else
                {
                    CHECK(text_of(reading.take()) == "x");
                }
                where.settle();
            }
        },
        scarce);
}

TEST_CASE("leases come back from other threads, and may outlive the driver", "[conformance][lease]")
{
    std::vector<leased_buffer> survivors;
    on_every_driver(
        [&](world& where) {
            stage scene(where);
            const auto both = scene.unix_pair();
            for (int round = 0; round < 20; ++round)
            {
                std::vector<leased_buffer> passed_on;
                for (int index = 0; index < 16; ++index)
                {
                    scene.send(both.far, "t");
                    passed_on.push_back(lease_from(scene, both.near));
                }
                std::thread other([&] { passed_on.clear(); });
                other.join();
            }
            if (!where.is_simulated())
            {
                // Without those that came back there would be 24 at the most.
                CHECK(where.io().read_buffers().refusals == 0);
            }
            scene.send(both.far, "left over");
            survivors.push_back(lease_from(scene, both.near));
        },
        {.seeds = 4, .read_buffer_bytes = 512, .read_buffers = 16, .pool_bytes = 16 * 1024});
    for (auto& each : survivors)
    {
        CHECK(text_of(each).front() == 'l');
    }
    std::thread other([&] { survivors.clear(); });
    other.join();
}

TEST_CASE("without provided buffers leased reads go on and it is told once", "[conformance][lease]")
{
    std::string reason;
    const auto ring = make_uring_world(
        {.uring_without = blitzio::detail::uring_features::provided_buffers}, reason);
    if (ring == nullptr)
    {
        SKIP("io_uring is not available: " << reason);
    }
    stage scene(*ring);
    const auto both = scene.unix_pair();
    CHECK(ring->notes().empty());
    for (int round = 0; round < 3; ++round)
    {
        scene.send(both.far, "p");
        CHECK(text_of(lease_from(scene, both.near)) == "p");
    }
    const std::string notes = ring->notes();
    CHECK(notes.starts_with("provided buffers: off"));
    CHECK(std::ranges::count(notes, '\n') == 1);
}
