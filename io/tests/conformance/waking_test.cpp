// wait() and wake() of the kernel drivers, with threads. The simulated drivers never block: there
// the simulation's loop decides when time passes. Thread rule: the test's thread owns the
// drivers; others call wake() and use the kernel's side of descriptors.
#include "conformance/stage.hpp"

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <cerrno>
#include <deque>
#include <thread>

#include <sys/socket.h>

using namespace blitzio::conformance;
using steady = std::chrono::steady_clock;

namespace
{

/// How long `body` takes; a lost wake-up shows as all of the patience.
template <class Body>
std::chrono::nanoseconds duration_of(Body body)
{
    const auto begin = steady::now();
    body();
    return steady::now() - begin;
}

constexpr auto promptly = patience / 2;

void wait_once(world& where, std::optional<std::chrono::nanoseconds> timeout)
{
    ready_list ready;
    where.io().wait(ready, timeout);
    where.take(ready);
}

} // namespace

TEST_CASE("the conformance suite includes io_uring", "[conformance]")
{
    std::string reason;
    const auto ring = make_uring_world({}, reason);
    if (ring == nullptr)
    {
        SKIP("io_uring is left out of the conformance suite: " << reason);
    }
    CHECK(ring->name() == "io_uring");
}

TEST_CASE("a wake ends the wait that comes after it", "[conformance][wake]")
{
    on_kernel_drivers([](world& where) {
        for (int round = 0; round < 50; ++round)
        {
            where.io().wake();
            CHECK(duration_of([&] { wait_once(where, patience); }) < promptly);
        }
    });
}

TEST_CASE("a wake is not used up by polling", "[conformance][wake]")
{
    on_kernel_drivers([](world& where) {
        for (int round = 0; round < 50; ++round)
        {
            where.io().wake();
            where.settle();
            CHECK(duration_of([&] { wait_once(where, patience); }) < promptly);
        }
    });
}

TEST_CASE("wakes that come together end one wait, later ones the next", "[conformance][wake]")
{
    on_kernel_drivers([](world& where) {
        for (int round = 0; round < 50; ++round)
        {
            for (int times = 0; times <= round % 4; ++times)
            {
                where.io().wake();
            }
            CHECK(duration_of([&] { wait_once(where, patience); }) < promptly);
            where.settle();
            where.io().wake();
            CHECK(duration_of([&] { wait_once(where, patience); }) < promptly);
        }
        // All of them together let only a few waits return early. Rings of tests before this one
        // that the kernel is still taking down interrupt some more.
        int early = 0;
        while (early < 60 && duration_of([&] { wait_once(where, 20ms); }) < 20ms)
        {
            ++early;
        }
        CHECK(early < 60);
    });
}

TEST_CASE("another thread's wake is never lost", "[conformance][wake]")
{
    constexpr int rounds = 2000;
    on_kernel_drivers([](world& where) {
        // Each side answers the other once a round: one lost wake-up ends the exchange.
        std::atomic<int> asked{0};
        std::atomic<int> answered{0};
        std::thread other([&] {
            for (int round = 1; round <= rounds; ++round)
            {
                asked.store(round, std::memory_order_release);
                where.io().wake();
                if (round % 7 == 0)
                {
                    where.io().wake();
                }
                while (answered.load(std::memory_order_acquire) < round)
                {
                    std::this_thread::yield();
                }
            }
        });
        const auto took = duration_of([&] {
            for (int seen = 0; seen < rounds;)
            {
                if (seen % 3 == 0)
                {
                    where.settle();
                }
                wait_once(where, seen % 2 == 0 ? std::optional<std::chrono::nanoseconds>(patience)
                                               : std::nullopt);
                seen = asked.load(std::memory_order_acquire);
                answered.store(seen, std::memory_order_release);
            }
        });
        other.join();
        CHECK(took < patience);
    });
}

TEST_CASE("a wait lasts as long as it was told, and no longer", "[conformance][wake]")
{
    on_kernel_drivers([](world& where) {
        stage scene(where);
        const auto both = scene.unix_pair();
        request waiting(op_kind::recv);
        waiting.cancellable = true;
        stage::transfer(waiting, both.near, scene.buffer.data(), 1);
        for (const bool something_in_flight : {false, true})
        {
            if (something_in_flight)
            {
                where.start(waiting);
                where.settle();
            }
            for (const std::chrono::nanoseconds timeout :
                 {1us + 0ns, 500us + 0ns, 5ms + 0ns, 30ms + 0ns})
            {
                INFO(timeout.count() << " ns");
                // It may return early without a reason, but not over and over.
                int early = 0;
                std::chrono::nanoseconds took{};
                while (early < 10 &&
                       (took = duration_of([&] { wait_once(where, timeout); })) < timeout)
                {
                    ++early;
                }
                CHECK(took >= timeout);
                CHECK(took < promptly);
            }
            CHECK(duration_of([&] { wait_once(where, 0ns); }) < promptly);
        }
        CHECK_FALSE(waiting.done);
        where.cancel(waiting);
        CHECK(where.finish(waiting) == -ECANCELED);
    });
}

TEST_CASE("an event from another thread ends a wait without time-out", "[conformance][wake]")
{
    on_kernel_drivers([](world& where) {
        stage scene(where);
        const auto both = scene.unix_pair();
        for (int round = 0; round < 200; ++round)
        {
            request waiting(op_kind::recv);
            stage::transfer(waiting, both.near, scene.buffer.data(), 1);
            where.start(waiting);
            std::thread other([&] { CHECK(::send(both.far, "b", 1, MSG_NOSIGNAL) == 1); });
            while (!waiting.done)
            {
                wait_once(where, std::nullopt);
            }
            other.join();
            CHECK(waiting.result == 1);
        }
    });
}

TEST_CASE("poll() never blocks", "[conformance][wake]")
{
    on_kernel_drivers([](world& where) {
        stage scene(where);
        const auto both = scene.unix_pair();
        request waiting(op_kind::recv);
        waiting.cancellable = true;
        stage::transfer(waiting, both.near, scene.buffer.data(), 1);
        where.start(waiting);
        CHECK(duration_of([&] { where.settle(); }) < promptly);
        CHECK_FALSE(waiting.done);
        where.cancel(waiting);
        CHECK(where.finish(waiting) == -ECANCELED);
    });
}

TEST_CASE("a cancel from another thread meets completions at every moment",
          "[conformance][cancel][wake]")
{
    on_kernel_drivers([](world& where) {
        stage scene(where);
        const auto both = scene.unix_pair();
        std::size_t sent = 0;
        std::size_t received = 0;
        for (int round = 0; round < 1000; ++round)
        {
            request waiting(op_kind::recv);
            waiting.cancellable = true;
            stage::transfer(waiting, both.near, scene.buffer.data(), 1);
            std::atomic<int> verdict{
                0}; // 1: the canceller owes a cancel_finished(), 2: it does not
            std::atomic<bool> go{false};
            std::thread other([&] {
                while (!go.load(std::memory_order_acquire))
                {
                }
                verdict.store(waiting.state.request_cancel() ? 1 : 2, std::memory_order_release);
                where.io().wake();
            });
            where.start(waiting);
            go.store(true, std::memory_order_release);
            if (round % 2 == 0)
            {
                REQUIRE(::send(both.far, "b", 1, MSG_NOSIGNAL) == 1);
                ++sent;
            }
            bool delivered = false;
            while (!waiting.done)
            {
                wait_once(where, std::nullopt);
                if (!delivered && verdict.load(std::memory_order_acquire) == 1)
                {
                    delivered = true;
                    where.deliver_cancel(waiting);
                }
            }
            other.join();
            CHECK(waiting.times_continued == 1);
            REQUIRE((waiting.result == 1 || waiting.result == -ECANCELED));
            received += waiting.result == 1 ? 1 : 0;
        }
        while (received < sent)
        {
            received += scene.recv(both.near, 1).size();
        }
        CHECK(received == sent);
    });
}
