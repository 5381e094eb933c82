// Operations that have to wait: what ends the wait, and cancel requests before, during and after;
// the same on every driver. Thread rule: the test's thread.
#include "conformance/stage.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <span>

using namespace blitzio::conformance;

namespace
{

/// What a case needs to remember between its steps.
struct scenery
{
    explicit scenery(world& where) : scene(where) {}

    stage scene;
    stage::pair ends;
    std::array<char, 64 * 1024> drain;
};

struct waiting_row
{
    const char* name;
    op_kind kind;
    /// The operation that waits.
    void (*arrange)(scenery&);
    void (*ask)(scenery&, request&);
    /// The operation that ends the wait.
    op_kind trigger_kind;
    void (*trigger)(scenery&, request&);
    void (*verify)(scenery&, request&);
};

void one_byte_from(scenery& s, request& wanted)
{
    s.scene.buffer[0] = 0;
    stage::transfer(wanted, s.ends.near, s.scene.buffer.data(), 8);
}

void one_byte_to(scenery& s, request& trigger)
{
    s.drain[0] = 'b';
    stage::transfer(trigger, s.ends.far, s.drain.data(), 1);
}

void got_the_byte(scenery& s, request& done)
{
    CHECK(done.result == 1);
    CHECK(s.scene.buffer[0] == 'b');
}

template <op_kind Kind>
void full(scenery& s)
{
    s.ends = Kind == op_kind::send ? s.scene.unix_pair() : s.scene.pipe();
    // A pipe is written to at its far end.
    if (Kind == op_kind::write)
    {
        std::swap(s.ends.near, s.ends.far);
    }
    s.scene.fill(s.ends.near, Kind);
}

void one_byte_more(scenery& s, request& wanted)
{
    s.scene.buffer[0] = 'm';
    stage::transfer(wanted, s.ends.near, s.scene.buffer.data(), 1);
}

void make_room(scenery& s, request& trigger)
{
    stage::transfer(trigger, s.ends.far, s.drain.data(), s.drain.size());
}

void wrote_the_byte(scenery&, request& done)
{
    CHECK(done.result == 1);
}

const waiting_row waiting_rows[] = {
    {"accept", op_kind::accept, [](scenery& s) { s.ends.near = s.scene.listener(); },
     [](scenery& s, request& wanted) { stage::peer(wanted, s.ends.near, nullptr); },
     op_kind::connect,
     [](scenery& s, request& trigger) {
         stage::peer(trigger, s.scene.tcp_socket(), &s.scene.address);
     },
     [](scenery& s, request& done) { static_cast<void>(s.scene.own(done.result)); }},
    {"recv, TCP", op_kind::recv, [](scenery& s) { s.ends = s.scene.tcp(); }, one_byte_from,
     op_kind::send, one_byte_to, got_the_byte},
    {"recv, unix", op_kind::recv, [](scenery& s) { s.ends = s.scene.unix_pair(); }, one_byte_from,
     op_kind::send, one_byte_to, got_the_byte},
    {"read, pipe", op_kind::read, [](scenery& s) { s.ends = s.scene.pipe(); }, one_byte_from,
     op_kind::write, one_byte_to, got_the_byte},
    {"read, socket", op_kind::read, [](scenery& s) { s.ends = s.scene.unix_pair(); }, one_byte_from,
     op_kind::send, one_byte_to, got_the_byte},
    {"send, unix", op_kind::send, full<op_kind::send>, one_byte_more, op_kind::recv, make_room,
     wrote_the_byte},
    {"write, pipe", op_kind::write, full<op_kind::write>, one_byte_more, op_kind::read, make_room,
     wrote_the_byte},
    {"poll for data", op_kind::poll, [](scenery& s) { s.ends = s.scene.unix_pair(); },
     [](scenery& s, request& wanted) {
         stage::wait_for_events(wanted, s.ends.near, poll_events::readable);
     },
     op_kind::send, one_byte_to,
     [](scenery&, request& done) { CHECK(done.result == poll_events::readable); }},
    {"poll for room", op_kind::poll, full<op_kind::send>,
     [](scenery& s, request& wanted) {
         stage::wait_for_events(wanted, s.ends.near, poll_events::writable);
     },
     op_kind::recv, make_room,
     [](scenery&, request& done) { CHECK(done.result == poll_events::writable); }},
};

/// Does whatever it takes for the wait to end; one step may leave too little room.
void trigger_until_done(scenery& s, const waiting_row& row, request& wanted)
{
    for (int steps = 0; !wanted.done && steps < 100; ++steps)
    {
        request trigger(row.trigger_kind);
        row.trigger(s, trigger);
        trigger.cancellable = true;
        s.scene.w.start(trigger);
        s.scene.w.settle();
        s.scene.w.cancel(trigger); // nothing left to drain, say
        static_cast<void>(s.scene.w.finish(trigger));
        s.scene.w.settle();
        if (row.trigger_kind != op_kind::recv && row.trigger_kind != op_kind::read)
        {
            break;
        }
    }
    static_cast<void>(s.scene.w.finish(wanted));
}

/// A cancelled operation has taken nothing away: a new one succeeds.
void check_fresh(scenery& s, const waiting_row& row, bool already_triggered)
{
    request again(row.kind);
    row.ask(s, again);
    s.scene.w.start(again);
    if (already_triggered && row.trigger_kind != op_kind::recv && row.trigger_kind != op_kind::read)
    {
        static_cast<void>(s.scene.w.finish(again));
    }
    else
    {
        trigger_until_done(s, row, again);
    }
    row.verify(s, again);
}

template <class Body>
void for_each_waiting_row(Body body)
{
    on_every_driver([&body](world& where) {
        for (const waiting_row& row : waiting_rows)
        {
            INFO(row.name);
            scenery s(where);
            row.arrange(s);
            body(s, row);
        }
    });
}

} // namespace

TEST_CASE("an operation that waits is completed by its event", "[conformance]")
{
    for_each_waiting_row([](scenery& s, const waiting_row& row) {
        for (const bool cancellable : {false, true})
        {
            request wanted(row.kind);
            row.ask(s, wanted);
            wanted.cancellable = cancellable;
            CHECK_FALSE(s.scene.w.start(wanted));
            s.scene.w.settle();
            CHECK_FALSE(wanted.done);
            CHECK(s.scene.w.in_flight() == 1);
            trigger_until_done(s, row, wanted);
            row.verify(s, wanted);
            if (row.trigger_kind == op_kind::recv || row.trigger_kind == op_kind::read)
            {
                s.scene.fill(s.ends.near, row.kind == op_kind::write ? row.kind : op_kind::send);
            }
            else if (row.kind == op_kind::poll)
            {
                CHECK(s.scene.recv(s.ends.near, 1) == "b");
            }
        }
    });
}

TEST_CASE("an operation that waits is cancelled and takes nothing with it", "[conformance][cancel]")
{
    for_each_waiting_row([](scenery& s, const waiting_row& row) {
        request wanted(row.kind);
        row.ask(s, wanted);
        wanted.cancellable = true;
        CHECK_FALSE(s.scene.w.start(wanted));
        s.scene.w.settle();
        REQUIRE_FALSE(wanted.done);
        s.scene.w.cancel(wanted);
        CHECK(s.scene.w.finish(wanted) == -ECANCELED);
        s.scene.w.settle();
        CHECK(wanted.times_continued == 1);
        CHECK_FALSE(wanted.state.request_cancel());
        check_fresh(s, row, false);
    });
}

TEST_CASE("an operation is cancelled right after its submission", "[conformance][cancel]")
{
    for_each_waiting_row([](scenery& s, const waiting_row& row) {
        request wanted(row.kind);
        row.ask(s, wanted);
        wanted.cancellable = true;
        s.scene.w.start(wanted);
        s.scene.w.cancel(wanted);
        CHECK(s.scene.w.finish(wanted) == -ECANCELED);
        check_fresh(s, row, false);
    });
}

TEST_CASE("a cancel request that meets the event loses nothing", "[conformance][cancel]")
{
    for (const bool event_first : {true, false})
    {
        for (const bool after_a_turn : {true, false})
        {
            for_each_waiting_row([=](scenery& s, const waiting_row& row) {
                request wanted(row.kind);
                row.ask(s, wanted);
                wanted.cancellable = true;
                s.scene.w.start(wanted);
                if (after_a_turn)
                {
                    s.scene.w.settle();
                }
                request trigger(row.trigger_kind);
                row.trigger(s, trigger);
                if (!event_first)
                {
                    s.scene.w.cancel(wanted);
                }
                s.scene.w.start(trigger);
                if (event_first)
                {
                    s.scene.w.cancel(wanted);
                }
                const std::int32_t result = s.scene.w.finish(wanted);
                static_cast<void>(s.scene.w.finish(trigger));
                s.scene.w.settle();
                CHECK(wanted.times_continued == 1);
                if (result == -ECANCELED)
                {
                    check_fresh(s, row, true);
                }
                else
                {
                    row.verify(s, wanted);
                }
            });
        }
    }
}

TEST_CASE("a cancel request before the submission keeps it from happening", "[conformance][cancel]")
{
    for_each_waiting_row([](scenery& s, const waiting_row& row) {
        request wanted(row.kind);
        row.ask(s, wanted);
        wanted.cancellable = true;
        wanted.state.reset();
        // Too early for the driver: whoever asks owes nothing, begin() sees it.
        CHECK_FALSE(wanted.state.request_cancel());
        CHECK_FALSE(wanted.state.begin());
        CHECK(s.scene.w.in_flight() == 0);
        check_fresh(s, row, false);
    });
}

TEST_CASE("a connect that is not answered waits, and can be cancelled", "[conformance][cancel]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            // With its backlog full a listener on loopback does not answer.
            static_cast<void>(scene.listener(0));
            std::deque<request> attempts;
            request* waiting = nullptr;
            while (waiting == nullptr && attempts.size() < 64)
            {
                request& connecting = attempts.emplace_back(op_kind::connect);
                stage::peer(connecting, scene.tcp_socket(), &scene.address);
                connecting.cancellable = true;
                where.start(connecting);
                // An answer over loopback takes microseconds; it has this long to come.
                const auto deadline = std::chrono::steady_clock::now() + 20ms;
                do
                {
                    where.settle();
                } while (!connecting.done && !where.is_simulated() &&
                         std::chrono::steady_clock::now() < deadline);
                if (connecting.done)
                {
                    CHECK(connecting.result == 0);
                }
                else
                {
                    waiting = &connecting;
                }
            }
            REQUIRE(waiting != nullptr);
            where.cancel(*waiting);
            CHECK(where.finish(*waiting) == -ECANCELED);
        },
        {.each_feature_missing = false});
}

TEST_CASE("the end of a stream and a reset end a wait", "[conformance]")
{
    on_every_driver([](world& where) {
        for (const op_kind kind : {op_kind::recv, op_kind::poll})
        {
            for (const bool reset : {false, true})
            {
                INFO("kind " << static_cast<int>(kind) << ", reset " << reset);
                stage scene(where);
                const auto both = scene.tcp();
                request wanted(kind);
                if (kind == op_kind::recv)
                {
                    stage::transfer(wanted, both.near, scene.buffer.data(), 8);
                }
                else
                {
                    stage::wait_for_events(wanted, both.near, poll_events::readable);
                }
                CHECK_FALSE(where.start(wanted));
                where.settle();
                REQUIRE_FALSE(wanted.done);
                if (reset)
                {
                    scene.reset_peer(both.far);
                }
                else
                {
                    scene.close(both.far);
                }
                const std::int32_t result = where.finish(wanted);
                if (kind == op_kind::poll)
                {
                    CHECK((result & poll_events::readable) != 0);
                    CHECK(((result & poll_events::error) != 0) == reset);
                }
                else
                {
                    CHECK(result == (reset ? -ECONNRESET : 0));
                }
            }
        }
    });
}

TEST_CASE("a reader and a writer of a pipe hear that the other end has gone", "[conformance]")
{
    on_every_driver([](world& where) {
        stage scene(where);
        const auto empty = scene.pipe();
        request reading(op_kind::read);
        stage::transfer(reading, empty.near, scene.buffer.data(), 1);
        CHECK_FALSE(where.start(reading));
        where.settle();
        scene.close(empty.far);
        CHECK(where.finish(reading) == 0);

        const auto filled = scene.pipe();
        scene.fill(filled.far, op_kind::write);
        request writing(op_kind::write);
        stage::transfer(writing, filled.far, scene.buffer.data(), 1);
        CHECK_FALSE(where.start(writing));
        where.settle();
        scene.close(filled.near);
        CHECK(where.finish(writing) == -EPIPE);
    });
}
