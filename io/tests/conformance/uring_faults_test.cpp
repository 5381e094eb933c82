// Rings whose kernel misbehaves: interruptions, refused submissions, files that will not wait.
// Thread rule: the test's thread.
#include "conformance/stage.hpp"

#include "support/dying.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cerrno>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <fcntl.h>
#include <linux/io_uring.h>

using namespace blitzio::conformance;

namespace
{

/// Numbers that system calls never let out: ERESTARTSYS and its kin.
constexpr std::int32_t restart_numbers[] = {-EINTR, -512, -513, -514, -516};

/// A kernel that a test tells what to answer.
class faulty_ring
{
public:
    explicit faulty_ring(world_options options = {})
    {
        seam_.context = this;
        seam_.before_submission = [](void* self) noexcept {
            return static_cast<faulty_ring*>(self)->refuse();
        };
        seam_.on_result = [](void* self, int opcode, std::int32_t result) noexcept {
            const auto& change = static_cast<faulty_ring*>(self)->change_result;
            return change ? change(opcode, result) : result;
        };
        options.seam = &seam_;
        seam_.without = options.uring_without;
        std::string reason;
        ring_ = make_uring_world(options, reason);
        if (ring_ == nullptr)
        {
            SKIP("io_uring is not available: " << reason);
        }
    }

    world& operator*() noexcept
    {
        return *ring_;
    }
    world* operator->() noexcept
    {
        return ring_.get();
    }

    std::function<std::int32_t(int opcode, std::int32_t result)> change_result;
    int refusal = -EBUSY;
    int refusals_left = 0;

private:
    int refuse() noexcept
    {
        if (refusals_left == 0)
        {
            return 0;
        }
        --refusals_left;
        return refusal;
    }

    blitzio::detail::uring_test_seam seam_;
    std::unique_ptr<world> ring_;
};

constexpr int for_ever = 1'000'000;

} // namespace

TEST_CASE("a file that would have to wait is read and written by a thread", "[conformance][uring]")
{
    faulty_ring ring;
    stage scene(*ring);
    scene.file("f", "abcdef");
    const int fd = scene.open("f", open_flags::read | open_flags::write);
    int asked = 0;
    ring.change_result = [&](int opcode, std::int32_t result) {
        const bool is_transfer = opcode == IORING_OP_READ || opcode == IORING_OP_WRITE;
        asked += is_transfer ? 1 : 0;
        return is_transfer ? -EAGAIN : result;
    };
    for (int round = 0; round < 20; ++round)
    {
        request reading(op_kind::read_at);
        stage::transfer(reading, fd, scene.buffer.data(), 3, 2);
        REQUIRE(ring->run(reading) == 3);
        CHECK(std::string(scene.buffer.data(), 3) == (round == 0 ? "cde" : "c!!"));
        request writing(op_kind::write_at);
        char text[] = "!!";
        stage::transfer(writing, fd, text, 2, 3);
        REQUIRE(ring->run(writing) == 2);
    }
    CHECK(asked == 40);
    CHECK(scene.contents("f") == "abc!!f");
    CHECK(ring->in_flight() == 0);
    // Errors come through as well.
    request wrong(op_kind::read_at);
    stage::transfer(wrong, scene.open("f", open_flags::write), scene.buffer.data(), 1);
    CHECK(ring->run(wrong) == -EBADF);
}

TEST_CASE("a read that was cancelled is not given to a thread any more",
          "[conformance][uring][cancel]")
{
    faulty_ring ring;
    stage scene(*ring);
    scene.file("f", "abcdef");
    const int fd = scene.open("f");
    ring.change_result = [](int opcode, std::int32_t result) {
        return opcode == IORING_OP_READ ? -EAGAIN : result;
    };
    request reading(op_kind::read_at);
    reading.cancellable = true;
    stage::transfer(reading, fd, scene.buffer.data(), 3);
    ring->start(reading);
    ring->cancel(reading);
    CHECK(ring->finish(reading) == -ECANCELED);
    ring->settle();
    CHECK(reading.times_continued == 1);
}

TEST_CASE("an interrupted connect is told, an interrupted close is a close", "[conformance][uring]")
{
    for (const std::int32_t number : restart_numbers)
    {
        INFO("interrupted with " << number);
        faulty_ring ring;
        stage scene(*ring);
        static_cast<void>(scene.listener());
        ring.change_result = [number](int opcode, std::int32_t result) {
            return opcode == IORING_OP_CONNECT || opcode == IORING_OP_CLOSE ? number : result;
        };
        // It goes on being made: asking again would be told EALREADY, so nobody asks again.
        request connecting(op_kind::connect);
        stage::peer(connecting, scene.tcp_socket(), &scene.address);
        CHECK(ring->run(connecting) == -EINTR);
        CHECK(connecting.times_continued <= 1);

        const auto both = scene.pipe();
        scene.disown(both.near);
        request closing(op_kind::close, both.near);
        CHECK(ring->run(closing) == 0);
        CHECK(::fcntl(both.near, F_GETFD) == -1);
        CHECK(ring->in_flight() == 0);
    }
}

TEST_CASE("an interruption by a cancel request is a cancellation", "[conformance][uring][cancel]")
{
    for (const std::int32_t number : restart_numbers)
    {
        INFO("interrupted with " << number);
        faulty_ring ring;
        stage scene(*ring);
        const auto both = scene.unix_pair();
        request receiving(op_kind::recv);
        receiving.cancellable = true;
        stage::transfer(receiving, both.near, scene.buffer.data(), 1);
        ring->start(receiving);
        ring->settle();
        int changed = 0;
        ring.change_result = [&](int opcode, std::int32_t result) {
            const bool is_it = opcode == IORING_OP_RECV && result == -ECANCELED;
            changed += is_it ? 1 : 0;
            return is_it ? number : result;
        };
        ring->cancel(receiving);
        CHECK(ring->finish(receiving) == -ECANCELED);
        CHECK(changed == 1);
        ring.change_result = nullptr;
        scene.send(both.far, "k");
        CHECK(scene.recv(both.near, 1) == "k");
    }
}

TEST_CASE("interrupted operations that find no room when they are repeated say so",
          "[conformance][uring]")
{
    faulty_ring ring({.ring_entries = 16});
    std::deque<request> all;
    int interruptions = 100;
    for (int index = 0; index < interruptions; ++index)
    {
        ring->start(all.emplace_back(op_kind::nop));
    }
    ring.change_result = [&](int, std::int32_t result) {
        return interruptions-- > 0 ? -EINTR : result;
    };
    ring.refusals_left = for_ever;
    int repeated = 0;
    int refused = 0;
    for (request& each : all)
    {
        const std::int32_t result = ring->finish(each);
        repeated += result == 0 ? 1 : 0;
        refused += result == -EBUSY ? 1 : 0;
    }
    CHECK(repeated + refused == 100);
    CHECK(repeated >= 16);
    CHECK(refused > 0);
    for (const request& each : all)
    {
        CHECK(each.times_continued + (each.done && each.times_continued == 0 ? 1 : 0) == 1);
    }
    CHECK(ring->in_flight() == 0);
}

TEST_CASE("leased reads that find no room lose nothing", "[conformance][uring][lease]")
{
    for (const std::uint32_t without : {0u, blitzio::detail::uring_features::provided_buffers})
    {
        INFO((without == 0 ? "with" : "without") << " provided buffers");
        faulty_ring ring({.ring_entries = 16, .uring_without = without});
        stage scene(*ring);
        constexpr std::size_t count = 40;
        std::vector<stage::pair> pairs;
        std::array<blitzio::detail::buffer_lease, count> leases{};
        std::deque<request> all;
        for (std::size_t index = 0; index < count; ++index)
        {
            pairs.push_back(scene.unix_pair());
        }
        // None is started yet: the queue takes 16, the rest is told at once.
        ring->settle();
        ring.refusals_left = for_ever;
        std::size_t refused = 0;
        for (std::size_t index = 0; index < count; ++index)
        {
            request& wanted = all.emplace_back(op_kind::recv_leased);
            stage::leased(wanted, pairs[index].near, &leases[index]);
            if (ring->start(wanted))
            {
                CHECK(wanted.result == -EBUSY);
                ++refused;
            }
        }
        CHECK(refused >= count - 16);
        CHECK(refused < count);
        ring.refusals_left = 0;
        for (const auto& each : pairs)
        {
            scene.send(each.far, "x");
        }
        std::size_t received = 0;
        for (std::size_t index = 0; index < count; ++index)
        {
            if (ring->finish(all[index]) == -EBUSY)
            {
                CHECK(scene.recv(pairs[index].near, 1) == "x");
                continue;
            }
            CHECK(stage::take(leases[index], all[index].result) == "x");
            ++received;
        }
        CHECK(received == count - refused);
    }
}

TEST_CASE("interrupted waits for a lease that find no room when they are repeated say so",
          "[conformance][uring][lease]")
{
    faulty_ring ring(
        {.ring_entries = 16, .uring_without = blitzio::detail::uring_features::provided_buffers});
    stage scene(*ring);
    constexpr std::size_t count = 60;
    std::vector<stage::pair> pairs;
    std::array<blitzio::detail::buffer_lease, count> leases{};
    std::deque<request> all;
    for (std::size_t index = 0; index < count; ++index)
    {
        pairs.push_back(scene.unix_pair());
        request& wanted = all.emplace_back(op_kind::recv_leased);
        stage::leased(wanted, pairs.back().near, &leases[index]);
        CHECK_FALSE(ring->start(wanted));
    }
    ring->settle();
    for (const auto& each : pairs)
    {
        scene.disown(each.far);
        char byte = 'x';
        REQUIRE(::write(each.far, &byte, 1) == 1);
        REQUIRE(ring->os().close(each.far) == 0);
    }
    std::size_t interruptions = count;
    ring.change_result = [&](int, std::int32_t result) {
        return interruptions != 0 && interruptions-- > 0 ? -EINTR : result;
    };
    ring.refusals_left = for_ever;
    std::size_t received = 0;
    for (std::size_t index = 0; index < count; ++index)
    {
        const std::int32_t result = ring->finish(all[index]);
        if (result == 1)
        {
            CHECK(stage::take(leases[index], result) == "x");
            ++received;
            continue;
        }
        CHECK(result == -EBUSY);
        ring.refusals_left = 0;
        CHECK(scene.recv(pairs[index].near, 1) == "x");
        ring.refusals_left = for_ever;
    }
    CHECK(received >= 16);
    CHECK(ring->in_flight() == 0);
}

TEST_CASE("an interrupted operation that is cancelled before its repetition is not repeated",
          "[conformance][uring][cancel]")
{
    faulty_ring ring({.ring_entries = 16});
    stage scene(*ring);
    const auto both = scene.unix_pair();
    scene.send(both.far, "x");
    request receiving(op_kind::recv);
    receiving.cancellable = true;
    stage::transfer(receiving, both.near, scene.buffer.data(), 1);
    bool interrupted = false;
    ring.change_result = [&](int opcode, std::int32_t result) {
        if (opcode == IORING_OP_RECV && !interrupted)
        {
            interrupted = true;
            return -EINTR;
        }
        return result;
    };
    ring->start(receiving);
    // A full queue that the kernel refuses makes the driver take out completions on the way.
    std::deque<request> others;
    for (int index = 0; index < 15; ++index)
    {
        ring->start(others.emplace_back(op_kind::nop));
    }
    ring->start(others.emplace_back(op_kind::nop)); // hands over all of them
    for (int index = 0; index < 15; ++index)
    {
        ring->start(others.emplace_back(op_kind::nop));
    }
    ring.refusals_left = 1;
    ring->start(others.emplace_back(op_kind::nop));
    REQUIRE(interrupted);
    REQUIRE_FALSE(receiving.done);
    ring->cancel(receiving);
    CHECK(ring->finish(receiving) == -ECANCELED);
    for (request& each : others)
    {
        CHECK(ring->finish(each) == 0);
    }
    CHECK(ring->in_flight() == 0);
}

TEST_CASE("a ring that the kernel no longer serves ends the process with the reason",
          "[conformance][uring][dying]")
{
    {
        const faulty_ring available; // or the case is skipped
    }
    const auto end = blitzio::test::end_of([] {
        faulty_ring ring({.ring_entries = 16});
        ring.refusal = -EINVAL;
        ring.refusals_left = 1;
        std::deque<request> all;
        for (int index = 0; index < 17; ++index)
        {
            ring->start(all.emplace_back(op_kind::nop));
        }
    });
    CHECK(end.signal == SIGABRT);
    CHECK(end.says("io_uring: submission failed: Invalid argument"));
}
