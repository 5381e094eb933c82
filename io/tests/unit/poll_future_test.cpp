// as_awaitable: foreign futures that are polled, and wakers that anybody calls at any time.
#include "support/runtimes.hpp"

#include <blitzio/io.hpp>
#include <blitzio/io/detail/frame_pool.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using blitzio::as_awaitable;
using blitzio::result;
using blitzio::task;
using blitzio::waker;
using blitzio::test::on_every_runtime;

namespace
{

/// What a hand-written state machine looks like: each poll is one transition.
class fetch_machine
{
public:
    std::optional<int> poll(waker& wake)
    {
        switch (state_)
        {
        case state::connecting: state_ = state::reading; break;
        case state::reading: state_ = state::parsing; break;
        case state::parsing: return 42;
        }
        wake.wake(); // there is more to do at once
        return std::nullopt;
    }

private:
    enum class state
    {
        connecting,
        reading,
        parsing,
    };
    state state_ = state::connecting;
};

/// A value that another thread delivers, and the waker that it calls.
struct mailbox
{
    std::mutex lock;
    std::optional<int> value;
    std::optional<waker> waiting;
    int polls = 0;

    void deliver(int given)
    {
        std::optional<waker> woken;
        {
            const std::scoped_lock held(lock);
            value = given;
            woken = std::move(waiting);
        }
        if (woken)
        {
            woken->wake();
        }
    }
};

struct mail_future
{
    std::shared_ptr<mailbox> box;

    std::optional<int> poll(waker& wake)
    {
        const std::scoped_lock held(box->lock);
        ++box->polls;
        if (!box->value)
        {
            box->waiting = wake;
        }
        return box->value;
    }
};

} // namespace

TEST_CASE("a state machine written by hand is driven to its end", "[poll_future]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        CHECK(runtime.block_on(as_awaitable(fetch_machine())) == 42);
        auto [first, second] = runtime.block_on(
            blitzio::when_all(as_awaitable(fetch_machine()), as_awaitable(fetch_machine())));
        CHECK(*first + *second == 84);
    });
}

TEST_CASE("a waker works from another thread, and is polled once for it", "[poll_future]")
{
    for (const unsigned workers : {1u, 4u})
    {
        blitzio::runtime runtime({.io_threads = workers});
        for (int round = 0; round < 300; ++round)
        {
            const auto box = std::make_shared<mailbox>();
            std::thread sender([&] { box->deliver(round); });
            CHECK(runtime.block_on(as_awaitable(mail_future{box})) == round);
            sender.join();
            CHECK(box->polls <= 2);
        }
    }
}

TEST_CASE("wakers called often, by many, and after the end do no harm", "[poll_future]")
{
    struct shared_state
    {
        std::mutex lock;
        std::vector<waker> wakers;
        std::atomic<bool> ready{false};
        std::atomic<int> polls{0};
        std::atomic<int> inside{0};

        waker copy_first()
        {
            const std::scoped_lock held(lock);
            return wakers.empty() ? waker() : wakers.front();
        }
    };
    struct noisy_future
    {
        shared_state* state;

        std::optional<int> poll(waker& wake)
        {
            // Never by two at once.
            REQUIRE(state->inside.fetch_add(1) == 0);
            {
                const std::scoped_lock held(state->lock);
                if (state->wakers.size() < 4)
                {
                    state->wakers.push_back(wake);
                }
            }
            state->polls.fetch_add(1);
            const bool ready = state->ready.load();
            state->inside.fetch_sub(1);
            return ready ? std::optional(1) : std::nullopt;
        }
    };
    const auto frames = blitzio::detail::live_frames();
    {
        shared_state state;
        {
            blitzio::runtime runtime({.io_threads = 2});
            for (int round = 0; round < 50; ++round)
            {
                state.wakers.clear();
                state.ready = false;
                std::atomic<bool> finished{false};
                std::vector<std::thread> callers;
                for (int index = 0; index < 3; ++index)
                {
                    callers.emplace_back([&] {
                        while (!finished)
                        {
                            state.copy_first().wake();
                            if (state.polls > 20)
                            {
                                state.ready = true;
                            }
                        }
                        state.copy_first().wake(); // after the end
                    });
                }
                state.polls = 0;
                CHECK(runtime.block_on(as_awaitable(noisy_future{&state})) == 1);
                finished = true;
                for (std::thread& caller : callers)
                {
                    caller.join();
                }
            }
        }
        // The runtime is gone, too.
        for (const waker& late : state.wakers)
        {
            late.wake();
        }
        REQUIRE(!state.wakers.empty());
        CHECK((state.wakers.front() == state.wakers.back()));
    }
    const waker empty;
    empty.wake();
    CHECK(blitzio::detail::live_frames() == frames);
}

TEST_CASE("a stop ends the wait, and a value that is there beats it", "[poll_future][stop]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        const auto waits = [](std::shared_ptr<mailbox> box) -> task<result<int>> {
            co_return co_await as_awaitable(mail_future{box});
        };
        const auto empty = std::make_shared<mailbox>();
        auto stopped = runtime.spawn(waits(empty));
        stopped.request_stop();
        CHECK(runtime.block_on(std::move(stopped)).error() == std::errc::operation_canceled);
        empty->deliver(3); // late
        CHECK(runtime
                  .block_on(
                      blitzio::timeout(1ms, as_awaitable(mail_future{std::make_shared<mailbox>()})))
                  .error() == std::errc::timed_out);
        const auto full = std::make_shared<mailbox>();
        full->value = 9;
        auto found = runtime.spawn(waits(full));
        found.request_stop();
        CHECK(runtime.block_on(std::move(found)) == 9);
    });
}

TEST_CASE("what poll throws is thrown at the await, results are results", "[poll_future]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        struct broken
        {
            std::optional<int> poll(waker&)
            {
                throw std::logic_error("on purpose");
            }
        };
        CHECK_THROWS_AS(runtime.block_on(as_awaitable(broken())), std::logic_error);
        struct failing
        {
            std::optional<result<int>> poll(waker&)
            {
                return result<int>(blitzio::fail(std::errc::io_error));
            }
        };
        CHECK(runtime.block_on(as_awaitable(failing())).error() == std::errc::io_error);
    });
}
