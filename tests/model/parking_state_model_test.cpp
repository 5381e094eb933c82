// The state of a place where a pool's thread sleeps, under all schedules within the bounds: no wake is
// lost, a sleep that helps is ended by its own handle, and nobody touches the handle of a later one.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <parking_state.hpp>

#include "mutants/parking_state_announces_early.hpp"
#include "mutants/parking_state_drops_permits.hpp"
#include "mutants/parking_state_erases_permits_blindly.hpp"
#include "mutants/parking_state_keeps_handle.hpp"
#include "mutants/parking_state_sleeps_over_permits.hpp"
#include "mutants/parking_state_touches_handle_late.hpp"
#include "mutants/parking_state_wakes_in_two_steps.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cstddef>
#include <memory>

namespace
{

using blitzio::compute::detail::parking_state;
namespace mutants = blitzio::mutants;

/// A wait that an unfinished task keeps going.
struct group
{
    model::sleeping_place place;
    model::cell<bool> is_over{false};
};

/// Its end ends the wait, like that of a task handle that was never run.
class handle
{
public:
    handle() = default;
    explicit handle(group& waited) : waited_(&waited) {}
    handle(handle&& other) noexcept : waited_(other.give()) {}
    handle& operator=(handle&& other) noexcept
    {
        group* const taken = other.give();
        let_go();
        waited_.set(taken);
        return *this;
    }
    ~handle()
    {
        let_go();
    }

private:
    [[nodiscard]] group* give()
    {
        group* const given = waited_.get();
        waited_.set(nullptr);
        return given;
    }

    void let_go()
    {
        if (group* const ended = give())
        {
            model::expect(!ended->is_over.get(), "the handle belongs to the present sleep");
            ended->place.wake();
        }
    }

    model::cell<group*> waited_{nullptr};
};

enum class way
{
    alone,
    helping,
    both_in_turn,
};

/// What parking_place does with the state.
template <class State>
struct fixture
{
    std::array<group, 8> groups; // one for each sleep
    State state;
    model::kernel_queue kernel;
    // Relaxed all over: what the thread knows after a sleep, it knows through the place.
    model::atomic<int> news{0};
    model::cell<int> letter{0};
    std::size_t sleeps = 0;

    void sleep(way how)
    {
        const std::size_t number = sleeps++;
        if (how == way::helping || (how == way::both_in_turn && number % 2 == 0))
        {
            model::expect(number < groups.size(), "there are not that many wakes");
            state.announce_help(handle(groups[number]));
            groups[number].place.sleep();
            groups[number].is_over.set(true);
        }
        else if (state.announce_sleep())
        {
            while (state.sleeps())
            {
                kernel.wait_while(state.address(), state.asleep);
            }
        }
        state.end_sleep();
    }

    void wake()
    {
        const auto order = state.wake();
        if (order.in_kernel)
        {
            kernel.wake();
        }
    }

    void tell()
    {
        news.fetch_add(1, std::memory_order_relaxed);
        wake();
    }

    /// Sleeps until there have been so many news.
    void wait_for(int count, way how)
    {
        while (news.load(std::memory_order_relaxed) < count)
        {
            sleep(how);
        }
    }
};

/// Several wake the thread, and each one's wake may be the one that counts.
template <class State, way How>
void several_wake(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>();
    program.thread([=] { shared->wait_for(3, How); });
    program.thread([=] {
        shared->tell();
        shared->tell();
    });
    program.thread([=] { shared->tell(); });
}

/// One wake for one sleep hands over what was written before.
template <class State, way How>
void hand_over(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>();
    program.thread([=] {
        shared->sleep(How);
        model::expect(shared->letter.get() == 1, "what the waker has written");
    });
    program.thread([=] {
        shared->letter.set(1);
        shared->wake();
    });
}

/// Wakes for nothing, which end sleeps early, do not let a later one be lost.
template <class State, way How>
void sleep_twice(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>();
    program.thread([=] {
        shared->sleep(How);
        shared->wait_for(1, How);
    });
    program.thread([=] { shared->wake(); });
    program.thread([=] { shared->tell(); });
}

template <template <class, class> class State, class Weakening = model::as_written>
bool is_caught_somewhere(const model::options& bounds)
{
    using subject = State<handle, model::atomics<Weakening>>;
    constexpr std::array scenarios = {
        &hand_over<subject, way::alone>,          &hand_over<subject, way::helping>,
        &sleep_twice<subject, way::alone>,        &sleep_twice<subject, way::helping>,
        &several_wake<subject, way::alone>,       &several_wake<subject, way::helping>,
        &several_wake<subject, way::both_in_turn>};
    return model::is_caught(bounds, scenarios);
}

constexpr model::options bounds{.preemptions = 4, .old_values = 2};
constexpr model::options mutant_bounds{.preemptions = 2, .old_values = 1};
using shipped = parking_state<handle, model::atomics<>>;

} // namespace

TEST_CASE("parking state: several wake one who sleeps alone", "[model][parking_state]")
{
    model::check_clean(bounds, &several_wake<shipped, way::alone>);
    model::check_clean(bounds, &sleep_twice<shipped, way::alone>);
    model::check_clean(bounds, &hand_over<shipped, way::alone>);
}

TEST_CASE("parking state: several wake one who helps", "[model][parking_state]")
{
    model::check_clean(bounds, &several_wake<shipped, way::helping>);
    model::check_clean(bounds, &sleep_twice<shipped, way::helping>);
    model::check_clean(bounds, &hand_over<shipped, way::helping>);
}

TEST_CASE("parking state: several wake one who sleeps in both ways", "[model][parking_state]")
{
    model::check_clean(bounds, &several_wake<shipped, way::both_in_turn>);
    model::check_clean(bounds, &sleep_twice<shipped, way::both_in_turn>);
}

TEST_CASE("parking state: weakened orders are caught", "[model][parking_state][mutant]")
{
    CHECK(is_caught_somewhere<parking_state, model::unreleased_modifications>(mutant_bounds));
    CHECK(is_caught_somewhere<parking_state, model::unacquired_modifications>(mutant_bounds));
    CHECK(is_caught_somewhere<parking_state, model::torn_modifications>(mutant_bounds));
}

TEST_CASE("parking state: changed steps are caught", "[model][parking_state][mutant]")
{
    CHECK(is_caught_somewhere<mutants::parking_state_wakes_in_two_steps::parking_state>(
        mutant_bounds));
    CHECK(is_caught_somewhere<mutants::parking_state_drops_permits::parking_state>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::parking_state_sleeps_over_permits::parking_state>(
        mutant_bounds));
    CHECK(
        is_caught_somewhere<mutants::parking_state_announces_early::parking_state>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::parking_state_keeps_handle::parking_state>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::parking_state_touches_handle_late::parking_state>(
        mutant_bounds));
    CHECK(is_caught_somewhere<mutants::parking_state_erases_permits_blindly::parking_state>(
        mutant_bounds));
}
