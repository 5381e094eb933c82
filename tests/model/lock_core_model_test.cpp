// The locks of sync under all schedules within the bounds: one holder at a time, nobody sleeps
// beside a free lock, and a lock that is free again is not touched any more.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <blitzio/sync/detail/lock_core.hpp>

#include "mutants/lock_core_deaf_to_stop.hpp"
#include "mutants/lock_core_frees_inside.hpp"
#include "mutants/lock_core_frees_over_waiters.hpp"
#include "mutants/lock_core_heir_and_free.hpp"
#include "mutants/lock_core_heir_unclaimed.hpp"
#include "mutants/lock_core_mark_goes_early.hpp"
#include "mutants/lock_core_mark_stays.hpp"
#include "mutants/lock_core_stays_open.hpp"
#include "mutants/lock_core_takes_unheld.hpp"
#include "mutants/lock_core_waits_unmarked.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <vector>

namespace
{

using blitzio::detail::attempt_mode;
using blitzio::detail::basic_choice;
using blitzio::detail::lock_core;
using blitzio::detail::spin_guard;
using blitzio::detail::wait_node;
using blitzio::detail::wait_status;
namespace mutants = blitzio::mutants;

struct contender : wait_node
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
    Core core;
    basic_choice<typename atomics_of<Core>::type> choice;
    std::array<contender, 3> contenders;
    model::cell<int> entries{0};
    model::sleeping_place all_finished;
    std::vector<std::size_t> order; // of the entries; written inside only

    /// Waits for the lock and tells whether it was obtained.
    bool acquire(std::size_t index)
    {
        contender& self = contenders[index];
        if (!core.acquire_or_enqueue(self, attempt_mode::or_wait))
        {
            self.place.sleep();
        }
        return self.status == wait_status::granted;
    }

    void use(std::size_t index)
    {
        entries.set(entries.get() + 1);
        order.push_back(index);
        leave();
    }

    void leave()
    {
        for (wait_node* told = core.release(); told != nullptr;)
        {
            wait_node* const following = told->following();
            static_cast<contender*>(told)->place.wake();
            told = following;
        }
    }

    void withdraw(std::size_t index)
    {
        if (core.withdraw(contenders[index]))
        {
            contenders[index].place.wake();
        }
    }
};

// Three want the lock: one only if it is free.
template <class Core>
void contend(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Core>>();
    for (std::size_t index = 0; index < 2; ++index)
    {
        program.thread([=] {
            model::expect(shared->acquire(index), "nobody withdraws");
            shared->use(index);
        });
    }
    program.thread([=] {
        if (shared->core.acquire_or_enqueue(shared->contenders[2], attempt_mode::only_try))
        {
            shared->use(2);
        }
    });
    program.at_end([=] {
        model::expect(shared->entries.get() >= 2, "each has been inside");
        model::expect(!shared->core.is_held(), "the lock is free");
    });
}

// Who came first is first, also after one in between has given up.
template <class Core>
void queue_up(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Core>>();
    static_cast<void>(shared->core.try_acquire());
    for (auto& each : shared->contenders)
    {
        static_cast<void>(shared->core.acquire_or_enqueue(each, attempt_mode::or_wait));
    }
    program.thread([=] { shared->leave(); });
    program.thread([=] { shared->withdraw(1); });
    for (std::size_t index = 0; index < 3; ++index)
    {
        program.thread([=] {
            shared->contenders[index].place.sleep();
            if (shared->contenders[index].status == wait_status::granted)
            {
                shared->use(index);
            }
        });
    }
    program.at_end([=] {
        model::expect(shared->order.front() == 0 && shared->order.back() == 2, "in order");
        model::expect(!shared->core.is_held(), "the lock is free");
    });
}

// A stop request against an unlock: the wait ends once, and the lock is not lost.
template <class Core>
void withdraw_against_release(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Core>>();
    static_cast<void>(shared->core.try_acquire());
    program.thread([=] { shared->leave(); });
    program.thread([=] {
        if (shared->acquire(0))
        {
            shared->use(0);
        }
    });
    program.thread([=] { shared->withdraw(0); });
    program.at_end([=] { model::expect(!shared->core.is_held(), "the lock is free"); });
}

// A stop request while the lock is never given back.
template <class Core>
void withdraw_alone(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Core>>();
    static_cast<void>(shared->core.try_acquire());
    program.thread([=] { model::expect(!shared->acquire(0), "somebody else has it"); });
    program.thread([=] { shared->withdraw(0); });
    program.at_end([=] { shared->leave(); });
}

// The lock is a case of a select, which may choose another one; somebody else waits as well.
template <class Core>
void choose(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Core>>();
    static_cast<void>(shared->core.try_acquire());
    shared->contenders[0].on_complete.context = &shared->choice;
    shared->contenders[0].case_number = 1;
    program.thread([=] {
        const bool obtained = shared->acquire(0);
        model::expect(obtained == (shared->choice.index() == 0), "obtained if chosen");
        if (obtained)
        {
            shared->use(0);
        }
    });
    program.thread([=] {
        model::expect(shared->acquire(1), "nobody withdraws");
        shared->use(1);
    });
    program.thread([=] {
        if (shared->choice.claim(5))
        {
            shared->withdraw(0);
        }
    });
    program.thread([=] { shared->leave(); });
    program.at_end([=] {
        model::expect(!shared->core.is_held(), "the lock is free");
        model::expect(shared->choice.index() == 0 || shared->choice.index() == 5, "one is chosen");
    });
}

// Who holds the lock last may destroy it, when nobody waits any more.
template <class Core>
void destroy_after_use(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Core>>();
    static_cast<void>(shared->core.try_acquire());
    static_cast<void>(
        shared->core.acquire_or_enqueue(shared->contenders[1], attempt_mode::or_wait));
    program.thread([=] { shared->leave(); });
    program.thread([=] {
        shared->withdraw(1);
        shared->contenders[1].place.sleep();
        if (shared->contenders[1].status == wait_status::granted)
        {
            shared->leave();
        }
        shared->all_finished.wake();
    });
    program.thread([=] {
        shared->all_finished.sleep();
        model::expect(shared->core.try_acquire() || shared->acquire(0), "nobody withdraws");
        shared->leave();
        model::retire(&shared->core, sizeof(shared->core));
    });
}

template <template <class> class Core, class Weakening = model::as_written>
bool is_caught_somewhere(const model::options& bounds)
{
    using subject = Core<model::atomics<Weakening>>;
    constexpr std::array scenarios = {
        &contend<subject>,        &queue_up<subject>,          &withdraw_against_release<subject>,
        &withdraw_alone<subject>, &destroy_after_use<subject>, &choose<subject>};
    return model::is_caught(bounds, scenarios);
}

constexpr model::options bounds{.preemptions = 3, .old_values = 1};
constexpr model::options mutant_bounds{.preemptions = 2, .old_values = 1};
using shipped = lock_core<model::atomics<>>;

} // namespace

TEST_CASE("lock core: several want the lock", "[model][lock]")
{
    model::check_clean(bounds, &contend<shipped>);
}

TEST_CASE("lock core: the order of arrival", "[model][lock]")
{
    model::check_clean(mutant_bounds, &queue_up<shipped>);
}

TEST_CASE("lock core: a stop request meets an unlock", "[model][lock]")
{
    model::check_clean(bounds, &withdraw_against_release<shipped>);
}

TEST_CASE("lock core: a stop request ends a wait", "[model][lock]")
{
    model::check_clean(bounds, &withdraw_alone<shipped>);
}

TEST_CASE("lock core: a select chooses the lock or something else", "[model][lock][select]")
{
    model::check_clean(mutant_bounds, &choose<shipped>);
}

TEST_CASE("lock core: the last holder destroys it", "[model][lock]")
{
    model::check_clean(bounds, &destroy_after_use<shipped>);
}

TEST_CASE("lock core: weakened orders are caught", "[model][lock][mutant]")
{
    CHECK(is_caught_somewhere<lock_core, model::unreleased_modifications>(mutant_bounds));
    CHECK(is_caught_somewhere<lock_core, model::unacquired_modifications>(mutant_bounds));
    CHECK(is_caught_somewhere<lock_core, model::torn_modifications>(mutant_bounds));
}

TEST_CASE("lock core: changed steps are caught", "[model][lock][mutant]")
{
    CHECK(is_caught_somewhere<mutants::lock_core_frees_over_waiters::lock_core>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::lock_core_waits_unmarked::lock_core>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::lock_core_mark_stays::lock_core>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::lock_core_mark_goes_early::lock_core>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::lock_core_heir_and_free::lock_core>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::lock_core_deaf_to_stop::lock_core>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::lock_core_frees_inside::lock_core>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::lock_core_heir_unclaimed::lock_core>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::lock_core_takes_unheld::lock_core>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::lock_core_stays_open::lock_core>(mutant_bounds));
}
