// watch. Thread rule: as the tests say.
#include "support.hpp"

#include <blitzio/io/timeout.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/sync/watch.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>

using namespace blitzio;
using namespace sync_tests;
using namespace std::chrono_literals;

// Tokio's sync_watch: single_rx_recv, borrow_and_update, rx_observes_final_value.
TEST_CASE("a watch shows the latest value and whether it is new")
{
    auto rt = simulated(3);
    auto [sender, receiver] = sync::watch<std::string>("one");
    rt.block_on([&, &to = sender, &from = receiver]() -> task<void> {
        CHECK(*from.borrow() == "one");
        CHECK_FALSE(from.has_changed());
        auto none = co_await timeout(5ms, from.changed());
        CHECK(none.error() == std::errc::timed_out);
        CHECK(to.send("two").has_value());
        CHECK(to.send("three").has_value());
        CHECK(from.has_changed());
        CHECK(*from.borrow() == "three"); // not marked as seen by that
        auto changed = co_await from.changed();
        CHECK(changed.has_value());
        CHECK_FALSE(from.has_changed());
        CHECK(to.send("four").has_value());
        CHECK(from.borrow_and_update()->size() == 4);
        CHECK_FALSE(from.has_changed());
        CHECK(to.send("five").has_value());
        {
            auto last = std::move(to);
        }
        CHECK(from.is_closed());
        changed = co_await from.changed();
        CHECK(changed.has_value());
        changed = co_await from.changed();
        CHECK(changed.error() == io_errc::closed);
        CHECK(*from.borrow() == "five");
    });
}

// Tokio's sync_watch: multi_rx, reopened_after_subscribe, multi_sender.
TEST_CASE("copies of a watch receiver go on by themselves, and values wait for later receivers")
{
    auto ends = sync::watch<int>(0);
    auto sender = ends.sender;
    {
        auto first = ends.receiver;
        auto second = first;
        auto original = std::move(ends.receiver);
        REQUIRE(sender.send(1).has_value());
        REQUIRE(first.has_changed());
        REQUIRE(*first.borrow_and_update() == 1);
        REQUIRE(second.has_changed());
        auto third = first;
        REQUIRE_FALSE(third.has_changed());
        REQUIRE_FALSE(sender.has_no_receivers());
    }
    REQUIRE(sender.has_no_receivers());
    REQUIRE(ends.sender.send(2).has_value());
    auto late = sender.subscribe();
    REQUIRE(*late.borrow() == 2);
    REQUIRE_FALSE(late.has_changed());
    sender.close();
    REQUIRE(ends.sender.send(3).error() == io_errc::closed);
    REQUIRE(*ends.sender.borrow() == 2);
}

// Tokio's sync_watch: send_modify_panic, and that what was borrowed does not change.
TEST_CASE("a value is modified as a copy, and what was borrowed stays as it was")
{
    auto [sender, receiver] = sync::watch<std::string>("a");
    const auto before = receiver.borrow();
    REQUIRE(sender.modify([](std::string& text) { text += 'b'; }).has_value());
    REQUIRE(*before == "a");
    REQUIRE(*receiver.borrow_and_update() == "ab");
    REQUIRE_THROWS_AS(sender.modify([](std::string& text) {
        text += 'c';
        throw std::runtime_error("no");
    }),
                      std::runtime_error);
    REQUIRE_FALSE(receiver.has_changed());
    REQUIRE(*receiver.borrow() == "ab");
    std::weak_ptr<int> old;
    auto pointers = sync::watch<std::shared_ptr<int>>(std::make_shared<int>(1));
    {
        const auto held = pointers.receiver.borrow();
        old = *held;
        REQUIRE(pointers.sender.send(nullptr).has_value());
        REQUIRE_FALSE(old.expired());
    }
    REQUIRE(old.expired());
}

TEST_CASE("wait_for ends with the first value that fits")
{
    auto rt = simulated(4);
    auto [sender, receiver] = sync::watch<int>(0);
    rt.block_on([&, &to = sender, &from = receiver]() -> task<void> {
        auto waiting = rt.spawn([&]() -> task<int> {
            auto found = co_await from.wait_for([](const int& value) { return value >= 3; });
            co_return **found;
        });
        for (int value = 1; value <= 5; ++value)
        {
            co_await yield_times(4);
            CHECK(to.send(value).has_value());
        }
        const int found = co_await std::move(waiting);
        CHECK(found >= 3);
        to.close();
        auto never = co_await from.wait_for([](const int& value) { return value > 9; });
        CHECK(never.error() == io_errc::closed);
    });
}

// Tokio's sync_watch: receiver_is_notified_when_last_sender_is_dropped.
TEST_CASE("waiting for a change may be cancelled at every step, and the change is still new")
{
    unsigned seen = 0;
    unsigned seen_later = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        auto rt = simulated(seed);
        auto [sender, receiver] = sync::watch<std::uint64_t>(0);
        result<void> changed = fail(io_errc::closed);
        auto waiting =
            rt.spawn([&, &from = receiver]() -> task<void> { changed = co_await from.changed(); });
        static_cast<void>(rt.spawn([&, steps = seed % 7]() -> task<void> {
            co_await yield_times(steps);
            waiting.request_stop();
        }));
        rt.block_on([&, &to = sender]() -> task<void> {
            co_await yield_times(seed / 7 % 7);
            if (seed % 5 != 0)
            {
                CHECK(to.send(seed).has_value());
            }
            to.close();
        });
        rt.run();
        CAPTURE(seed);
        REQUIRE(*receiver.borrow() == (seed % 5 == 0 ? 0 : seed));
        if (seed % 5 == 0)
        {
            REQUIRE((changed.error() == io_errc::closed || is_cancelled(changed.error())));
        }
        else if (changed)
        {
            ++seen;
            REQUIRE_FALSE(receiver.has_changed());
        }
        else
        {
            ++seen_later;
            REQUIRE(is_cancelled(changed.error()));
            REQUIRE(receiver.has_changed());
        }
    }
    REQUIRE(seen > 0);
    REQUIRE(seen_later > 0);
}

TEST_CASE("receivers of a watch see versions grow, and the last one, on real threads")
{
    for (const unsigned workers : {1u, 4u})
    {
        auto rt = threaded(workers);
        std::atomic<unsigned> refused{0};
        std::atomic<unsigned> finished{0};
        std::atomic<bool> went_back{false};
        constexpr std::uint64_t per_sender = 3000;
        {
            auto [sender, receiver] = sync::watch<std::string>("0");
            for (unsigned id = 0; id < 4; ++id)
            {
                static_cast<void>(rt.spawn([&, from = receiver, id]() mutable -> task<void> {
                    std::uint64_t last = 0;
                    for (unsigned round = 0;; ++round)
                    {
                        auto changed =
                            co_await timeout(round % 5 == id ? 10us : 10s, from.changed());
                        const auto value = std::stoull(*from.borrow_and_update());
                        went_back = went_back || value < last;
                        last = value;
                        if (!changed && changed.error() == io_errc::closed)
                        {
                            break;
                        }
                    }
                    finished.fetch_add(last == 3 * per_sender ? 1 : 0);
                }));
            }
            for (unsigned id = 0; id < 3; ++id)
            {
                static_cast<void>(rt.spawn([&refused, to = sender]() mutable -> task<void> {
                    for (std::uint64_t round = 0; round < per_sender; ++round)
                    {
                        // Long enough to be allocated.
                        const auto modified = to.modify([](std::string& text) {
                            text = std::to_string(std::stoull(text) + 1) + std::string(40, ' ');
                        });
                        refused.fetch_add(modified ? 0 : 1);
                        if (round % 8 == 0)
                        {
                            co_await yield();
                        }
                    }
                }));
            }
        }
        rt.run();
        CAPTURE(workers);
        REQUIRE(refused == 0);
        REQUIRE_FALSE(went_back.load());
        REQUIRE(finished == 4);
    }
}
