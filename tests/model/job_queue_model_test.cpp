// A pool's jobs and its sleeping threads, as the crew uses the queue and the idle set, under all
// schedules within the bounds: each job runs once, and no job waits while a thread sleeps that could
// run it.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <blitzio/compute/pool.hpp>
#include <blitzio/io/detail/idle_set.hpp>

#include <job_queue.hpp>

#include "mutants/job_queue_looks_at_inbox_only.hpp"
#include "mutants/job_queue_looks_unlocked.hpp"
#include "mutants/job_queue_loses_the_rest.hpp"
#include "mutants/job_queue_moves_unseen.hpp"
#include "mutants/job_queue_overtakes.hpp"
#include "mutants/job_queue_pops_unlocked.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace
{

using blitzio::compute::job;
using blitzio::compute::detail::basic_job_queue;
using blitzio::detail::idle_set;
namespace mutants = blitzio::mutants;

/// What the crew does besides; mutants leave a step out.
struct as_the_crew
{
    static constexpr bool looks_before_sleep = true;
    static constexpr bool looks_after_search = true;
    static constexpr bool wakes_after_push = true;
    static constexpr bool looks_after_stop = true;
};
struct sleeps_without_look : as_the_crew
{
    static constexpr bool looks_before_sleep = false;
};
struct leaves_search_silently : as_the_crew
{
    static constexpr bool looks_after_search = false;
};
struct stops_without_look : as_the_crew
{
    static constexpr bool looks_after_stop = false;
};
struct wakes_before_push : as_the_crew
{
    static constexpr bool wakes_after_push = false;
};

struct numbered : job
{
    model::cell<int> state{0}; // 1: pushed, 2: begun
    std::size_t number = 0;
};

/// The queue and the idle set below serve(), park() and start() of crew.cpp, without oneTBB.
template <class Queue, class Atomics, class Crew>
struct fixture
{
    fixture(std::uint32_t threads, std::size_t total, bool at_once)
        : idle(threads), jobs_total(total), together(at_once)
    {
    }

    Queue queue;
    idle_set<Atomics, 64> idle;
    std::array<model::sleeping_place, 3> places;
    std::array<numbered, 3> jobs;
    model::atomic<bool> stopping{false};

    std::size_t jobs_total;
    bool together; // no job ends before all have begun
    model::atomic<std::size_t> begun{0};
    std::array<model::sleeping_place, 3> ends;

    void wake_one()
    {
        if (const auto chosen = idle.worker_to_notify())
        {
            places[*chosen].wake();
        }
    }

    void prepare(std::size_t number)
    {
        jobs[number].number = number;
        jobs[number].state.set(1);
    }

    void start(std::size_t number)
    {
        prepare(number);
        if (!Crew::wakes_after_push)
        {
            wake_one();
        }
        queue.push(jobs[number]);
        if (Crew::wakes_after_push)
        {
            wake_one();
        }
    }

    void stop(std::uint32_t threads)
    {
        stopping.store(true, std::memory_order_release);
        for (std::uint32_t index = 0; index < threads; ++index)
        {
            places[index].wake();
        }
    }

    void run(numbered& work)
    {
        model::expect(work.state.get() == 1, "a job is complete, and runs once");
        work.state.set(2);
        const std::size_t order = begun.fetch_add(1, std::memory_order_acq_rel);
        if (!together)
        {
            return;
        }
        if (order + 1 < jobs_total)
        {
            ends[work.number].sleep();
            return;
        }
        for (std::size_t each = 0; each < jobs_total; ++each)
        {
            ends[each].wake();
        }
    }

    /// Returns after `quota` jobs, or when it was stopped.
    void serve(std::uint32_t index, std::size_t quota, bool searching = false)
    {
        for (;;)
        {
            if (job* const next = queue.pop())
            {
                if (std::exchange(searching, false) && idle.transition_from_searching() &&
                    Crew::looks_after_search && !queue.looks_empty())
                {
                    wake_one();
                }
                run(*static_cast<numbered*>(next));
                if (--quota == 0)
                {
                    return;
                }
                continue;
            }
            if (stopping.load(std::memory_order_acquire))
            {
                if (Crew::looks_after_stop && !queue.is_empty())
                {
                    continue; // a job that came between the two looks
                }
                return;
            }
            if (!searching)
            {
                searching = idle.transition_worker_to_searching();
            }
            if (searching && !queue.looks_empty())
            {
                continue;
            }
            searching = park(index, searching);
        }
    }

    [[nodiscard]] bool park(std::uint32_t index, bool searching)
    {
        if (idle.transition_to_parked(index, searching) && Crew::looks_before_sleep &&
            !queue.is_empty())
        {
            wake_one();
        }
        return sleep(index);
    }

    [[nodiscard]] bool sleep(std::uint32_t index)
    {
        places[index].sleep();
        return idle.transition_from_parked(index);
    }

    void settle()
    {
        for (std::size_t each = 0; each < jobs_total; ++each)
        {
            model::expect(jobs[each].state.get() == 2, "every job has run");
        }
        model::expect(queue.is_empty() && queue.looks_empty(), "nothing is left");
    }
};

template <class Queue, class Atomics = model::atomics<>, class Crew = as_the_crew>
struct scenarios
{
    using shared_type = fixture<Queue, Atomics, Crew>;

    /// One thread and two producers, the smallest place for a lost wake.
    static void one_thread(model::scenario& program)
    {
        auto shared = std::make_shared<shared_type>(1, 3, false);
        program.thread([=] { shared->serve(0, 3); });
        program.thread([=] {
            shared->start(0);
            shared->start(1);
        });
        program.thread([=] { shared->start(2); });
        program.at_end([=] { shared->settle(); });
    }

    /// Jobs of one producer begin in their order.
    static void in_order(model::scenario& program)
    {
        auto shared = std::make_shared<shared_type>(1, 3, false);
        program.thread([=] {
            for (std::size_t number = 0; number < 3;)
            {
                if (job* const next = shared->queue.pop())
                {
                    model::expect(static_cast<numbered*>(next)->number == number, "oldest first");
                    shared->run(*static_cast<numbered*>(next));
                    ++number;
                    continue;
                }
                Atomics::pause();
            }
        });
        program.thread([=] {
            for (std::size_t number = 0; number < 3; ++number)
            {
                shared->prepare(number);
                shared->queue.push(shared->jobs[number]);
            }
        });
        program.at_end([=] { shared->settle(); });
    }

    /// Two jobs, which only two threads can end.
    static void two_at_once(model::scenario& program)
    {
        auto shared = std::make_shared<shared_type>(2, 2, true);
        program.thread([=] { shared->serve(0, 1); });
        program.thread([=] { shared->serve(1, 1); });
        program.thread([=] {
            shared->start(0);
            shared->start(1);
        });
        program.at_end([=] { shared->settle(); });
    }

    /// A thread searches and has found a job; another one moves what came behind it, and a third
    /// one sleeps: it has to come, there is a job for each.
    static void searcher_and_mover(model::scenario& program)
    {
        auto shared = std::make_shared<shared_type>(3, 3, true);
        shared->prepare(0);
        shared->queue.push(shared->jobs[0]);
        static_cast<void>(shared->idle.transition_worker_to_searching());
        static_cast<void>(shared->idle.transition_to_parked(2, false));
        program.thread([=] { shared->serve(0, 1, true); });
        program.thread([=] { shared->serve(1, 1); });
        program.thread([=] { shared->serve(2, 1, shared->sleep(2)); });
        program.thread([=] {
            shared->start(1);
            shared->start(2);
        });
        program.at_end([=] { shared->settle(); });
    }

    /// What was enqueued before the stop is run.
    static void stop_behind_job(model::scenario& program)
    {
        auto shared = std::make_shared<shared_type>(2, 2, false);
        program.thread([=] { shared->serve(0, 100); });
        program.thread([=] { shared->serve(1, 100); });
        program.thread([=] {
            shared->start(0);
            shared->start(1);
            shared->stop(2);
        });
        program.at_end([=] { shared->settle(); });
    }

    static constexpr std::array all = {&in_order, &one_thread, &two_at_once, &searcher_and_mover,
                                       &stop_behind_job};
};

template <template <class> class Queue, class Weakening = model::as_written,
          class Crew = as_the_crew>
bool is_caught_somewhere(const model::options& bounds)
{
    using atomics = model::atomics<Weakening>;
    return model::is_caught(bounds, scenarios<Queue<atomics>, atomics, Crew>::all);
}

constexpr model::options bounds{.preemptions = 3, .old_values = 1};
constexpr model::options many_threads_bounds{.preemptions = 2, .old_values = 0};
constexpr model::options mutant_bounds{.preemptions = 2, .old_values = 1};
using shipped = scenarios<basic_job_queue<model::atomics<>>>;

} // namespace

TEST_CASE("job queue: jobs begin in the order of their pushes", "[model][job_queue]")
{
    model::check_clean(bounds, &shipped::in_order);
}

TEST_CASE("job queue: one thread and two producers", "[model][job_queue]")
{
    model::check_clean(bounds, &shipped::one_thread);
}

TEST_CASE("job queue: two jobs that need two threads", "[model][job_queue]")
{
    model::check_clean(bounds, &shipped::two_at_once);
}

TEST_CASE("job queue: a searcher leaves while others move the jobs", "[model][job_queue]")
{
    model::check_clean(many_threads_bounds, &shipped::searcher_and_mover);
}

TEST_CASE("job queue: a stop behind jobs", "[model][job_queue]")
{
    model::check_clean(mutant_bounds, &shipped::stop_behind_job);
}

TEST_CASE("job queue: weakened orders are caught", "[model][job_queue][mutant]")
{
    CHECK(is_caught_somewhere<basic_job_queue, model::relaxed_stores>(mutant_bounds));
    CHECK(is_caught_somewhere<basic_job_queue, model::unreleased_modifications>(mutant_bounds));
    CHECK(is_caught_somewhere<basic_job_queue, model::unacquired_modifications>(mutant_bounds));
    CHECK(is_caught_somewhere<basic_job_queue, model::torn_modifications>(mutant_bounds));
}

TEST_CASE("job queue: a crew that leaves a step out is caught", "[model][job_queue][mutant]")
{
    CHECK(is_caught_somewhere<basic_job_queue, model::as_written, sleeps_without_look>(
        mutant_bounds));
    CHECK(is_caught_somewhere<basic_job_queue, model::as_written, leaves_search_silently>(
        many_threads_bounds));
    CHECK(
        is_caught_somewhere<basic_job_queue, model::as_written, wakes_before_push>(mutant_bounds));
    CHECK(is_caught_somewhere<basic_job_queue, model::as_written, stops_without_look>(
        many_threads_bounds));
}

TEST_CASE("job queue: changed steps are caught", "[model][job_queue][mutant]")
{
    CHECK(is_caught_somewhere<mutants::job_queue_pops_unlocked::basic_job_queue>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::job_queue_looks_unlocked::basic_job_queue>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::job_queue_overtakes::basic_job_queue>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::job_queue_loses_the_rest::basic_job_queue>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::job_queue_looks_at_inbox_only::basic_job_queue>(
        many_threads_bounds));
    CHECK(
        is_caught_somewhere<mutants::job_queue_moves_unseen::basic_job_queue>(many_threads_bounds));
}
