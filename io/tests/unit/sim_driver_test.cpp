// The simulated driver itself: repeatability, cancel outcomes, guarded buffers, virtual time.
#include "sim_harness.hpp"

using namespace sim_test;

namespace
{

constexpr std::uint64_t seeds = 300;

/// One request that is cancelled, one that is answered, some file work; several workers.
std::uint64_t run_mixed(std::uint64_t seed, sim_statistics& statistics)
{
    harness sim(seed, true, 3);
    std::uint16_t port = 0;
    const int listening = sim.listener(port);
    std::vector<harness::connection> connections;
    for (int i = 0; i < 4; ++i)
    {
        connections.push_back(sim.connected(listening, port));
    }
    const int file = sim.open("/data", open_flags::write | open_flags::read | open_flags::create);
    REQUIRE(file >= 0);
    random_source plan(seed);
    for (int round = 0; round < 6; ++round)
    {
        std::vector<std::unique_ptr<test_op>> operations;
        std::vector<std::string> buffers(3 * connections.size(), std::string(300, 'x'));
        std::size_t buffer = 0;
        const auto add = [&](op_kind kind, int fd, bool cancellable) {
            std::string& data = buffers[buffer++];
            auto& made = *operations.emplace_back(std::make_unique<test_op>(kind, fd));
            made.args.transfer = {data.data(), data.size(), plan.below(1000)};
            made.cancellable = cancellable;
            sim.start(made, static_cast<unsigned>(plan.below(3)));
        };
        for (const auto& connection : connections)
        {
            add(op_kind::recv, connection.server, true);
            add(op_kind::send, connection.client, false);
            add(plan.below(2) == 0 ? op_kind::write_at : op_kind::read_at, file, true);
        }
        for (std::uint64_t turns = plan.below(12); turns > 0; --turns)
        {
            sim.turn();
        }
        for (auto& operation : operations)
        {
            if (operation->cancellable)
            {
                sim.cancel(*operation);
            }
        }
        sim.settle();
        for (auto& operation : operations)
        {
            REQUIRE(operation->done);
            REQUIRE(operation->times_continued == 1);
            const bool is_legal = operation->result >= 0 ||
                                  (operation->cancellable && operation->result == -ECANCELED);
            REQUIRE(is_legal);
        }
    }
    REQUIRE(sim.violations.empty());
    const auto& counted = sim.world().statistics();
    statistics.cancel_took_effect += counted.cancel_took_effect;
    statistics.cancel_met_success += counted.cancel_met_success;
    statistics.cancel_met_result += counted.cancel_met_result;
    statistics.cancel_after_finish += counted.cancel_after_finish;
    statistics.cancel_not_possible += counted.cancel_not_possible;
    statistics.cancel_notice_first += counted.cancel_notice_first;
    statistics.cancel_notice_last += counted.cancel_notice_last;
    statistics.completed_inline += counted.completed_inline;
    statistics.completed_later += counted.completed_later;
    statistics.short_transfers += counted.short_transfers;
    return sim.world().trace_hash();
}

} // namespace

TEST_CASE("equal seeds give equal traces, and every cancel outcome comes up", "[sim]")
{
    sim_statistics statistics;
    std::vector<std::uint64_t> hashes;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        INFO("seed " << seed);
        const std::uint64_t first = run_mixed(seed, statistics);
        REQUIRE(run_mixed(seed, statistics) == first);
        hashes.push_back(first);
    }
    std::sort(hashes.begin(), hashes.end());
    CHECK(std::adjacent_find(hashes.begin(), hashes.end()) == hashes.end());
    // Far more than a handful each: none of them is an accident of one seed.
    CHECK(statistics.cancel_took_effect > 100);
    CHECK(statistics.cancel_met_success > 100);
    CHECK(statistics.cancel_met_result > 100);
    CHECK(statistics.cancel_after_finish > 20);
    CHECK(statistics.cancel_not_possible > 100);
    CHECK(statistics.cancel_notice_first > 100);
    CHECK(statistics.cancel_notice_last > 100);
    CHECK(statistics.completed_inline > 100);
    CHECK(statistics.completed_later > 100);
    CHECK(statistics.short_transfers > 100);
}

TEST_CASE("without faults nothing is short and a waiting receive is always cancelled", "[sim]")
{
    for (std::uint64_t seed = 1; seed <= 100; ++seed)
    {
        INFO("seed " << seed);
        harness sim(seed, false);
        int pair[2];
        REQUIRE(sim.os().socket_pair(pair) == 0);
        std::string buffer(16, '\0');
        auto waiting = transfer(op_kind::recv, pair[0], buffer.data(), buffer.size());
        waiting.cancellable = true;
        sim.start(waiting);
        sim.settle();
        REQUIRE_FALSE(waiting.done);
        REQUIRE(sim.drivers[0]->in_flight() == 1);
        sim.cancel(waiting);
        REQUIRE(sim.finish_of(waiting) == -ECANCELED);
        sim.settle();
        REQUIRE(sim.drivers[0]->in_flight() == 0);
        REQUIRE(sim.send(pair[1], "0123456789abcdef") == 16);
        std::string got;
        REQUIRE(sim.recv(pair[0], got) == 16);
        REQUIRE(got == "0123456789abcdef");
        REQUIRE(sim.world().statistics().short_transfers == 0);
        REQUIRE(sim.violations.empty());
    }
}

TEST_CASE("success beats cancel: no byte is lost between a cancelled and the next receive", "[sim]")
{
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        INFO("seed " << seed);
        harness sim(seed);
        std::uint16_t port = 0;
        const int listening = sim.listener(port);
        const auto made = sim.connected(listening, port);
        std::string sent;
        std::string received;
        random_source plan(seed);
        for (int round = 0; round < 20; ++round)
        {
            std::string buffer(64, '\0');
            auto receiving = transfer(op_kind::recv, made.server, buffer.data(), buffer.size());
            receiving.cancellable = true;
            sim.start(receiving);
            std::string data(1 + plan.below(40), static_cast<char>('a' + round));
            const auto count = sim.send(made.client, data);
            REQUIRE(count > 0);
            sent += data.substr(0, static_cast<std::size_t>(count));
            for (std::uint64_t turns = plan.below(8); turns > 0; --turns)
            {
                sim.turn();
            }
            sim.cancel(receiving);
            sim.settle();
            REQUIRE(receiving.times_continued == 1);
            if (receiving.result > 0)
            {
                received += buffer.substr(0, static_cast<std::size_t>(receiving.result));
            }
            else
            {
                REQUIRE(receiving.result == -ECANCELED);
            }
        }
        REQUIRE(sim.os().shutdown(made.client, shutdown_direction::send) == 0);
        std::int32_t last = 0;
        received += sim.recv_all(made.server, last);
        REQUIRE(last == 0);
        REQUIRE(received == sent);
        REQUIRE(sim.violations.empty());
    }
}

TEST_CASE("a cancelled close closes all the same", "[sim]")
{
    for (std::uint64_t seed = 1; seed <= 100; ++seed)
    {
        INFO("seed " << seed);
        harness sim(seed);
        const int fd = sim.os().open_socket(socket_family::ipv4, socket_type::stream);
        test_op closing(op_kind::close, fd);
        closing.cancellable = true;
        sim.start(closing);
        sim.cancel(closing);
        REQUIRE(sim.finish_of(closing) == 0);
        sim.settle();
        REQUIRE(sim.world().open_descriptors() == 0);
        REQUIRE(sim.os().close(fd) == -EBADF);
    }
}

TEST_CASE("memory of operations in flight is watched", "[sim]")
{
    for (std::uint64_t seed = 1; seed <= 200; ++seed)
    {
        INFO("seed " << seed);
        // Without faults nothing completes on the spot, so there is always a time in flight.
        harness sim(seed, false);
        int pair[2];
        REQUIRE(sim.os().socket_pair(pair) == 0);
        std::string buffer(64, 'r');
        auto receiving = transfer(op_kind::recv, pair[0], buffer.data(), buffer.size());
        sim.start(receiving);
        REQUIRE(buffer != std::string(64, 'r')); // what the caller had there is gone
        sim.settle();
        const bool touches_receive = seed % 2 == 0;
        if (touches_receive)
        {
            buffer[seed % 64] = static_cast<char>(~buffer[seed % 64]);
        }
        std::string out(5000, 's');
        auto sending = transfer(op_kind::send, pair[1], out.data(), out.size());
        sim.start(sending);
        const bool touches_send = seed % 3 == 0;
        if (touches_send)
        {
            out[seed % 5000] = 'X';
        }
        REQUIRE(sim.finish_of(sending) == 5000);
        REQUIRE(sim.finish_of(receiving) == 64);
        const auto count = static_cast<std::size_t>(touches_receive) + touches_send;
        REQUIRE(sim.violations.size() == count);
        REQUIRE(sim.world().statistics().violations == count);
        const auto mentions = [&](std::string_view text) {
            return std::any_of(
                sim.violations.begin(), sim.violations.end(),
                [&](const std::string& message) { return message.find(text) != message.npos; });
        };
        REQUIRE(
            mentions("recv on descriptor 3, worker 0: the buffer to be filled was written to") ==
            touches_receive);
        REQUIRE(mentions("send on descriptor 4, worker 0: the bytes to be transferred were "
                         "changed") == touches_send);
    }
}

TEST_CASE("paths, addresses and places for results are watched too", "[sim]")
{
    harness sim(5, false);
    sim.world().files().add_file("/file", "x");
    char path[] = "/file";
    test_op opening(op_kind::open);
    opening.args.open = {path, open_flags::read, 0};
    sim.start(opening);
    path[1] = 'p';
    (void)sim.finish_of(opening);
    REQUIRE(sim.violations.size() == 1);

    file_status status;
    test_op looking(op_kind::stat);
    looking.args.stat = {"/file", &status, true};
    sim.start(looking);
    status.size = 7;
    REQUIRE(sim.finish_of(looking) == 0);
    REQUIRE(sim.violations.size() == 2);
    REQUIRE(status.size == 1);

    const int client = sim.os().open_socket(socket_family::ipv4, socket_type::stream);
    auto address = ipv4(1);
    test_op connecting(op_kind::connect, client);
    connecting.args.peer = {&address};
    sim.start(connecting);
    address = ipv4(2);
    REQUIRE(sim.finish_of(connecting) == -ECONNREFUSED);
    REQUIRE(sim.violations.size() == 3);

    const int root = sim.open("/", open_flags::read | open_flags::directory);
    directory_batch batch;
    test_op listing(op_kind::read_directory, root);
    listing.args.directory = {&batch};
    sim.start(listing);
    batch.names.clear();
    REQUIRE(sim.finish_of(listing) == 1);
    REQUIRE(sim.violations.size() == 4);
}

TEST_CASE("closing a descriptor under its operations is reported", "[sim]")
{
    harness sim(3, false);
    int pair[2];
    REQUIRE(sim.os().socket_pair(pair) == 0);
    std::string buffer(8, '\0');
    auto receiving = transfer(op_kind::recv, pair[0], buffer.data(), buffer.size());
    sim.start(receiving);
    sim.settle();
    REQUIRE(sim.os().close(pair[0]) == 0);
    REQUIRE(sim.violations.size() == 1);
    // The operation still holds on to the socket, as it does in a kernel.
    REQUIRE(sim.send(pair[1], "late") == 4);
    REQUIRE(sim.finish_of(receiving) == 4);
}

TEST_CASE("a number that a close gave back belongs to who gets it next", "[sim]")
{
    unsigned reused_early = 0;
    for (std::uint64_t seed = 1; seed <= 100; ++seed)
    {
        INFO("seed " << seed);
        harness sim(seed, false);
        const int fd = sim.os().open_socket(socket_family::ipv4, socket_type::stream);
        test_op closing(op_kind::close, fd);
        sim.start(closing);
        while (sim.world().open_descriptors() != 0)
        {
            REQUIRE(sim.turn());
        }
        // Given back, but its completion may be on its way still.
        reused_early += closing.done ? 0 : 1;
        REQUIRE(sim.os().open_socket(socket_family::ipv4, socket_type::stream) == fd);
        REQUIRE(sim.os().close(fd) == 0);
        REQUIRE(sim.finish_of(closing) == 0);
        REQUIRE(sim.violations.empty());
        // The count is even again: a receive that is in flight is still noticed.
        int pair[2];
        REQUIRE(sim.os().socket_pair(pair) == 0);
        REQUIRE(pair[0] == fd);
        char byte = 0;
        auto receiving = transfer(op_kind::recv, fd, &byte, 1);
        sim.start(receiving);
        sim.settle();
        REQUIRE(sim.os().close(fd) == 0);
        REQUIRE(sim.violations.size() == 1);
        REQUIRE(sim.os().close(pair[1]) == 0);
        REQUIRE(sim.finish_of(receiving) == 0);
    }
    REQUIRE(reused_early > 20);
}

TEST_CASE("a driver that goes with operations in flight is reported", "[sim]")
{
    harness sim(3, false);
    int pair[2];
    REQUIRE(sim.os().socket_pair(pair) == 0);
    std::string buffer(8, '\0');
    auto receiving = transfer(op_kind::recv, pair[0], buffer.data(), buffer.size());
    sim.start(receiving);
    sim.drivers.clear();
    REQUIRE(sim.violations.size() == 1);
    REQUIRE(sim.violations[0].find("recv") != std::string::npos);
    // Events that were meant for the driver must not reach it any more.
    while (const auto next = sim.world().next_event())
    {
        sim.world().advance_to(*next);
    }
}

TEST_CASE("jobs run inside advance_to, at their time and in its order", "[sim]")
{
    struct job : runnable
    {
        sim_world* world = nullptr;
        std::vector<std::chrono::nanoseconds>* ran_at = nullptr;
        job* follows = nullptr;
    };
    harness sim(9);
    std::vector<std::chrono::nanoseconds> ran_at;
    job jobs[4];
    for (job& each : jobs)
    {
        each.world = &sim.world();
        each.ran_at = &ran_at;
        each.run = [](runnable* self) noexcept {
            auto& what = *static_cast<job*>(self);
            what.ran_at->push_back(what.world->now());
            if (what.follows != nullptr)
            {
                what.world->add_job(*what.follows, what.world->now() + 5ns);
            }
        };
    }
    jobs[1].follows = &jobs[3];
    const auto begin = sim.world().now();
    sim.world().add_job(jobs[0], begin + 30ns);
    sim.world().add_job(jobs[1], begin + 10ns);
    sim.world().add_job(jobs[2], begin + 20ns);
    REQUIRE(sim.world().next_event() == begin + 10ns);
    REQUIRE(sim.world().remove_job(jobs[2]));
    REQUIRE_FALSE(sim.world().remove_job(jobs[2]));
    sim.world().advance_to(begin + 12ns);
    REQUIRE(ran_at == std::vector{begin + 10ns});
    REQUIRE(sim.world().now() == begin + 12ns);
    sim.world().advance_to(begin + 100ns);
    REQUIRE(ran_at == std::vector{begin + 10ns, begin + 15ns, begin + 30ns});
    REQUIRE_FALSE(sim.world().remove_job(jobs[0]));
    sim.world().advance_to(begin); // never backwards
    REQUIRE(sim.world().now() == begin + 100ns);
    sim.world().add_job(jobs[2], begin); // overdue: now
    REQUIRE(sim.world().next_event() == begin + 100ns);
    sim.world().advance_to(begin);
    REQUIRE(ran_at.back() == begin + 100ns);
    REQUIRE(sim.world().statistics().jobs_run == 4);
}

TEST_CASE("a wake makes the driver ready once", "[sim]")
{
    harness sim(1);
    REQUIRE_FALSE(sim.world().driver_has_ready(0));
    sim.drivers[0]->wake();
    sim.drivers[0]->wake();
    REQUIRE(sim.world().driver_has_ready(0));
    ready_list ready;
    sim.drivers[0]->wait(ready, 1s);
    REQUIRE(ready.empty());
    REQUIRE_FALSE(sim.world().driver_has_ready(0));
    REQUIRE(sim.world().now() == sim.world().options().start_time);
}

TEST_CASE("a nop completes at the next turn, in no time", "[sim]")
{
    for (std::uint64_t seed = 1; seed <= 50; ++seed)
    {
        harness sim(seed);
        test_op nothing(op_kind::nop);
        sim.start(nothing);
        REQUIRE_FALSE(nothing.done);
        REQUIRE(sim.world().driver_has_ready(0));
        REQUIRE(sim.turn());
        REQUIRE(nothing.done);
        REQUIRE(nothing.result == 0);
    }
}

TEST_CASE("the backend offers one driver per worker", "[sim]")
{
    const auto backend = make_sim_backend({.worker_count = 2}, {});
    REQUIRE(backend->name() == "sim");
    const auto driver = backend->create_driver(1);
    REQUIRE(driver.has_value());
    const auto none = backend->create_driver(2);
    REQUIRE_FALSE(none.has_value());
    REQUIRE(none.error() == std::errc::invalid_argument);
    REQUIRE(backend->clock().now() == 1s);
    backend->world().advance_to(3s);
    REQUIRE(backend->clock().now() == 3s);
}
