// The oneshot hand-off under all schedules: the receiver goes on exactly once, the value has one
// owner.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <blitzio/io/detail/oneshot_state.hpp>

#include "mutants/oneshot_state_value_after_close.hpp"
#include "mutants/oneshot_state_waits_for_ever.hpp"
#include "mutants/oneshot_state_wakes_twice.hpp"
#include "mutants/oneshot_state_withdrawal_leaves_bit.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <memory>

namespace
{

using blitzio::detail::oneshot_state;
namespace mutants = blitzio::mutants;

// What surrounds the state in a real hand-off: the value, the waiter, and the receiver's
// resumption.
template <class State>
struct fixture
{
    State state;
    model::cell<int> value{0};
    model::cell<int> waiter{0};
    model::cell<int> value_destroyed{0};
    model::sleeping_place receiver;
    model::atomic<int> resumptions{0};

    void resume()
    {
        model::expect(waiter.get() == 1, "the waiter is complete when it is resumed");
        const int before = resumptions.fetch_add(1, std::memory_order_relaxed);
        model::expect(before == 0, "the receiver is resumed once");
        receiver.wake();
    }

    void destroy_value()
    {
        model::expect(value.get() == 7, "a value is complete");
        value.set(0);
        value_destroyed.set(value_destroyed.get() + 1);
    }

    // A sender that gives a value, and keeps it when nobody takes it.
    void send()
    {
        value.set(7);
        const auto completion = state.complete();
        if (!completion.accepted)
        {
            destroy_value();
        }
        if (completion.must_wake_receiver)
        {
            resume();
        }
    }

    void leave()
    {
        if (state.abandon())
        {
            resume();
        }
    }

    // Sleeps until the sender has finished or somebody withdrew the waiter.
    void wait()
    {
        waiter.set(1);
        if (state.start_waiting())
        {
            receiver.sleep();
        }
    }

    void withdraw_and_resume()
    {
        if (state.cancel_waiting())
        {
            resume();
        }
    }
};

// The compute bridge: one waits, one completes; the frame with the state dies after the resumption.
template <class State>
void await_value(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>();
    program.thread([=] {
        shared->wait();
        model::expect(shared->state.has_value());
        shared->destroy_value();
        model::retire(&shared->state, sizeof(shared->state));
    });
    program.thread([=] { shared->send(); });
}

// The sender ends without a value.
template <class State>
void await_nothing(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>();
    program.thread([=] {
        shared->wait();
        model::expect(shared->state.is_finished() && !shared->state.has_value());
    });
    program.thread([=] { shared->leave(); });
}

// A receiver that loses interest: the value is destroyed once, by whoever owns it.
template <class State>
void close_against_value(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>();
    program.thread([=] {
        // What close() did not find never comes, however late one looks.
        if (shared->state.close() || shared->state.has_value())
        {
            shared->destroy_value();
        }
    });
    program.thread([=] {
        static_cast<void>(shared->state.closed());
        shared->send();
    });
    program.at_end([=] { model::expect(shared->value_destroyed.get() == 1); });
}

// A stop callback on a third thread: sender and canceller both want to resume the receiver.
template <class State>
void cancel_against_value(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>();
    program.thread([=] {
        shared->wait();
        if (shared->state.close())
        {
            shared->destroy_value();
        }
    });
    program.thread([=] { shared->send(); });
    program.thread([=] { shared->withdraw_and_resume(); });
    program.at_end([=] { model::expect(shared->value_destroyed.get() == 1); });
}

// Withdrawn by the receiver itself, which then waits anew with another waiter.
template <class State>
void wait_again(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>();
    program.thread([=] {
        shared->waiter.set(1);
        if (shared->state.start_waiting())
        {
            if (shared->state.cancel_waiting())
            {
                shared->wait();
            }
            else
            {
                shared->receiver.sleep();
            }
        }
        model::expect(shared->state.has_value());
        shared->destroy_value();
    });
    program.thread([=] { shared->send(); });
}

template <template <class> class State, class Weakening = model::as_written>
bool is_caught_somewhere(const model::options& bounds)
{
    using subject = State<model::atomics<Weakening>>;
    constexpr std::array scenarios = {&await_value<subject>, &await_nothing<subject>,
                                      &close_against_value<subject>, &cancel_against_value<subject>,
                                      &wait_again<subject>};
    return model::is_caught(bounds, scenarios);
}

// So few steps that all schedules are tried.
constexpr model::options bounds{.preemptions = 100, .old_values = 3};
using shipped = oneshot_state<model::atomics<>>;

} // namespace

TEST_CASE("oneshot state: a value is awaited", "[model][oneshot_state]")
{
    model::check_clean(bounds, &await_value<shipped>);
}

TEST_CASE("oneshot state: the sender leaves", "[model][oneshot_state]")
{
    model::check_clean(bounds, &await_nothing<shipped>);
}

TEST_CASE("oneshot state: the receiver closes", "[model][oneshot_state]")
{
    model::check_clean(bounds, &close_against_value<shipped>);
}

TEST_CASE("oneshot state: a stop request withdraws the waiter", "[model][oneshot_state]")
{
    model::check_clean(bounds, &cancel_against_value<shipped>);
}

TEST_CASE("oneshot state: the receiver waits twice", "[model][oneshot_state]")
{
    model::check_clean(bounds, &wait_again<shipped>);
}

TEST_CASE("oneshot state: weakened orders are caught", "[model][oneshot_state][mutant]")
{
    CHECK(is_caught_somewhere<oneshot_state, model::relaxed_loads>(bounds));
    CHECK(is_caught_somewhere<oneshot_state, model::unreleased_modifications>(bounds));
    CHECK(is_caught_somewhere<oneshot_state, model::unacquired_modifications>(bounds));
    CHECK(is_caught_somewhere<oneshot_state, model::torn_modifications>(bounds));
}

TEST_CASE("oneshot state: changed steps are caught", "[model][oneshot_state][mutant]")
{
    CHECK(is_caught_somewhere<mutants::oneshot_state_value_after_close::oneshot_state>(bounds));
    CHECK(is_caught_somewhere<mutants::oneshot_state_waits_for_ever::oneshot_state>(bounds));
    CHECK(is_caught_somewhere<mutants::oneshot_state_wakes_twice::oneshot_state>(bounds));
    CHECK(is_caught_somewhere<mutants::oneshot_state_withdrawal_leaves_bit::oneshot_state>(bounds));
}
