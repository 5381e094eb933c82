// Two epoll drivers on two threads with shared descriptors: operations complete away from home, are
// cancelled from anywhere, and descriptors close while their numbers are taken by the other thread.
#include "unit/epoll_harness.hpp"

#include <catch2/catch_test_macros.hpp>

#include <blitzio/io/detail/clock.hpp>

#include <array>
#include <atomic>
#include <cerrno>
#include <deque>
#include <mutex>
#include <thread>

#include <unistd.h>

namespace
{

using namespace blitzio::detail;
using namespace blitzio::detail::testing;

/// Plays the scheduler: each thread has a driver and a mailbox for cancel requests and for
/// operations that are to be submitted there.
class stress_worker
{
public:
    void bind(driver& given) noexcept
    {
        io = &given;
    }

    void post_cancel(op& operation)
    {
        {
            const std::lock_guard lock(mutex);
            cancels.push_back(&operation);
        }
        io->wake();
    }

    void post_submit(op& operation)
    {
        {
            const std::lock_guard lock(mutex);
            submits.push_back(&operation);
        }
        io->wake();
    }

    driver* io = nullptr;
    std::mutex mutex;
    std::vector<op*> cancels;
    std::vector<op*> submits;
};

/// One direction of one connection: a sender and a receiver that go on until all bytes are through.
struct flow : op
{
    bool is_sender = false;
    std::uint32_t position = 0;
    std::uint32_t length = 0;
    std::array<unsigned char, 512> buffer;
    /// Guards against a cancel request that reaches the next life of the operation, as
    /// deregistering a stop callback does.
    std::mutex request_mutex;
    bool requestable = false;
    std::atomic<stress_worker*> home_worker{nullptr};
};

class stress
{
public:
    static constexpr std::size_t pairs = 12;
    static constexpr std::uint32_t bytes_total = 1'000'000;
    /// Cancels before the first byte is sent, when every receiver waits; and all in all, so that in
    /// the end no cancel can set free an operation that was forgotten.
    static constexpr int cancels_first = 200;
    static constexpr int cancels_max = 5'000;

    stress() : world_(2), flows_(pairs * 2)
    {
        for (unsigned index = 0; index < 2; ++index)
        {
            workers_[index].bind(world_.at(index));
        }
        for (std::size_t index = 0; index < pairs; ++index)
        {
            sockets_.emplace_back(world_);
            flow& sender = flows_[2 * index];
            flow& receiver = flows_[2 * index + 1];
            sender.is_sender = true;
            sender.fd = sockets_.back().fds[0];
            receiver.fd = sockets_.back().fds[1];
        }
    }

    void run()
    {
        post_all(false);
        std::thread other([this] { serve(1); });
        std::thread disturbing([this] { request_cancels(); });
        serve(0);
        other.join();
        disturbing.join();
        for (const flow& each : flows_)
        {
            INFO((each.is_sender ? "sender" : "receiver")
                 << " on " << each.fd << " at " << each.position << ", last result " << each.result
                 << ", parked: " << (each.driver_data != nullptr));
            CHECK(each.position == bytes_total);
        }
        REQUIRE_FALSE(given_up_.load());
        CHECK(wrong_.load() == 0);
        CHECK(cancelled_.load() >= cancels_first);
        for (unsigned index = 0; index < 2; ++index)
        {
            CHECK(world_.at(index).in_flight() == 0);
        }
    }

private:
    static unsigned char byte_at(std::uint32_t position)
    {
        return static_cast<unsigned char>(position * 131 + position / 251);
    }

    void post_all(bool senders)
    {
        for (std::size_t index = senders ? 0 : 1; index < flows_.size(); index += 2)
        {
            workers_[index / 2 % 2].post_submit(flows_[index]);
        }
    }

    void serve(unsigned index)
    {
        const auto deadline = std::chrono::steady_clock::now() + 3 * patience;
        stress_worker& me = workers_[index];
        random_source random(index + 1);
        ready_list ready;
        while (!finished())
        {
            me.io->wait(ready, patience);
            if (std::chrono::steady_clock::now() > deadline)
            {
                given_up_.store(true);
            }
            std::vector<op*> cancels;
            std::vector<op*> submits;
            {
                const std::lock_guard lock(me.mutex);
                cancels.swap(me.cancels);
                submits.swap(me.submits);
            }
            for (op* const operation : cancels)
            {
                me.io->cancel(*operation, ready);
            }
            for (op* const operation : submits)
            {
                start(me, static_cast<flow&>(*operation), random, ready);
            }
            while (runnable* const item = ready.pop())
            {
                auto& done = static_cast<flow&>(*static_cast<op*>(item));
                if (!account(done))
                {
                    continue;
                }
                // As a stolen task would: the next operation is started by whoever runs it.
                if (random.below(2) == 0)
                {
                    start(me, done, random, ready);
                }
                else
                {
                    workers_[1 - index].post_submit(done);
                }
            }
        }
        workers_[1 - index].io->wake();
    }

    void start(stress_worker& me, flow& next, random_source& random, ready_list& ready)
    {
        next.length = std::min<std::uint32_t>(
            static_cast<std::uint32_t>(1 + random.below(next.buffer.size())),
            bytes_total - next.position);
        if (next.is_sender)
        {
            for (std::uint32_t offset = 0; offset < next.length; ++offset)
            {
                next.buffer[offset] = byte_at(next.position + offset);
            }
        }
        next.kind = next.is_sender ? op_kind::send : op_kind::recv;
        next.args.transfer = {next.buffer.data(), next.length, 0};
        next.cancellable = true;
        {
            const std::lock_guard lock(next.request_mutex);
            next.state.reset();
            static_cast<void>(next.state.begin());
            next.home_worker.store(&me);
            next.requestable = true;
        }
        if (me.io->submit(next) && next.state.complete())
        {
            ready.push(next);
        }
    }

    /// False: this flow has come to its end.
    bool account(flow& done)
    {
        {
            const std::lock_guard lock(done.request_mutex);
            done.requestable = false;
        }
        if (done.result == -ECANCELED)
        {
            cancelled_.fetch_add(1);
        }
        else if (done.result <= 0 || static_cast<std::uint32_t>(done.result) > done.length)
        {
            // An error would only come again.
            wrong_.fetch_add(1);
            given_up_.store(true);
        }
        else
        {
            for (std::int32_t offset = 0; !done.is_sender && offset < done.result; ++offset)
            {
                const auto at = done.position + static_cast<std::uint32_t>(offset);
                wrong_.fetch_add(done.buffer[static_cast<std::size_t>(offset)] != byte_at(at));
            }
            done.position += static_cast<std::uint32_t>(done.result);
        }
        if (done.position < bytes_total)
        {
            return true;
        }
        ended_.fetch_add(1);
        return false;
    }

    void request_cancels()
    {
        random_source random(99);
        bool sending = false;
        for (int requests = 0; requests < cancels_max && !finished();)
        {
            if (!sending && cancelled_.load() >= cancels_first)
            {
                sending = true;
                post_all(true);
            }
            flow& target = flows_[random.below(flows_.size())];
            {
                const std::lock_guard lock(target.request_mutex);
                if (target.requestable && target.state.request_cancel())
                {
                    target.requestable = false;
                    target.home_worker.load()->post_cancel(target);
                    ++requests;
                }
            }
            std::this_thread::yield();
        }
    }

    [[nodiscard]] bool finished() const
    {
        return given_up_.load() || ended_.load() == pairs * 2;
    }

    epoll_world world_;
    std::array<stress_worker, 2> workers_;
    std::deque<linked_sockets> sockets_;
    std::deque<flow> flows_;
    std::atomic<std::size_t> ended_{0};
    std::atomic<int> wrong_{0};
    std::atomic<bool> given_up_{false};
    std::atomic<int> cancelled_{0};
};

TEST_CASE("epoll stress: two drivers, shared descriptors, cancels from a third thread",
          "[epoll][stress]")
{
    stress test;
    test.run();
}

/// The descriptor lives with one driver, the operations come from the other: an edge may be fetched
/// after the call that would have blocked and before the operation has been queued.
TEST_CASE("epoll stress: edges in the moment between trying and waiting", "[epoll][stress]")
{
    constexpr std::uint32_t rounds = 20'000;
    // Three threads that take turns are slow where others use the cores too.
    const auto enough = std::chrono::steady_clock::now() + 3s;
    epoll_world world(2);
    linked_sockets pair(world);
    std::atomic<bool> ended{false};
    std::atomic<std::uint32_t> completed{0};
    std::atomic<std::uint32_t> asked{0};

    // Makes driver 0 the owner.
    char first = 0;
    op settling;
    REQUIRE_FALSE(
        world.at(0).submit(make_transfer(settling, op_kind::recv, pair.fds[1], &first, 1)));
    REQUIRE(::write(pair.fds[0], "f", 1) == 1);
    REQUIRE(wait_for(world.at(0), 1).size() == 1);

    std::thread owner([&] {
        ready_list ready;
        while (!ended.load())
        {
            world.at(0).poll(ready);
            while (ready.pop() != nullptr)
            {
                completed.fetch_add(1);
            }
            std::this_thread::yield();
        }
    });
    std::thread sender([&] {
        random_source random(5);
        for (std::uint32_t round = 1; round <= rounds && !ended.load(); ++round)
        {
            while (asked.load() != round && !ended.load())
            {
                std::this_thread::yield();
            }
            // Around the time that a submit takes, so that each of its steps is hit.
            for (std::uint64_t spins = random.below(600); spins != 0; --spins)
            {
                std::atomic_signal_fence(std::memory_order_seq_cst);
            }
            static_cast<void>(!::write(pair.fds[0], "x", 1));
        }
    });
    std::uint32_t parked = 0;
    bool lost = false;
    for (std::uint32_t round = 1;
         round <= rounds && !lost && std::chrono::steady_clock::now() < enough; ++round)
    {
        char byte = 0;
        op receiving;
        make_transfer(receiving, op_kind::recv, pair.fds[1], &byte, 1);
        asked.store(round);
        if (world.at(1).submit(receiving))
        {
            continue;
        }
        ++parked;
        const auto deadline = std::chrono::steady_clock::now() + patience;
        while (completed.load() != parked && !lost)
        {
            lost = std::chrono::steady_clock::now() > deadline;
            std::this_thread::yield();
        }
        if (lost)
        {
            // Before its frame goes.
            ended.store(true);
            owner.join();
            static_cast<void>(::write(pair.fds[0], "x", 1) == 1 &&
                              wait_for(world.at(0), 1).empty());
        }
    }
    ended.store(true);
    if (owner.joinable())
    {
        owner.join();
    }
    sender.join();
    CHECK_FALSE(lost);
    CHECK(parked > 0);
    CHECK(world.at(1).in_flight() == 0);
}

/// Each thread opens, waits, receives and closes; the numbers wander between the two, and with them
/// events of descriptors that are gone.
TEST_CASE("epoll stress: numbers that are closed and used again by another thread",
          "[epoll][stress]")
{
    constexpr int rounds = 4'000;
    epoll_world world(2);
    std::atomic<int> wrong{0};
    const auto churn = [&](unsigned index) {
        driver& io = world.at(index);
        random_source random(index + 7);
        for (int round = 0; round < rounds; ++round)
        {
            linked_sockets pair(world);
            const auto token = static_cast<std::uint32_t>(round * 2) + index;
            std::uint32_t seen = 0;
            op receiving;
            make_transfer(receiving, op_kind::recv, pair.fds[1], &seen, sizeof seen);
            op polling;
            make_poll(polling, pair.fds[1], poll_events::readable);
            const bool watched = random.below(2) == 0;
            if (io.submit(receiving) || (watched && io.submit(polling)))
            {
                wrong.fetch_add(1); // nothing was sent yet
                continue;
            }
            if (::write(pair.fds[0], &token, sizeof token) != sizeof token ||
                wait_for(io, 1).size() != 1 || seen != token || receiving.result != sizeof seen)
            {
                wrong.fetch_add(1);
            }
            if (random.below(4) == 0)
            {
                // Leaves an edge behind that nobody has fetched when the number changes hands.
                static_cast<void>(::write(pair.fds[0], &token, sizeof token));
            }
            if (watched)
            {
                pair.close(0); // readable at last, as the end of the stream
                if (wait_for(io, 1).size() != 1 || polling.result == 0)
                {
                    wrong.fetch_add(1);
                }
            }
        }
    };
    std::thread other([&] { churn(1); });
    churn(0);
    other.join();
    CHECK(wrong.load() == 0);
    CHECK(world.at(0).in_flight() == 0);
    CHECK(world.at(1).in_flight() == 0);
}

} // namespace
