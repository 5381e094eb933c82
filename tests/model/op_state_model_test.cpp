// The life of an operation under all schedules: it is continued exactly once, by whoever is last of
// its completion and its cancel request, and nobody touches it afterwards.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <blitzio/io/detail/op_state.hpp>

#include "mutants/op_state_cancel_after_end.hpp"
#include "mutants/op_state_cancel_is_silent.hpp"
#include "mutants/op_state_completion_does_not_wait.hpp"
#include "mutants/op_state_submits_cancelled.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <memory>

namespace
{

using blitzio::detail::basic_op_state;
namespace mutants = blitzio::mutants;

constexpr int delivered = 7;
constexpr int not_submitted = -1;

// What surrounds the state in a real operation: its result, its cancel node, its waiter.
template <class State>
struct fixture
{
    State state;
    model::cell<int> result{0};
    model::cell<bool> cancel_node_in_use{false};
    model::sleeping_place driver;
    model::sleeping_place home;
    model::sleeping_place callback_done;
    model::sleeping_place waiter;
    model::atomic<int> continuations{0};
    model::cell<bool> submitted{false};
    model::cell<bool> cancel_posted{false};

    void continue_waiter()
    {
        model::expect(result.get() == delivered, "the result is complete");
        model::expect(!cancel_node_in_use.get(), "the cancel request is through");
        const int before = continuations.fetch_add(1, std::memory_order_relaxed);
        model::expect(before == 0, "the waiter is continued once");
        waiter.wake();
    }

    // The awaiting frame: submits, waits, dies. The stop callback may run at any time meanwhile.
    void await()
    {
        if (state.begin())
        {
            submitted.set(true);
            driver.wake();
            waiter.sleep();
        }
        else
        {
            result.set(not_submitted);
            driver.wake();
        }
        callback_done.sleep(); // what disarming the stop callback waits for
        model::retire(&state, sizeof(state));
    }

    // The worker or poller that gets the operation's own result.
    void complete()
    {
        driver.sleep();
        if (!submitted.get())
        {
            return;
        }
        result.set(delivered);
        if (state.complete())
        {
            continue_waiter();
        }
    }

    // A stop request on any thread.
    void request()
    {
        if (state.request_cancel())
        {
            cancel_node_in_use.set(true);
            cancel_posted.set(true);
        }
        home.wake();
        callback_done.wake();
    }

    // The home worker, which takes the cancel node from its inbox.
    void cancel()
    {
        home.sleep();
        if (!cancel_posted.get())
        {
            return;
        }
        static_cast<void>(state.is_terminal());
        cancel_node_in_use.set(false);
        if (state.cancel_finished())
        {
            continue_waiter();
        }
    }
};

// Completion and cancel on threads of their own, as with a poller that is not the home worker.
template <class State>
void cancelled_at_any_time(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>();
    program.thread([=] { shared->await(); });
    program.thread([=] { shared->complete(); });
    program.thread([=] { shared->request(); });
    program.thread([=] { shared->cancel(); });
    program.at_end([=] {
        const bool was_submitted = shared->submitted.get();
        model::expect(shared->continuations.load(std::memory_order_relaxed) ==
                          (was_submitted ? 1 : 0),
                      "a submitted operation is continued, another one is not");
    });
}

// No thread but those two: the operation goes its way.
template <class State>
void never_cancelled(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>();
    program.thread([=] {
        shared->callback_done.wake();
        shared->await();
    });
    program.thread([=] { shared->complete(); });
}

template <template <class> class State, class Weakening = model::as_written>
bool is_caught_somewhere(const model::options& bounds)
{
    using subject = State<model::atomics<Weakening>>;
    constexpr std::array scenarios = {&cancelled_at_any_time<subject>, &never_cancelled<subject>};
    return model::is_caught(bounds, scenarios);
}

constexpr model::options bounds{.preemptions = 3, .old_values = 1};
using shipped = basic_op_state<model::atomics<>>;

} // namespace

TEST_CASE("op state: a cancel request at any time", "[model][op_state]")
{
    model::check_clean(bounds, &cancelled_at_any_time<shipped>);
}

TEST_CASE("op state: no cancel request", "[model][op_state]")
{
    model::check_clean(bounds, &never_cancelled<shipped>);
}

TEST_CASE("op state: weakened orders are caught", "[model][op_state][mutant]")
{
    CHECK(is_caught_somewhere<basic_op_state, model::unreleased_modifications>(bounds));
    CHECK(is_caught_somewhere<basic_op_state, model::unacquired_modifications>(bounds));
    CHECK(is_caught_somewhere<basic_op_state, model::torn_modifications>(bounds));
}

TEST_CASE("op state: changed steps are caught", "[model][op_state][mutant]")
{
    CHECK(is_caught_somewhere<mutants::op_state_completion_does_not_wait::basic_op_state>(bounds));
    CHECK(is_caught_somewhere<mutants::op_state_cancel_after_end::basic_op_state>(bounds));
    CHECK(is_caught_somewhere<mutants::op_state_cancel_is_silent::basic_op_state>(bounds));
    CHECK(is_caught_somewhere<mutants::op_state_submits_cancelled::basic_op_state>(bounds));
}
