// The meeting of a task and its join handle under all schedules: the joiner goes on exactly once,
// the result has one owner, and the cell is freed once, by whoever is last.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <blitzio/io/detail/join_state.hpp>

#include "mutants/join_state_drop_forgets_result.hpp"
#include "mutants/join_state_finish_overlooks_joiner.hpp"
#include "mutants/join_state_joiner_frees_early.hpp"
#include "mutants/join_state_waits_for_ever.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <memory>

namespace
{

using blitzio::detail::join_state;
namespace mutants = blitzio::mutants;

template <class State>
struct fixture
{
    State state;
    model::cell<int> result{0};
    model::cell<int> joiner{0};
    model::cell<int> freed{0};
    model::sleeping_place sleeper;
    model::atomic<int> resumptions{0};

    // Reads everything of the cell, as its destructor does.
    void free()
    {
        model::expect(result.get() == 7, "a cell is freed after the task has finished");
        model::expect(freed.get() == 0, "a cell is freed once");
        freed.set(1);
        model::retire(&state, sizeof(state));
    }

    void run_task()
    {
        result.set(7);
        const auto verdict = state.finish();
        // By number: a mutant has an enumeration of its own.
        if (static_cast<int>(verdict) == 1)
        {
            model::expect(joiner.get() == 1, "the joiner is complete when it is invoked");
            const int before = resumptions.fetch_add(1, std::memory_order_relaxed);
            model::expect(before == 0, "the joiner is invoked once");
            sleeper.wake();
        }
        else if (static_cast<int>(verdict) == 2)
        {
            free();
        }
    }

    void take_result()
    {
        model::expect(result.get() == 7, "the result is there");
        free();
    }
};

template <class State>
void join(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>();
    program.thread([=] {
        shared->joiner.set(1);
        if (shared->state.start_waiting())
        {
            shared->sleeper.sleep();
        }
        shared->take_result();
    });
    program.thread([=] { shared->run_task(); });
    program.at_end([=] { model::expect(shared->freed.get() == 1); });
}

template <class State>
void look_then_join(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>();
    program.thread([=] {
        if (!shared->state.is_finished())
        {
            shared->joiner.set(1);
            if (shared->state.start_waiting())
            {
                shared->sleeper.sleep();
            }
        }
        shared->take_result();
    });
    program.thread([=] { shared->run_task(); });
    program.at_end([=] { model::expect(shared->freed.get() == 1); });
}

template <class State>
void drop(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>();
    program.thread([=] {
        if (!shared->state.drop())
        {
            shared->take_result();
        }
    });
    program.thread([=] { shared->run_task(); });
    program.at_end([=] { model::expect(shared->freed.get() == 1); });
}

// The task runs inside the join, on the thread that joins.
template <class State>
void run_inside_join(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>();
    auto handed_over = std::make_shared<model::atomic<int>>(0);
    program.thread([=] {
        shared->result.set(7);
        shared->state.finish_inside_join();
        handed_over->store(1, std::memory_order_relaxed);
    });
    // The handle may be moved to another thread before it is asked.
    program.thread([=] {
        if (handed_over->load(std::memory_order_relaxed) == 1 && shared->state.is_finished())
        {
            shared->take_result();
        }
    });
}

template <template <class> class State, class Weakening = model::as_written>
bool is_caught_somewhere(const model::options& bounds)
{
    using subject = State<model::atomics<Weakening>>;
    constexpr std::array scenarios = {&join<subject>, &look_then_join<subject>, &drop<subject>,
                                      &run_inside_join<subject>};
    return model::is_caught(bounds, scenarios);
}

// So few steps that all schedules are tried.
constexpr model::options bounds{.preemptions = 100, .old_values = 3};
using shipped = join_state<model::atomics<>>;

} // namespace

TEST_CASE("join state: a task is joined", "[model][join_state]")
{
    model::check_clean(bounds, &join<shipped>);
    model::check_clean(bounds, &look_then_join<shipped>);
}

TEST_CASE("join state: a handle is dropped", "[model][join_state]")
{
    model::check_clean(bounds, &drop<shipped>);
}

TEST_CASE("join state: a task runs inside its join", "[model][join_state]")
{
    model::check_clean(bounds, &run_inside_join<shipped>);
}

TEST_CASE("join state: weakened orders are caught", "[model][join_state][mutant]")
{
    // Nothing is acquired by a modification that succeeds: the first of two learns nothing.
    CHECK(is_caught_somewhere<join_state, model::relaxed_stores>(bounds));
    CHECK(is_caught_somewhere<join_state, model::relaxed_loads>(bounds));
    CHECK(is_caught_somewhere<join_state, model::unreleased_modifications>(bounds));
    CHECK(is_caught_somewhere<join_state, model::torn_modifications>(bounds));
}

TEST_CASE("join state: changed steps are caught", "[model][join_state][mutant]")
{
    CHECK(is_caught_somewhere<mutants::join_state_drop_forgets_result::join_state>(bounds));
    CHECK(is_caught_somewhere<mutants::join_state_finish_overlooks_joiner::join_state>(bounds));
    CHECK(is_caught_somewhere<mutants::join_state_joiner_frees_early::join_state>(bounds));
    CHECK(is_caught_somewhere<mutants::join_state_waits_for_ever::join_state>(bounds));
}
