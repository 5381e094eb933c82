// Descriptors: many operations on one, numbers that are used again, running out of them, and none
// left behind by cancelled operations; the same on every driver. Thread rule: the test's thread.
#include "conformance/stage.hpp"

#include <blitzio/io/detail/clock.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <string>

using namespace blitzio::conformance;

namespace
{

/// Small rings: submissions and cancel requests meet a full queue, completions overflow.
const world_options small_rings{.seeds = 12, .ring_entries = 16};

constexpr std::size_t many = 600;

std::string distinct_bytes(std::size_t count)
{
    std::string text(count, '\0');
    for (std::size_t index = 0; index < count; ++index)
    {
        text[index] = static_cast<char>(index * 131 >> 3);
    }
    return text;
}

} // namespace

TEST_CASE("many operations wait on one descriptor and each gets its share", "[conformance]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            const auto both = scene.unix_pair();
            std::string received(many, '\0');
            std::deque<request> waiting;
            for (std::size_t index = 0; index < many; ++index)
            {
                request& wanted = waiting.emplace_back(op_kind::recv);
                stage::transfer(wanted, both.near, &received[index], 1);
                CHECK_FALSE(where.start(wanted));
            }
            CHECK(where.in_flight() == many);
            std::string sent = distinct_bytes(many);
            scene.send(both.far, sent);
            for (request& each : waiting)
            {
                CHECK(where.finish(each) == 1);
            }
            // Every byte once; which of them gets which is not promised.
            std::ranges::sort(sent);
            std::ranges::sort(received);
            CHECK(sent == received);
        },
        small_rings);
}

TEST_CASE("many operations on one descriptor are cancelled at once", "[conformance][cancel]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            const auto both = scene.unix_pair();
            std::deque<request> waiting;
            std::string received(many, '\0');
            for (std::size_t index = 0; index < many; ++index)
            {
                request& wanted = waiting.emplace_back(op_kind::recv);
                wanted.cancellable = true;
                stage::transfer(wanted, both.near, &received[index], 1);
                CHECK_FALSE(where.start(wanted));
            }
            where.settle();
            for (request& each : waiting)
            {
                where.cancel(each);
            }
            for (request& each : waiting)
            {
                CHECK(where.finish(each) == -ECANCELED);
            }
            where.settle();
            for (const request& each : waiting)
            {
                CHECK(each.times_continued == 1);
            }
            CHECK(where.in_flight() == 0);
            scene.send(both.far, "still works");
            CHECK(scene.recv(both.near, 11) == "still works");
        },
        small_rings);
}

TEST_CASE("more operations at once than the queues hold", "[conformance]")
{
    on_every_driver(
        [](world& where) {
            std::deque<request> all;
            for (std::size_t index = 0; index < 5 * many; ++index)
            {
                where.start(all.emplace_back(op_kind::nop));
            }
            for (request& each : all)
            {
                CHECK(where.finish(each) == 0);
            }
        },
        small_rings);
}

TEST_CASE("both directions of a descriptor wait independently", "[conformance]")
{
    on_every_driver([](world& where) {
        stage scene(where);
        const auto both = scene.unix_pair();
        const std::size_t filled = scene.fill(both.near, op_kind::send);
        char in = 0;
        char out = 'o';
        request receiving(op_kind::recv);
        request sending(op_kind::send);
        stage::transfer(receiving, both.near, &in, 1);
        stage::transfer(sending, both.near, &out, 1);
        CHECK_FALSE(where.start(receiving));
        CHECK_FALSE(where.start(sending));
        where.settle();
        CHECK_FALSE(receiving.done);
        CHECK_FALSE(sending.done);
        scene.send(both.far, "i");
        CHECK(where.finish(receiving) == 1);
        CHECK(in == 'i');
        CHECK_FALSE(sending.done);
        CHECK(scene.recv(both.far, filled).size() == filled);
        CHECK(where.finish(sending) == 1);
        CHECK(scene.recv(both.far, 1) == "o");
    });
}

TEST_CASE("no byte is lost or doubled, however transfers are cancelled", "[conformance][cancel]")
{
    const auto run_with = [](op_kind sending_kind, op_kind receiving_kind) {
        on_every_driver(
            [=](world& where) {
                stage scene(where);
                blitzio::detail::random_source random(where.name().size() * 977 + 5);
                const auto both = sending_kind == op_kind::send ? scene.tcp() : scene.pipe();
                const std::string text = distinct_bytes(200'000);
                std::string received;
                std::string piece(8192, '\0');
                std::size_t sent = 0;
                while (received.size() < text.size())
                {
                    request sending(sending_kind);
                    request receiving(receiving_kind);
                    sending.cancellable = receiving.cancellable = true;
                    const std::size_t length =
                        std::min<std::size_t>(text.size() - sent, random.below(8192) + 1);
                    stage::transfer(sending, both.far, const_cast<char*>(text.data() + sent),
                                    length);
                    stage::transfer(receiving, both.near, piece.data(),
                                    random.below(piece.size()) + 1);
                    where.start(receiving);
                    if (length != 0)
                    {
                        where.start(sending);
                    }
                    if (random.below(2) == 0)
                    {
                        where.settle();
                    }
                    if (random.below(2) == 0 && length != 0)
                    {
                        where.cancel(sending);
                    }
                    where.cancel(receiving);
                    const std::int32_t got = where.finish(receiving);
                    REQUIRE((got > 0 || got == -ECANCELED));
                    received.append(piece, 0, static_cast<std::size_t>(std::max(got, 0)));
                    if (length != 0)
                    {
                        // What is on its way may fill all there is: nobody reads now.
                        if (!sending.state.is_cancel_requested())
                        {
                            where.cancel(sending);
                        }
                        const std::int32_t put = where.finish(sending);
                        REQUIRE((put > 0 || put == -ECANCELED));
                        sent += static_cast<std::size_t>(std::max(put, 0));
                    }
                }
                CHECK((received == text));
            },
            {.seeds = 12});
    };
    SECTION("TCP")
    {
        run_with(op_kind::send, op_kind::recv);
    }
    SECTION("pipe")
    {
        run_with(op_kind::write, op_kind::read);
    }
}

TEST_CASE("cancelled accepts leave no descriptor behind", "[conformance][cancel]")
{
    on_every_driver([](world& where) {
        stage scene(where);
        blitzio::detail::random_source random(where.name().size() * 31 + 7);
        const int listening = scene.listener();
        for (int round = 0; round < 100; ++round)
        {
            const std::size_t before = where.open_descriptors();
            request accepting(op_kind::accept);
            request connecting(op_kind::connect);
            accepting.cancellable = true;
            stage::peer(accepting, listening, nullptr);
            const int client = where.os().open_socket(blitzio::detail::socket_family::ipv4,
                                                      blitzio::detail::socket_type::stream);
            stage::peer(connecting, client, &scene.address);
            where.start(accepting);
            if (random.below(2) == 0)
            {
                where.settle();
            }
            where.start(connecting);
            if (random.below(2) == 0)
            {
                where.settle();
            }
            where.cancel(accepting);
            CHECK(where.finish(connecting) == 0);
            std::int32_t accepted = where.finish(accepting);
            if (accepted == -ECANCELED)
            {
                request again(op_kind::accept);
                stage::peer(again, listening, nullptr);
                accepted = where.run(again);
            }
            REQUIRE(accepted >= 0);
            REQUIRE(where.os().close(accepted) == 0);
            REQUIRE(where.os().close(client) == 0);
            where.settle();
            REQUIRE(where.open_descriptors() == before);
        }
    });
}

TEST_CASE("cancelled opens leave no descriptor behind", "[conformance][cancel]")
{
    on_every_driver([](world& where) {
        stage scene(where);
        const char* const path = scene.file("f", "abc");
        const std::size_t before = where.open_descriptors();
        std::deque<request> all;
        for (int index = 0; index < 200; ++index)
        {
            request& opening = all.emplace_back(op_kind::open);
            opening.cancellable = true;
            stage::on_path(opening, path, open_flags::read);
            where.start(opening);
            if (index % 3 == 0)
            {
                where.settle();
            }
            if (index % 2 == 0)
            {
                where.cancel(opening);
            }
        }
        std::size_t opened = 0;
        for (request& each : all)
        {
            const std::int32_t fd = where.finish(each);
            REQUIRE((fd >= 0 || fd == -ECANCELED));
            if (fd >= 0)
            {
                ++opened;
                REQUIRE(where.os().close(fd) == 0);
            }
        }
        CHECK(opened >= 100);
        where.settle();
        CHECK(where.open_descriptors() == before);
    });
}

TEST_CASE("a number that is used again starts afresh", "[conformance]")
{
    on_every_driver([](world& where) {
        stage scene(where);
        for (int round = 0; round < 20; ++round)
        {
            const auto old_pair = scene.unix_pair();
            char byte = 0;
            request waiting(op_kind::recv);
            waiting.cancellable = true;
            stage::transfer(waiting, old_pair.near, &byte, 1);
            where.start(waiting);
            where.settle();
            if (round % 2 == 0)
            {
                where.cancel(waiting);
                CHECK(where.finish(waiting) == -ECANCELED);
            }
            else
            {
                scene.send(old_pair.far, "o");
                CHECK(where.finish(waiting) == 1);
            }
            scene.send(old_pair.far, "unread");
            request closing(op_kind::close, old_pair.near);
            scene.disown(old_pair.near);
            CHECK(where.run(closing) == 0);

            // The lowest free number is handed out first: the same one again.
            const auto new_pair = scene.unix_pair();
            CHECK(new_pair.near == old_pair.near);
            request fresh(op_kind::recv);
            fresh.cancellable = true;
            stage::transfer(fresh, new_pair.near, &byte, 1);
            CHECK_FALSE(where.start(fresh));
            where.settle();
            CHECK_FALSE(fresh.done);
            scene.send(new_pair.far, "n");
            CHECK(where.finish(fresh) == 1);
            CHECK(byte == 'n');
            scene.close(new_pair.near);
            scene.close(new_pair.far);
            scene.close(old_pair.far);
        }
    });
}

TEST_CASE("a number changes its meaning from file to socket and back", "[conformance]")
{
    on_every_driver([](world& where) {
        stage scene(where);
        scene.file("f", "abc");
        int number = scene.open("f");
        for (int round = 0; round < 10; ++round)
        {
            char byte = 0;
            request reading(op_kind::read);
            stage::transfer(reading, number, &byte, 1);
            CHECK(where.run(reading) == 1);
            CHECK(byte == 'a');
            request closing_file(op_kind::close, number);
            scene.disown(number);
            CHECK(where.run(closing_file) == 0);

            const auto ends = scene.pipe();
            CHECK(ends.near == number);
            request waiting(op_kind::read);
            stage::transfer(waiting, ends.near, &byte, 1);
            CHECK_FALSE(where.start(waiting));
            where.settle();
            CHECK_FALSE(waiting.done);
            scene.write(ends.far, "p");
            CHECK(where.finish(waiting) == 1);
            CHECK(byte == 'p');
            scene.close(ends.near);
            scene.close(ends.far);
            number = scene.open("f");
            CHECK(number == ends.near);
        }
    });
}

TEST_CASE("without a free descriptor accept and open say so, and work again later", "[conformance]")
{
    on_every_driver([](world& where) {
        stage scene(where);
        const int listening = scene.listener();
        const int client = scene.tcp_socket();
        const char* const path = scene.file("f", "abc");
        request connecting(op_kind::connect);
        stage::peer(connecting, client, &scene.address);
        REQUIRE(where.run(connecting) == 0);
        request accepting(op_kind::accept);
        stage::peer(accepting, listening, nullptr);
        request opening(op_kind::open);
        stage::on_path(opening, path, open_flags::read);
        {
            const auto none_left = where.exhaust_descriptors();
            CHECK(where.run(accepting) == -EMFILE);
            CHECK(where.run(opening) == -EMFILE);
        }
        // The connection has not been lost.
        const int accepted = scene.own(where.run(accepting));
        static_cast<void>(scene.own(where.run(opening)));
        scene.send(client, "b");
        CHECK(scene.recv(accepted, 1) == "b");
    });
}
