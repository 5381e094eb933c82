// The waker's state under all schedules: one poll at a time, no wake is lost, and the operation is
// never scheduled twice, nor after its end.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <blitzio/io/detail/waker_state.hpp>

#include "mutants/waker_state_sleeps_over_wake.hpp"
#include "mutants/waker_state_wakes_the_dead.hpp"
#include "mutants/waker_state_wakes_twice.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <memory>

namespace
{

using blitzio::detail::waker_state;
namespace mutants = blitzio::mutants;

// An operation over a future that is ready after `needed` events. The future's own state is relaxed:
// what makes it visible is the wake.
template <class State>
struct fixture
{
    State state;
    model::atomic<int> events{0};
    model::cell<int> polling{0};
    model::sleeping_place queue;
    model::atomic<int> queued{0};

    // What wake() of the waker does.
    void wake()
    {
        if (state.wake())
        {
            const int before = queued.fetch_add(1, std::memory_order_relaxed);
            model::expect(before == 0, "the operation is queued once");
            queue.wake();
        }
    }

    void happen()
    {
        events.fetch_add(1, std::memory_order_relaxed);
        wake();
    }

    // The worker that runs the operation to its end.
    void drive(int needed)
    {
        for (;;)
        {
            state.begin_poll();
            model::expect(polling.get() == 0, "one poll at a time");
            polling.set(1);
            const bool ready = events.load(std::memory_order_relaxed) == needed;
            polling.set(0);
            if (ready)
            {
                state.end();
                return;
            }
            if (state.finish_poll())
            {
                queue.sleep();
                queued.store(0, std::memory_order_relaxed);
            }
        }
    }
};

template <class State>
void one_event(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>();
    program.thread([=] { shared->drive(1); });
    program.thread([=] { shared->happen(); });
}

template <class State>
void two_events(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>();
    program.thread([=] { shared->drive(2); });
    program.thread([=] { shared->happen(); });
    program.thread([=] { shared->happen(); });
}

// Wakes without a reason, some of them after the end.
template <class State>
void idle_wakes(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>();
    program.thread([=] { shared->drive(1); });
    program.thread([=] {
        shared->wake();
        shared->wake();
    });
    program.thread([=] { shared->happen(); });
}

// Nobody is there any more.
template <class State>
void wake_after_end(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>();
    program.thread([=] { shared->drive(0); });
    program.thread([=] {
        for (int call = 0; call < 2; ++call)
        {
            model::expect(!shared->state.wake(), "one that never sleeps is never scheduled");
        }
    });
}

template <template <class> class State, class Weakening = model::as_written>
bool is_caught_somewhere(const model::options& bounds)
{
    using subject = State<model::atomics<Weakening>>;
    constexpr std::array scenarios = {&one_event<subject>, &two_events<subject>,
                                      &idle_wakes<subject>, &wake_after_end<subject>};
    return model::is_caught(bounds, scenarios);
}

constexpr model::options bounds{.preemptions = 4, .old_values = 2};
using shipped = waker_state<model::atomics<>>;

} // namespace

TEST_CASE("waker state: an event", "[model][waker_state]")
{
    model::check_clean(bounds, &one_event<shipped>);
}

TEST_CASE("waker state: two events on two threads", "[model][waker_state]")
{
    model::check_clean(bounds, &two_events<shipped>);
}

TEST_CASE("waker state: wakes without a reason", "[model][waker_state]")
{
    model::check_clean(bounds, &idle_wakes<shipped>);
}

TEST_CASE("waker state: wakes after the end", "[model][waker_state]")
{
    model::check_clean(bounds, &wake_after_end<shipped>);
}

TEST_CASE("waker state: weakened orders are caught", "[model][waker_state][mutant]")
{
    CHECK(is_caught_somewhere<waker_state, model::unreleased_modifications>(bounds));
    CHECK(is_caught_somewhere<waker_state, model::unacquired_modifications>(bounds));
    CHECK(is_caught_somewhere<waker_state, model::torn_modifications>(bounds));
}

TEST_CASE("waker state: changed steps are caught", "[model][waker_state][mutant]")
{
    CHECK(is_caught_somewhere<mutants::waker_state_sleeps_over_wake::waker_state>(bounds));
    CHECK(is_caught_somewhere<mutants::waker_state_wakes_twice::waker_state>(bounds));
    CHECK(is_caught_somewhere<mutants::waker_state_wakes_the_dead::waker_state>(bounds));
}
