// The oneshot hand-off: every order of the two sides' steps, and a run with real threads.
#include <blitzio/io/detail/oneshot_state.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <semaphore>
#include <thread>

namespace
{

using blitzio::detail::oneshot_state;

} // namespace

TEST_CASE("a value that is there first spares the wait", "[oneshot_state]")
{
    oneshot_state<> state;
    CHECK_FALSE(state.is_finished());
    const auto completion = state.complete();
    CHECK(completion.accepted);
    CHECK_FALSE(completion.must_wake_receiver);
    CHECK(state.has_value());
    CHECK_FALSE(state.start_waiting());
}

TEST_CASE("a waiting receiver has to be woken", "[oneshot_state]")
{
    oneshot_state<> state;
    CHECK(state.start_waiting());
    const auto completion = state.complete();
    CHECK(completion.accepted);
    CHECK(completion.must_wake_receiver);
    CHECK(static_cast<bool>(completion));
    CHECK_FALSE(state.cancel_waiting());
    CHECK(state.has_value());
}

TEST_CASE("a sender that leaves ends the wait without a value", "[oneshot_state]")
{
    oneshot_state<> waiting;
    CHECK(waiting.start_waiting());
    CHECK(waiting.abandon().must_wake_receiver);
    CHECK(waiting.is_finished());
    CHECK_FALSE(waiting.has_value());

    oneshot_state<> early;
    CHECK_FALSE(early.abandon().must_wake_receiver);
    CHECK_FALSE(early.start_waiting());
}

TEST_CASE("a withdrawn waiter is not woken", "[oneshot_state]")
{
    oneshot_state<> state;
    CHECK_FALSE(state.cancel_waiting());
    CHECK(state.start_waiting());
    CHECK(state.cancel_waiting());
    CHECK_FALSE(state.cancel_waiting());
    const auto completion = state.complete();
    CHECK(completion.accepted);
    CHECK_FALSE(completion.must_wake_receiver);
    CHECK_FALSE(state.start_waiting());
}

TEST_CASE("a closed receiver takes no value", "[oneshot_state]")
{
    oneshot_state<> state;
    CHECK_FALSE(state.closed());
    CHECK_FALSE(state.close());
    CHECK(state.closed());
    const auto completion = state.complete();
    CHECK_FALSE(completion.accepted);
    CHECK_FALSE(completion.must_wake_receiver);
    CHECK_FALSE(state.has_value());

    oneshot_state<> other;
    CHECK_FALSE(other.close());
    CHECK_FALSE(other.abandon().must_wake_receiver);
    CHECK(other.is_finished());
}

TEST_CASE("a value set before the close is the receiver's", "[oneshot_state]")
{
    oneshot_state<> state;
    CHECK(state.complete().accepted);
    CHECK(state.close());
    CHECK(state.close());
    CHECK(state.has_value());
}

TEST_CASE("values pass from thread to thread, each awaited once", "[oneshot_state][stress]")
{
    constexpr int rounds = 20'000;
    struct exchange
    {
        oneshot_state<> state;
        int value = 0; // plain: the state orders it
    };
    std::atomic<exchange*> offered{nullptr};
    std::binary_semaphore place{0};
    std::jthread sender([&] {
        for (int round = 1; round <= rounds; ++round)
        {
            offered.wait(nullptr, std::memory_order_acquire);
            exchange* const current = offered.exchange(nullptr, std::memory_order_acquire);
            current->value = round;
            if (current->state.complete())
            {
                place.release();
            }
        }
    });
    int wrong = 0;
    for (int round = 1; round <= rounds; ++round)
    {
        exchange current;
        offered.store(&current, std::memory_order_release);
        offered.notify_one();
        if (current.state.start_waiting())
        {
            place.acquire();
        }
        wrong += current.value != round ? 1 : 0;
    }
    CHECK(wrong == 0);
}

TEST_CASE("a canceller and a sender wake the receiver once between them", "[oneshot_state][stress]")
{
    constexpr int rounds = 2'000;
    int wrong = 0;
    for (int round = 0; round < rounds; ++round)
    {
        oneshot_state<> state;
        std::counting_semaphore<> place{0};
        std::atomic<int> wakes{0};
        REQUIRE(state.start_waiting());
        {
            std::jthread sender([&] {
                if (state.complete())
                {
                    wakes.fetch_add(1, std::memory_order_relaxed);
                    place.release();
                }
            });
            if (state.cancel_waiting())
            {
                wakes.fetch_add(1, std::memory_order_relaxed);
                place.release();
            }
            place.acquire();
        }
        wrong += wakes.load() != 1 || !state.has_value() ? 1 : 0;
    }
    CHECK(wrong == 0);
}
