// The start gate under all schedules: the parent goes on exactly once, with the outcome in place, and
// the gate is not touched afterwards.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <blitzio/io/detail/start_gate.hpp>

#include "mutants/start_gate_both_go_on.hpp"
#include "mutants/start_gate_nobody_goes_on.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <memory>

namespace
{

using blitzio::detail::start_gate;
namespace mutants = blitzio::mutants;

// The frame of a parent with the one child it starts.
template <class Gate>
struct fixture
{
    Gate gate;
    model::cell<int> outcome{0};
    model::cell<int> parent_state{0};
    model::sleeping_place child;
    model::sleeping_place parent;
    model::atomic<int> continuations{0};

    void go_on()
    {
        model::expect(outcome.get() == 7, "the outcome is in place");
        model::expect(parent_state.get() == 1, "the parent is all there");
        const int before = continuations.fetch_add(1, std::memory_order_relaxed);
        model::expect(before == 0, "the parent goes on once");
        model::retire(&gate, sizeof(gate));
    }

    void start_and_wait()
    {
        gate.begin();
        child.wake();
        parent_state.set(1);
        if (!gate.suspend())
        {
            go_on();
            parent.wake();
        }
    }

    void end_child()
    {
        child.sleep();
        outcome.set(7);
        if (gate.end())
        {
            go_on();
            parent.wake();
        }
    }
};

// The child ends while it is being started or later, as one that ran on another worker meanwhile.
template <class Gate>
void child_ends_at_any_time(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Gate>>();
    program.thread([=] { shared->start_and_wait(); });
    program.thread([=] { shared->end_child(); });
    program.thread([=] { shared->parent.sleep(); });
    program.at_end(
        [=] { model::expect(shared->continuations.load(std::memory_order_relaxed) == 1); });
}

template <template <class> class Gate, class Weakening = model::as_written>
bool is_caught_somewhere(const model::options& bounds)
{
    using subject = Gate<model::atomics<Weakening>>;
    constexpr std::array scenarios = {&child_ends_at_any_time<subject>};
    return model::is_caught(bounds, scenarios);
}

// So few steps that all schedules are tried.
constexpr model::options bounds{.preemptions = 100, .old_values = 3};
using shipped = start_gate<model::atomics<>>;

} // namespace

TEST_CASE("start gate: the child ends at any time", "[model][start_gate]")
{
    model::check_clean(bounds, &child_ends_at_any_time<shipped>);
}

TEST_CASE("start gate: weakened orders are caught", "[model][start_gate][mutant]")
{
    CHECK(is_caught_somewhere<start_gate, model::relaxed_loads>(bounds));
    CHECK(is_caught_somewhere<start_gate, model::unreleased_modifications>(bounds));
    CHECK(is_caught_somewhere<start_gate, model::unacquired_modifications>(bounds));
    CHECK(is_caught_somewhere<start_gate, model::torn_modifications>(bounds));
}

TEST_CASE("start gate: changed steps are caught", "[model][start_gate][mutant]")
{
    CHECK(is_caught_somewhere<mutants::start_gate_both_go_on::start_gate>(bounds));
    CHECK(is_caught_somewhere<mutants::start_gate_nobody_goes_on::start_gate>(bounds));
}
