// Waiting under one lock, as all types of sync do that have no protocol of their own, under all
// schedules within the bounds; for the semaphore, whose waits differ in what they want.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <blitzio/sync/detail/semaphore_core.hpp>

#include "mutants/semaphore_core_deaf_to_stop.hpp"
#include "mutants/semaphore_core_grants_losers.hpp"
#include "mutants/semaphore_core_overtakes.hpp"
#include "mutants/semaphore_core_stops_at_loser.hpp"
#include "mutants/semaphore_core_withdrawal_blocks.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cstddef>
#include <memory>

namespace
{

using blitzio::detail::attempt_mode;
using blitzio::detail::basic_choice;
using blitzio::detail::permit_node;
using blitzio::detail::semaphore_core;
using blitzio::detail::wait_node;
using blitzio::detail::wait_status;
using blitzio::detail::wake_list;
namespace mutants = blitzio::mutants;

struct acquiring : permit_node
{
    model::sleeping_place place;
};

template <class Core>
struct atomics_of;
template <template <class> class Core, class Atomics>
struct atomics_of<Core<Atomics>>
{
    using type = Atomics;
};

template <class Core>
struct fixture
{
    explicit fixture(std::size_t permits) : core(permits) {}

    static void wake(wait_node* chain)
    {
        for (wait_node* node = chain; node != nullptr;)
        {
            wait_node* const following = node->following();
            static_cast<acquiring*>(node)->place.wake();
            node = following;
        }
    }

    bool acquire(std::size_t index, std::size_t count)
    {
        acquiring& self = waits[index];
        self.wanted = count;
        if (!core.acquire_or_enqueue(self, attempt_mode::or_wait))
        {
            self.place.sleep();
        }
        return self.status == wait_status::granted;
    }

    void release(std::size_t count)
    {
        wake(core.release(count));
    }

    void withdraw(std::size_t index)
    {
        wake_list granted;
        const bool was_waiting = core.withdraw(waits[index], granted);
        wake(granted.chain());
        if (was_waiting)
        {
            waits[index].place.wake();
        }
    }

    Core core;
    basic_choice<typename atomics_of<Core>::type> choice;
    std::array<acquiring, 3> waits;
    model::cell<int> inside{0};
};

// Two exclude each other, a third one only tries.
template <class Core>
void exclude(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Core>>(1);
    const auto use = [](fixture<Core>& all) {
        all.inside.set(all.inside.get() + 1);
        all.release(1);
    };
    for (std::size_t index = 0; index < 2; ++index)
    {
        program.thread([=] {
            model::expect(shared->acquire(index, 1), "nobody withdraws");
            use(*shared);
        });
    }
    program.thread([=] {
        if (shared->core.try_acquire(1))
        {
            use(*shared);
        }
    });
    program.at_end([=] {
        model::expect(shared->core.available() == 1, "the permit is back");
        model::expect(shared->inside.get() >= 2, "each has been inside");
    });
}

// One that wants many gives up; the one behind it, who wants few, goes on.
template <class Core>
void give_up(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Core>>(1);
    static_cast<void>(shared->core.acquire_or_enqueue(
        (shared->waits[0].wanted = 3, shared->waits[0]), attempt_mode::or_wait));
    program.thread([=] { shared->withdraw(0); });
    program.thread([=] {
        model::expect(shared->acquire(1, 1), "there is one");
        shared->release(1);
    });
    program.thread([=] {
        // The one that has given up is continued once.
        shared->waits[0].place.sleep();
        model::expect(shared->waits[0].status == wait_status::cancelled, "it got nothing");
    });
    program.at_end([=] { model::expect(shared->core.available() == 1, "nothing is lost"); });
}

// Whoever wants many is not overtaken.
template <class Core>
void keep_order(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Core>>(1);
    shared->waits[0].wanted = 2;
    static_cast<void>(shared->core.acquire_or_enqueue(shared->waits[0], attempt_mode::or_wait));
    program.thread([=] {
        shared->waits[0].place.sleep();
        model::expect(shared->waits[0].status == wait_status::granted, "it got two");
        shared->release(2);
    });
    program.thread([=] {
        if (shared->core.try_acquire(1))
        {
            model::expect(shared->waits[0].status == wait_status::granted, "after the first");
            shared->release(1);
        }
    });
    program.thread([=] { shared->release(1); });
    program.at_end([=] { model::expect(shared->core.available() == 2, "nothing is lost"); });
}

// A stop request and nothing else.
template <class Core>
void stop_alone(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Core>>(0);
    program.thread([=] { model::expect(!shared->acquire(0, 1), "nothing is there"); });
    program.thread([=] { shared->withdraw(0); });
}

// A case of a select that may choose something else, and one behind it who wants the same.
template <class Core>
void choose(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Core>>(0);
    shared->waits[0].on_complete.context = &shared->choice;
    shared->waits[0].case_number = 1;
    program.thread([=] {
        const bool obtained = shared->acquire(0, 1);
        model::expect(obtained == (shared->choice.index() == 0), "obtained if chosen");
        if (obtained)
        {
            shared->release(1);
        }
    });
    program.thread([=] {
        model::expect(shared->acquire(1, 1), "it comes to this one");
        shared->release(1);
    });
    program.thread([=] {
        static_cast<void>(shared->choice.claim(5));
        shared->release(1);
        // The select hears of its choice last.
        if (shared->choice.index() == 5)
        {
            shared->withdraw(0);
        }
    });
    program.at_end([=] { model::expect(shared->core.available() == 1, "nothing is lost"); });
}

// The first in the queue has lost, and has not been withdrawn: the next one goes on all the same.
template <class Core>
void look_behind(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Core>>(0);
    shared->waits[0].on_complete.context = &shared->choice;
    shared->waits[0].case_number = 1;
    for (std::size_t index = 0; index < 2; ++index)
    {
        static_cast<void>(
            shared->core.acquire_or_enqueue(shared->waits[index], attempt_mode::or_wait));
        program.thread([=] { shared->waits[index].place.sleep(); });
    }
    static_cast<void>(shared->choice.claim(5));
    program.thread([=] { shared->release(1); });
    program.at_end([=] {
        model::expect(shared->waits[0].status == wait_status::cancelled, "it has lost");
        model::expect(shared->waits[1].status == wait_status::granted, "the next one has it");
    });
}

template <template <class> class Core, class Weakening = model::as_written>
bool is_caught_somewhere(const model::options& bounds)
{
    using subject = Core<model::atomics<Weakening>>;
    constexpr std::array scenarios = {&exclude<subject>,    &give_up<subject>,
                                      &keep_order<subject>, &stop_alone<subject>,
                                      &choose<subject>,     &look_behind<subject>};
    return model::is_caught(bounds, scenarios);
}

constexpr model::options bounds{.preemptions = 3, .old_values = 1};
constexpr model::options mutant_bounds{.preemptions = 2, .old_values = 0};
using shipped = semaphore_core<model::atomics<>>;

} // namespace

TEST_CASE("semaphore core: one permit excludes others", "[model][wait]")
{
    model::check_clean(bounds, &exclude<shipped>);
}

TEST_CASE("semaphore core: the first gives up", "[model][wait]")
{
    model::check_clean(bounds, &give_up<shipped>);
}

TEST_CASE("semaphore core: the order of arrival", "[model][wait]")
{
    model::check_clean(bounds, &keep_order<shipped>);
}

TEST_CASE("semaphore core: a stop request ends a wait", "[model][wait]")
{
    model::check_clean(bounds, &stop_alone<shipped>);
}

TEST_CASE("semaphore core: a select chooses the permit or something else", "[model][wait][select]")
{
    model::check_clean(bounds, &choose<shipped>);
}

TEST_CASE("semaphore core: the first has lost", "[model][wait][select]")
{
    model::check_clean(bounds, &look_behind<shipped>);
}

TEST_CASE("semaphore core: weakened orders are caught", "[model][wait][mutant]")
{
    CHECK(is_caught_somewhere<semaphore_core, model::relaxed_stores>(mutant_bounds));
    CHECK(is_caught_somewhere<semaphore_core, model::unacquired_modifications>(mutant_bounds));
    CHECK(is_caught_somewhere<semaphore_core, model::torn_modifications>(mutant_bounds));
}

TEST_CASE("semaphore core: changed steps are caught", "[model][wait][mutant]")
{
    CHECK(is_caught_somewhere<mutants::semaphore_core_deaf_to_stop::semaphore_core>(mutant_bounds));
    CHECK(
        is_caught_somewhere<mutants::semaphore_core_grants_losers::semaphore_core>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::semaphore_core_overtakes::semaphore_core>(mutant_bounds));
    CHECK(
        is_caught_somewhere<mutants::semaphore_core_stops_at_loser::semaphore_core>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::semaphore_core_withdrawal_blocks::semaphore_core>(
        mutant_bounds));
}
