// Several drivers of one backend: operations on one descriptor from different workers.
// Thread rule: the test's thread plays all workers.
#include "conformance/stage.hpp"

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cerrno>
#include <deque>
#include <string>

using namespace blitzio::conformance;

namespace
{

const world_options three_workers{.workers = 3};

} // namespace

TEST_CASE("operations of different workers wait on one descriptor", "[conformance][workers]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            const auto both = scene.tcp();
            std::string received(30, '\0');
            std::deque<request> all;
            for (std::size_t index = 0; index < received.size(); ++index)
            {
                request& wanted = all.emplace_back(op_kind::recv);
                stage::transfer(wanted, both.near, &received[index], 1);
                CHECK_FALSE(where.start(wanted, static_cast<unsigned>(index % 3)));
            }
            scene.send(both.far, "0123456789abcdefghijklmnopqrst");
            for (request& each : all)
            {
                CHECK(where.finish(each) == 1);
            }
            std::ranges::sort(received);
            CHECK(received == "0123456789abcdefghijklmnopqrst");
        },
        three_workers);
}

TEST_CASE("each worker cancels its own operations on a shared descriptor",
          "[conformance][workers][cancel]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            const auto both = scene.tcp();
            std::string received(30, '\0');
            std::deque<request> all;
            for (std::size_t index = 0; index < received.size(); ++index)
            {
                request& wanted = all.emplace_back(op_kind::recv);
                wanted.cancellable = true;
                stage::transfer(wanted, both.near, &received[index], 1);
                CHECK_FALSE(where.start(wanted, static_cast<unsigned>(index % 3)));
            }
            where.settle();
            for (std::size_t index = 0; index < all.size(); index += 2)
            {
                where.cancel(all[index]);
            }
            for (std::size_t index = 0; index < all.size(); index += 2)
            {
                CHECK(where.finish(all[index]) == -ECANCELED);
            }
            scene.send(both.far, std::string(15, 'r'));
            for (std::size_t index = 1; index < all.size(); index += 2)
            {
                CHECK(where.finish(all[index]) == 1);
            }
        },
        three_workers);
}

TEST_CASE("a descriptor moves from worker to worker", "[conformance][workers]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            const auto both = scene.tcp();
            for (unsigned round = 0; round < 30; ++round)
            {
                char byte = 0;
                request waiting(op_kind::recv);
                waiting.cancellable = true;
                stage::transfer(waiting, both.near, &byte, 1);
                CHECK_FALSE(where.start(waiting, round % 3));
                where.settle();
                request sending(op_kind::send);
                char out = static_cast<char>('a' + round % 26);
                stage::transfer(sending, both.far, &out, 1);
                CHECK(where.run(sending, (round + 1) % 3) == 1);
                CHECK(where.finish(waiting) == 1);
                CHECK(byte == out);
            }
        },
        three_workers);
}

TEST_CASE("a listener is served by all workers", "[conformance][workers]")
{
    on_every_driver(
        [](world& where) {
            stage scene(where);
            const int listening = scene.listener();
            std::deque<request> accepts;
            std::deque<request> connects;
            for (unsigned index = 0; index < 9; ++index)
            {
                request& accepting = accepts.emplace_back(op_kind::accept);
                stage::peer(accepting, listening, nullptr);
                where.start(accepting, index % 3);
            }
            where.settle();
            for (unsigned index = 0; index < 9; ++index)
            {
                request& connecting = connects.emplace_back(op_kind::connect);
                stage::peer(connecting, scene.tcp_socket(), &scene.address);
                where.start(connecting, (index + 1) % 3);
            }
            for (unsigned index = 0; index < 9; ++index)
            {
                CHECK(where.finish(connects[index]) == 0);
                static_cast<void>(scene.own(where.finish(accepts[index])));
            }
        },
        three_workers);
}
