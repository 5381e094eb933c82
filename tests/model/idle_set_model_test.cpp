// The idle set with sleeping workers, under all schedules within the bounds: no work is left behind
// while a worker sleeps.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <blitzio/io/detail/idle_set.hpp>

#include "mutants/idle_set_chosen_worker_does_not_search.hpp"
#include "mutants/idle_set_last_searcher_is_silent.hpp"
#include "mutants/idle_set_nobody_looks_again.hpp"
#include "mutants/idle_set_only_searchers_look_again.hpp"
#include "mutants/idle_set_producer_only_loads.hpp"
#include "mutants/idle_set_reservation_is_kept.hpp"
#include "mutants/idle_set_self_wake_keeps_bit.hpp"
#include "mutants/idle_set_vain_notifier_gives_up.hpp"
#include "mutants/idle_set_vain_notifier_stays_counted.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cstdint>
#include <memory>

namespace
{

using blitzio::detail::idle_set;
namespace mutants = blitzio::mutants;

// Where work waits: like the steal queue's tail, a push is a release store by one producer, and a
// look is an acquire load, which may be old.
class work_source
{
public:
    void push()
    {
        ++pushed_by_owner_;
        pushed_.store(pushed_by_owner_, std::memory_order_release);
    }

    [[nodiscard]] bool looks_empty() const
    {
        return taken_.load(std::memory_order_acquire) == pushed_.load(std::memory_order_acquire);
    }

    [[nodiscard]] bool take()
    {
        std::uint32_t taken = taken_.load(std::memory_order_acquire);
        while (taken != pushed_.load(std::memory_order_acquire))
        {
            if (taken_.compare_exchange_strong(taken, taken + 1, std::memory_order_acq_rel,
                                               std::memory_order_acquire))
            {
                return true;
            }
        }
        return false;
    }

private:
    std::uint32_t pushed_by_owner_ = 0;
    model::atomic<std::uint32_t> pushed_{0};
    model::atomic<std::uint32_t> taken_{0};
};

// Workers that do nothing but the protocol, as idle_set.hpp describes it.
template <class Idle>
struct fixture
{
    fixture(std::uint32_t workers, std::uint32_t total) : idle(workers), work_total(total) {}

    Idle idle;
    std::array<work_source, 2> sources;
    std::array<model::sleeping_place, 3> places;
    std::uint32_t work_total;
    model::atomic<std::uint32_t> work_done{0};
    model::sleeping_place done_signal;

    void notify()
    {
        if (const auto chosen = idle.worker_to_notify())
        {
            places[*chosen].wake();
        }
    }

    void produce(std::size_t source)
    {
        sources[source].push();
        notify();
    }

    [[nodiscard]] bool take_any()
    {
        return sources[0].take() || sources[1].take();
    }

    [[nodiscard]] bool is_done() const
    {
        return work_done.load(std::memory_order_acquire) >= work_total;
    }

    void finish_one()
    {
        if (work_done.fetch_add(1, std::memory_order_acq_rel) + 1 == work_total)
        {
            done_signal.wake();
            for (auto& place : places)
            {
                place.wake();
            }
        }
    }

    void work(std::uint32_t me, bool searching = false)
    {
        while (!is_done())
        {
            searching = searching || idle.transition_worker_to_searching();
            if (searching && take_any())
            {
                if (idle.transition_from_searching())
                {
                    notify();
                }
                searching = false;
                finish_one();
                continue;
            }
            searching = park(me, searching);
        }
        if (searching)
        {
            static_cast<void>(idle.transition_from_searching());
        }
    }

    // All workers have left work(), so by the set's account all are awake and none searches.
    void settle(std::uint32_t workers)
    {
        model::expect(is_done(), "all work is done");
        model::expect(idle.searching() == 0, "nobody searches");
        model::expect(idle.unparked() == workers, "all are unparked");
    }

    [[nodiscard]] bool park(std::uint32_t me, bool searching)
    {
        if (idle.transition_to_parked(me, searching) &&
            !(sources[0].looks_empty() && sources[1].looks_empty()))
        {
            notify();
        }
        places[me].sleep();
        return idle.transition_from_parked(me);
    }
};

// Work from outside while the workers come and go.
template <class Idle>
void outside_work(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Idle>>(2, 2);
    program.thread([=] { shared->work(0); });
    program.thread([=] { shared->work(1); });
    program.thread([=] {
        shared->produce(0);
        shared->produce(0);
    });
    program.at_end([=] { shared->settle(2); });
}

// One worker and two producers, the smallest place for a lost wake.
template <class Idle>
void one_worker(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Idle>>(1, 2);
    program.thread([=] { shared->work(0); });
    program.thread([=] { shared->produce(0); });
    program.thread([=] { shared->produce(1); });
    program.at_end([=] { shared->settle(1); });
}

// Worker 1 is inside a task that makes two pieces of work and does not end before somebody else has
// done them: the sleeper has to come, there is nobody else.
template <class Idle>
void busy_worker(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Idle>>(2, 2);
    program.thread([=] { shared->work(0); });
    program.thread([=] {
        shared->produce(0);
        shared->produce(0);
        shared->done_signal.sleep();
    });
    program.at_end([=] { shared->settle(2); });
}

// The busy worker was searching when it found its task.
template <class Idle>
void busy_finder(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Idle>>(2, 1);
    program.thread([=] { shared->work(0); });
    program.thread([=] {
        if (shared->idle.transition_worker_to_searching() &&
            shared->idle.transition_from_searching())
        {
            shared->notify();
        }
        shared->produce(0);
        shared->done_signal.sleep();
    });
    program.at_end([=] { shared->settle(2); });
}

// Two pieces of work come while worker 1 searches. It takes one and does not end before the other
// is done, so it has to send for worker 0.
template <class Idle>
void finder_stays_busy(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Idle>>(2, 1);
    program.thread([=] { shared->work(0); });
    program.thread([=] {
        if (!shared->idle.transition_worker_to_searching())
        {
            return;
        }
        const bool found = shared->take_any();
        if (shared->idle.transition_from_searching())
        {
            shared->notify();
        }
        if (found)
        {
            shared->done_signal.sleep();
        }
    });
    program.thread([=] {
        shared->produce(0);
        shared->produce(0);
    });
    program.at_end([=] { shared->settle(2); });
}

// A worker is woken by its driver as well, at any moment.
template <class Idle>
void driver_wakes(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Idle>>(2, 2);
    program.thread([=] { shared->work(0); });
    program.thread([=] { shared->places[0].wake(); });
    program.thread([=] {
        shared->produce(0);
        shared->produce(0);
        shared->done_signal.sleep();
    });
    program.at_end([=] { shared->settle(2); });
}

template <template <class, std::uint32_t> class Idle, class Weakening = model::as_written>
bool is_caught_somewhere(const model::options& bounds)
{
    using subject = Idle<model::atomics<Weakening>, 64>;
    constexpr std::array scenarios = {&one_worker<subject>,   &busy_worker<subject>,
                                      &busy_finder<subject>,  &finder_stays_busy<subject>,
                                      &driver_wakes<subject>, &outside_work<subject>};
    return model::is_caught(bounds, scenarios);
}

constexpr model::options bounds{.preemptions = 3, .old_values = 1};
// Mutants fail early; those that only fail late show in smaller bounds too, and sooner.
constexpr model::options mutant_bounds{.preemptions = 2, .old_values = 1};
using shipped = idle_set<model::atomics<>, 64>;

} // namespace

TEST_CASE("idle set: work from outside for two workers", "[model][idle_set]")
{
    model::check_clean(bounds, &outside_work<shipped>);
}

TEST_CASE("idle set: one worker and two producers", "[model][idle_set]")
{
    model::check_clean(bounds, &one_worker<shipped>);
}

TEST_CASE("idle set: a worker that stays busy", "[model][idle_set]")
{
    model::check_clean(bounds, &busy_worker<shipped>);
}

TEST_CASE("idle set: a searcher that finds a long task", "[model][idle_set]")
{
    model::check_clean(bounds, &busy_finder<shipped>);
}

TEST_CASE("idle set: a searcher that leaves work behind", "[model][idle_set]")
{
    model::check_clean(bounds, &finder_stays_busy<shipped>);
}

TEST_CASE("idle set: a worker that its driver wakes", "[model][idle_set]")
{
    model::check_clean(bounds, &driver_wakes<shipped>);
}

TEST_CASE("idle set: weakened orders are caught", "[model][idle_set][mutant]")
{
    CHECK(is_caught_somewhere<idle_set, model::add_zero_as_load>(mutant_bounds));
    CHECK(is_caught_somewhere<idle_set, model::unreleased_modifications>(mutant_bounds));
    CHECK(is_caught_somewhere<idle_set, model::torn_modifications>(mutant_bounds));
}

TEST_CASE("idle set: changed steps are caught", "[model][idle_set][mutant]")
{
    CHECK(is_caught_somewhere<mutants::idle_set_producer_only_loads::idle_set>(mutant_bounds));
    CHECK(
        is_caught_somewhere<mutants::idle_set_only_searchers_look_again::idle_set>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::idle_set_nobody_looks_again::idle_set>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::idle_set_last_searcher_is_silent::idle_set>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::idle_set_chosen_worker_does_not_search::idle_set>(
        mutant_bounds));
    CHECK(is_caught_somewhere<mutants::idle_set_reservation_is_kept::idle_set>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::idle_set_self_wake_keeps_bit::idle_set>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::idle_set_vain_notifier_gives_up::idle_set>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::idle_set_vain_notifier_stays_counted::idle_set>(
        mutant_bounds));
}
