// A model checker for small concurrent programs.
//
// explore() runs a scenario again and again, each time under another schedule, depth first, until
// all schedules within the bounds were tried or one of them fails. The scenario's threads are
// fibers; they may be switched before every atomic operation, park and wake. It finds
//   - data races on plain memory, by vector clocks, so a missing release or acquire shows up
//     although the run itself is single-threaded;
//   - deadlocks (every thread sleeps: a lost wake-up) and livelocks;
//   - broken expectations, and touches of memory that was declared dead;
//   - effects of delayed stores: a load may return an older value as long as coherence,
//     happens-before and the order of the seq_cst operations allow it.
// What it does not do: loads never return values that are stored later in the schedule, a failing
// compare-exchange reads the newest value and never fails for no reason, a location remembers its
// last few values only, and preemptions and old values are bounded per execution. So a clean
// verdict is strong evidence, not a proof.
//
// Threading rule: one exploration at a time in a process, on one thread.
#pragma once

#include "clock.hpp"
#include "fiber.hpp"
#include "scenario.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace model
{

class checker
{
public:
    checker(const checker&) = delete;
    checker& operator=(const checker&) = delete;

    [[nodiscard]] static checker& instance()
    {
        static checker one;
        return one;
    }

    [[nodiscard]] report explore(const options& bounds, const scenario_function& set_up)
    {
        options_ = bounds;
        report_ = {};
        path_.clear();
        random_.seed(bounds.seed);
        do
        {
            run_once(set_up);
            ++report_.executions;
            if (failed_)
            {
                return report_;
            }
            if (report_.executions == options_.samples)
            {
                return report_;
            }
            if (report_.executions >= options_.executions)
            {
                report_.outcome = verdict::incomplete;
                return report_;
            }
        } while (options_.samples != 0 || next_path());
        return report_;
    }

    // ---- for the atomics ----------------------------------------------------------------------

    // A place where another thread may go first.
    void schedule_point()
    {
        if (current_ == 0)
        {
            return;
        }
        if (++steps_ > options_.steps)
        {
            fail(verdict::livelock, "an execution has too many steps");
        }
        if (preemptions_ == options_.preemptions)
        {
            return;
        }
        std::array<std::size_t, max_threads> others{};
        const std::size_t count = collect_ready(others);
        const std::size_t chosen = choose(count + 1);
        if (chosen != 0)
        {
            ++preemptions_;
            switch_to(others[chosen - 1]);
        }
    }

    // One of `count` possibilities; all of them in the course of an exploration.
    [[nodiscard]] std::size_t choose(std::size_t count)
    {
        if (count <= 1)
        {
            return 0;
        }
        if (options_.samples != 0)
        {
            // Half of the time nothing special happens, so that long schedules keep some calm.
            return random_() % 2 == 0 ? 0 : random_() % count;
        }
        if (depth_ == path_.size())
        {
            path_.push_back({.chosen = 0, .count = static_cast<std::uint32_t>(count)});
        }
        return path_[depth_++].chosen;
    }

    // How many older values than the newest a load may still choose from, of `available` ones.
    [[nodiscard]] std::size_t choose_age(std::size_t available)
    {
        if (current_ == 0 || old_values_ == options_.old_values || threads_[current_].fresh)
        {
            return 0;
        }
        const std::size_t age = choose(available + 1);
        old_values_ += age != 0 ? 1 : 0;
        return age;
    }

    [[nodiscard]] std::size_t current() const noexcept
    {
        return current_;
    }

    [[nodiscard]] vector_clock& clock() noexcept
    {
        return threads_[current_].clock;
    }

    // Ends an event of the current thread; what it does next is later than that event.
    void advance() noexcept
    {
        clock().advance(current_);
    }

    // Something changed that a waiting loop may wait for.
    void note_change() noexcept
    {
        fruitless_rounds_ = 0;
        for (std::size_t thread = 1; thread < count_; ++thread)
        {
            if (threads_[thread].state == thread_state::waiting)
            {
                threads_[thread].state = thread_state::ready;
            }
        }
    }

    void trace(const char* what, const void* where, std::uint64_t value)
    {
        trace_.push_back({.thread = current_, .what = what, .where = where, .value = value});
    }

    // ---- for the scenarios, through the functions below the class ------------------------------

    // A round of a waiting loop: the thread goes on when another one has changed something.
    void wait_round()
    {
        if (current_ == 0)
        {
            return;
        }
        threads_[current_].state = thread_state::waiting;
        switch_away();
        threads_[current_].fresh = true;
    }

    void sleep(bool& sleeping)
    {
        expect(current_ != 0, "the set-up cannot sleep");
        sleeping = true;
        threads_[current_].state = thread_state::asleep;
        switch_away();
    }

    void wake(std::size_t thread) noexcept
    {
        threads_[thread].state = thread_state::ready;
    }

    void expect(bool condition, const char* what)
    {
        if (!condition)
        {
            fail(verdict::broken_expectation, what);
        }
    }

    void plain_read(const void* where)
    {
        check_alive(where);
        plain_cell& cell = cell_at(where);
        if (!clock().covers(cell.writer, cell.written))
        {
            fail(verdict::data_race, "a read is not ordered after a write");
        }
        cell.read[current_] = clock().at(current_);
    }

    void plain_write(const void* where)
    {
        check_alive(where);
        plain_cell& cell = cell_at(where);
        if (!clock().covers(cell.writer, cell.written))
        {
            fail(verdict::data_race, "a write is not ordered after a write");
        }
        for (std::size_t thread = 0; thread < max_threads; ++thread)
        {
            if (!clock().covers(thread, cell.read[thread]))
            {
                fail(verdict::data_race, "a write is not ordered after a read");
            }
        }
        cell.writer = current_;
        cell.written = clock().at(current_);
    }

    void retire(const void* begin, std::size_t size)
    {
        const auto address = reinterpret_cast<std::uintptr_t>(begin);
        dead_.push_back({.begin = address, .end = address + size});
    }

    void check_alive(const void* where)
    {
        const auto address = reinterpret_cast<std::uintptr_t>(where);
        for (const dead_range& range : dead_)
        {
            if (address >= range.begin && address < range.end)
            {
                fail(verdict::dead_memory, "an access to dead memory");
            }
        }
    }

private:
    static constexpr std::size_t stack_size = 256 * 1024;

    enum class thread_state : std::uint8_t
    {
        ready,
        waiting, // in a waiting loop
        asleep,  // until wake()
        finished,
    };

    struct modelled_thread
    {
        std::unique_ptr<fiber> runs_on;
        vector_clock clock;
        thread_state state = thread_state::finished;
        bool fresh = false; // after a waiting round, loads see the newest values
    };

    struct decision
    {
        std::uint32_t chosen;
        std::uint32_t count;
    };

    struct event
    {
        std::size_t thread;
        const char* what;
        const void* where;
        std::uint64_t value;
    };

    struct plain_cell
    {
        const void* where = nullptr;
        std::size_t writer = 0;
        tick written = 0;
        std::array<tick, max_threads> read{};
    };

    struct dead_range
    {
        std::uintptr_t begin;
        std::uintptr_t end;
    };

    checker()
    {
        for (std::size_t index = 1; index < max_threads; ++index)
        {
            threads_[index].runs_on = std::make_unique<fiber>(stack_size);
        }
        threads_[0].runs_on = std::make_unique<fiber>();
    }

    // Turns the last decision that has another possibility; false when all were tried.
    [[nodiscard]] bool next_path()
    {
        while (!path_.empty())
        {
            if (++path_.back().chosen < path_.back().count)
            {
                return true;
            }
            path_.pop_back();
        }
        return false;
    }

    void reset(std::size_t thread_count)
    {
        count_ = thread_count + 1;
        for (std::size_t index = 1; index < count_; ++index)
        {
            threads_[index].clock = threads_[0].clock;
            threads_[index].clock.advance(index);
            threads_[index].state = thread_state::ready;
            threads_[index].fresh = false;
            threads_[index].runs_on->prepare(&checker::thread_main);
        }
    }

    void run_once(const scenario_function& set_up)
    {
        depth_ = 0;
        steps_ = 0;
        preemptions_ = 0;
        old_values_ = 0;
        fruitless_rounds_ = 0;
        failed_ = false;
        current_ = 0;
        trace_.clear();
        cells_.clear();
        dead_.clear();
        threads_[0].clock = {};
        threads_[0].clock.advance(0);

        scenario described;
        scenario_ = &described;
        set_up(described);
        if (described.bodies_.size() >= max_threads)
        {
            throw std::length_error("the scenario has too many threads");
        }
        advance();
        reset(described.bodies_.size());
        run_threads();
        for (std::size_t index = 1; index < count_; ++index)
        {
            threads_[0].clock.join(threads_[index].clock);
        }
        for (std::size_t index = 0; !failed_ && index < described.checks_.size(); ++index)
        {
            described.checks_[index]();
        }
        dead_.clear();
        described.checks_.clear();
        described.bodies_.clear();
        scenario_ = nullptr;
    }

    void run_threads()
    {
        std::array<std::size_t, max_threads> ready{};
        const std::size_t count = collect_ready(ready);
        if (count == 0)
        {
            return;
        }
        switch_to(ready[choose(count)]);
        current_ = 0;
    }

    static void thread_main()
    {
        checker& self = instance();
        fiber::entered(*self.threads_[self.current_].runs_on, *self.threads_[0].runs_on);
        self.scenario_->bodies_[self.current_ - 1]();
        self.threads_[self.current_].state = thread_state::finished;
        self.switch_away();
        std::terminate(); // a finished thread is never chosen again
    }

    // The threads that may run instead of the current one.
    [[nodiscard]] std::size_t collect_ready(
        std::array<std::size_t, max_threads>& into) const noexcept
    {
        std::size_t count = 0;
        for (std::size_t thread = 1; thread < count_; ++thread)
        {
            if (thread != current_ && threads_[thread].state == thread_state::ready)
            {
                into[count++] = thread;
            }
        }
        return count;
    }

    // The current thread cannot go on: another one, whichever, has to.
    void switch_away()
    {
        std::array<std::size_t, max_threads> ready{};
        std::size_t count = collect_ready(ready);
        if (count == 0)
        {
            release_waiting();
            count = collect_ready(ready);
        }
        if (count != 0)
        {
            switch_to(ready[choose(count)]);
        }
        else if (threads_[current_].state == thread_state::finished)
        {
            finish_execution();
        }
        // Otherwise the current thread is the only one that waits, and has another round.
    }

    // Nobody is ready. Waiting loops get another round, in which they see the newest values.
    void release_waiting()
    {
        bool any_waiting = false;
        bool any_asleep = false;
        for (std::size_t thread = 1; thread < count_; ++thread)
        {
            any_asleep = any_asleep || threads_[thread].state == thread_state::asleep;
            if (threads_[thread].state == thread_state::waiting)
            {
                any_waiting = true;
                threads_[thread].state = thread_state::ready;
            }
        }
        if (!any_waiting && any_asleep)
        {
            fail(verdict::deadlock, "every unfinished thread sleeps");
        }
        if (any_waiting && ++fruitless_rounds_ > 3 * max_threads)
        {
            fail(verdict::livelock, "the threads only wait for each other");
        }
    }

    void finish_execution()
    {
        const std::size_t last = current_;
        threads_[last].runs_on->switch_to(*threads_[0].runs_on);
    }

    void switch_to(std::size_t next)
    {
        const std::size_t self = current_;
        current_ = next;
        threads_[next].fresh = false;
        threads_[self].runs_on->switch_to(*threads_[next].runs_on);
        if (self != 0)
        {
            current_ = self;
        }
    }

    // Ends the execution. On a thread's fiber it does not return and unwinds nothing, because the
    // code under test is noexcept; for the same reason set-up and checks just go on.
    void fail(verdict outcome, const char* what)
    {
        if (failed_)
        {
            return; // a destructor after the failure
        }
        failed_ = true;
        report_.outcome = outcome;
        report_.message = describe(what);
        if (current_ != 0)
        {
            finish_execution();
        }
    }

    [[nodiscard]] std::string describe(const char* what) const
    {
        std::string text = std::string(name_of(report_.outcome)) + ": " + what + " (thread " +
                           std::to_string(current_) + ", execution " +
                           std::to_string(report_.executions + 1) + ")\n";
        std::vector<const void*> places;
        for (const event& entry : trace_)
        {
            std::size_t place = 0;
            while (place < places.size() && places[place] != entry.where)
            {
                ++place;
            }
            if (place == places.size())
            {
                places.push_back(entry.where);
            }
            text += "  thread " + std::to_string(entry.thread) + ": " + entry.what + " #" +
                    std::to_string(place) + " = " + std::to_string(entry.value) + "\n";
        }
        return text;
    }

    [[nodiscard]] plain_cell& cell_at(const void* where)
    {
        for (plain_cell& cell : cells_)
        {
            if (cell.where == where)
            {
                return cell;
            }
        }
        return cells_.emplace_back(plain_cell{.where = where});
    }

    options options_;
    report report_;
    std::vector<decision> path_;
    std::mt19937_64 random_;

    // One execution.
    scenario* scenario_ = nullptr;
    std::array<modelled_thread, max_threads> threads_;
    std::size_t count_ = 1;
    std::size_t current_ = 0;
    std::size_t depth_ = 0;
    unsigned steps_ = 0;
    unsigned preemptions_ = 0;
    unsigned old_values_ = 0;
    unsigned fruitless_rounds_ = 0;
    bool failed_ = false;
    std::vector<event> trace_;
    std::vector<plain_cell> cells_;
    std::vector<dead_range> dead_;
};

[[nodiscard]] inline report explore(const options& bounds, const scenario_function& set_up)
{
    return checker::instance().explore(bounds, set_up);
}

inline void expect(bool condition, const char* what = "an expectation of the scenario")
{
    checker::instance().expect(condition, what);
}

// Declares memory dead for the rest of the execution; any access of a modelled type to it fails.
inline void retire(const void* begin, std::size_t size)
{
    checker::instance().retire(begin, size);
}

} // namespace model
