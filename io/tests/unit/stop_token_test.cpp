// Stop sources, tokens and callbacks: what each promises, and runs with real threads.
#include <blitzio/io/std_stop_adapter.hpp>
#include <blitzio/io/stop_token.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <functional>
#include <latch>
#include <optional>
#include <stop_token>
#include <thread>
#include <type_traits>
#include <vector>

namespace
{

using blitzio::std_stop_adapter;
using blitzio::stop_callback;
using blitzio::stop_reason;
using blitzio::stop_source;
using blitzio::stop_token;

static_assert(std::is_trivially_copyable_v<stop_token>);
static_assert(sizeof(stop_token) == sizeof(void*));
static_assert(!std::is_copy_constructible_v<stop_source> &&
              !std::is_move_constructible_v<stop_source>);

} // namespace

TEST_CASE("a default token never stops", "[stop_token]")
{
    const stop_token never;
    CHECK_FALSE(never.stop_possible());
    CHECK_FALSE(never.stop_requested());
    CHECK(never.reason() == stop_reason::none);
    bool called = false;
    {
        const stop_callback callback(never, [&] { called = true; });
    }
    CHECK_FALSE(called);
}

TEST_CASE("a callback may take the reason, early or late", "[stop_token]")
{
    stop_source source;
    stop_reason early = stop_reason::none;
    stop_reason late = stop_reason::none;
    const stop_callback before(source.get_token(), [&](stop_reason why) { early = why; });
    CHECK(early == stop_reason::none);
    CHECK(source.request_stop(stop_reason::sibling));
    CHECK(early == stop_reason::sibling);
    const stop_callback after(source.get_token(), [&](stop_reason why) { late = why; });
    CHECK(late == stop_reason::sibling);
}

TEST_CASE("the first request counts, with its reason", "[stop_token]")
{
    stop_source source;
    const stop_token token = source.get_token();
    CHECK(token.stop_possible());
    CHECK_FALSE(token.stop_requested());
    CHECK(token.reason() == stop_reason::none);
    CHECK(source.request_stop(stop_reason::deadline));
    CHECK_FALSE(source.request_stop(stop_reason::shutdown));
    CHECK(token.stop_requested());
    CHECK(token.reason() == stop_reason::deadline);
    CHECK(source.reason() == stop_reason::deadline);
    CHECK(token == source.get_token());
    CHECK(token != stop_token{});
}

TEST_CASE("a request without a reason is the user's", "[stop_token]")
{
    stop_source plain;
    CHECK(plain.request_stop());
    CHECK(plain.reason() == stop_reason::user);
    stop_source none;
    CHECK(none.request_stop(stop_reason::none));
    CHECK(none.reason() == stop_reason::user);
}

TEST_CASE("callbacks run once, newest first, and see the request", "[stop_token]")
{
    stop_source source;
    std::vector<int> order;
    const stop_callback first(source.get_token(), [&] { order.push_back(1); });
    const stop_callback second(source.get_token(), [&] {
        CHECK(source.stop_requested());
        CHECK(source.reason() == stop_reason::sibling);
        CHECK_FALSE(source.request_stop(stop_reason::user));
        order.push_back(2);
    });
    {
        const stop_callback gone(source.get_token(), [&] { order.push_back(3); });
    }
    CHECK(source.request_stop(stop_reason::sibling));
    CHECK(order == std::vector<int>{2, 1});
}

TEST_CASE("a callback runs inside its constructor after the request", "[stop_token]")
{
    stop_source source;
    source.request_stop();
    int calls = 0;
    {
        const stop_callback late(source.get_token(), [&] { ++calls; });
        CHECK(calls == 1);
    }
    CHECK(calls == 1);
}

TEST_CASE("callbacks may remove themselves and each other while they run", "[stop_token]")
{
    struct action
    {
        void (*run)(void*);
        void* context;

        void operator()() const
        {
            run(context);
        }
    };
    struct frame
    {
        stop_source source;
        std::optional<stop_callback<action>> itself;
        std::optional<stop_callback<action>> older;
        int calls = 0;
    };
    frame frame;
    frame.older.emplace(frame.source.get_token(),
                        action{[](void*) { FAIL("was removed"); }, nullptr});
    frame.itself.emplace(frame.source.get_token(),
                         action{[](void* context) {
                                    auto* self = static_cast<struct frame*>(context);
                                    ++self->calls;
                                    self->older.reset();
                                    self->itself.reset();
                                },
                                &frame});
    CHECK(frame.source.request_stop());
    CHECK(frame.calls == 1);
    CHECK_FALSE(frame.itself.has_value());
}

TEST_CASE("a destructor waits for a callback on another thread", "[stop_token]")
{
    stop_source source;
    std::latch inside(1);
    std::atomic<bool> removal_begun{false};
    std::atomic<bool> callback_done{false};
    std::optional<stop_callback<std::function<void()>>> callback;
    callback.emplace(source.get_token(), [&] {
        inside.count_down();
        // Until the other thread is about to remove this callback; it must not get through.
        removal_begun.wait(false);
        for (int round = 0; round < 1000; ++round)
        {
            std::this_thread::yield();
        }
        callback_done = true;
    });
    std::jthread requester([&] { source.request_stop(); });
    inside.wait();
    removal_begun = true;
    removal_begun.notify_one();
    callback.reset();
    CHECK(callback_done);
}

TEST_CASE("a callback that has run goes while another one runs, on any thread", "[stop_token]")
{
    stop_source source;
    std::latch inside(1);
    std::latch both_removed(1);
    int calls = 0;
    std::optional<stop_callback<std::function<void()>>> newest;
    std::optional<stop_callback<std::function<void()>>> newer;
    const stop_callback oldest(source.get_token(), [&] {
        ++calls;
        newer.reset(); // on this thread, within another callback
        inside.count_down();
        both_removed.wait(); // a removal that waited for this callback would never end
    });
    newer.emplace(source.get_token(), [&] { ++calls; });
    newest.emplace(source.get_token(), [&] { ++calls; });
    std::jthread requester([&] { source.request_stop(); });
    inside.wait();
    newest.reset();
    both_removed.count_down();
    requester.join();
    CHECK(calls == 3);
    CHECK_FALSE(newer.has_value());
}

TEST_CASE("a std::stop_token's request arrives", "[stop_token]")
{
    std::stop_source outer;
    const std_stop_adapter adapter(outer.get_token(), stop_reason::shutdown);
    int calls = 0;
    const stop_callback callback(adapter.get_token(), [&] { ++calls; });
    CHECK_FALSE(adapter.get_token().stop_requested());
    outer.request_stop();
    CHECK(calls == 1);
    CHECK(adapter.get_token().reason() == stop_reason::shutdown);

    const std_stop_adapter late(outer.get_token());
    CHECK(late.get_token().stop_requested());
    CHECK(late.get_token().reason() == stop_reason::user);
}

TEST_CASE("registration, removal and request race without losing a call", "[stop_token][stress]")
{
    constexpr int rounds = 300;
    constexpr int callbacks = 40;
    int wrong = 0;
    for (int round = 0; round < rounds; ++round)
    {
        stop_source source;
        std::latch start(3);
        const auto live = [&] {
            start.arrive_and_wait();
            int unexpected = 0;
            for (int count = 0; count < callbacks; ++count)
            {
                int calls = 0; // plain: the destructor orders the callback's write
                bool requested_before = source.stop_requested();
                {
                    const stop_callback callback(source.get_token(), [&calls] { ++calls; });
                }
                unexpected += calls > 1 || (requested_before && calls != 1) ? 1 : 0;
            }
            return unexpected;
        };
        int wrong_first = 0;
        int wrong_second = 0;
        {
            std::jthread first([&] { wrong_first = live(); });
            std::jthread second([&] { wrong_second = live(); });
            start.arrive_and_wait();
            source.request_stop();
        }
        wrong += wrong_first + wrong_second;
    }
    CHECK(wrong == 0);
}
