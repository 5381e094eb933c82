// The model checker itself: it must find what it is for, and must not cry wolf.
#include "model/atomics.hpp"

#include <catch2/catch_test_macros.hpp>

#include <memory>

namespace
{

using model::verdict;
constexpr auto relaxed = std::memory_order_relaxed;
constexpr auto acquire = std::memory_order_acquire;
constexpr auto release = std::memory_order_release;
constexpr auto seq_cst = std::memory_order_seq_cst;

struct two_flags
{
    model::atomic<int> x{0};
    model::atomic<int> y{0};
    model::cell<int> data{0};
    model::cell<int> seen_first{-1};
    model::cell<int> seen_second{-1};
};

// One thread writes data and raises a flag, the other reads the data once it sees the flag.
model::report pass_message(std::memory_order store, std::memory_order load)
{
    return model::explore({}, [=](model::scenario& program) {
        auto shared = std::make_shared<two_flags>();
        program.thread([=] {
            shared->data.set(7);
            shared->x.store(1, store);
        });
        program.thread([=] {
            if (shared->x.load(load) == 1)
            {
                model::expect(shared->data.get() == 7);
            }
        });
    });
}

// Each thread raises its flag and looks at the other's. With `order` seq_cst one of them sees.
model::report store_buffering(std::memory_order order)
{
    return model::explore({}, [=](model::scenario& program) {
        auto shared = std::make_shared<two_flags>();
        program.thread([=] {
            shared->x.store(1, order);
            shared->seen_first.set(shared->y.load(order));
        });
        program.thread([=] {
            shared->y.store(1, order);
            shared->seen_second.set(shared->x.load(order));
        });
        program.at_end([=] {
            model::expect(shared->seen_first.get() == 1 || shared->seen_second.get() == 1);
        });
    });
}

} // namespace

TEST_CASE("a released message is clean, anything weaker is a data race", "[model][checker]")
{
    const auto correct = pass_message(release, acquire);
    CHECK(correct.outcome == verdict::clean);
    CHECK(correct.executions > 2);
    CHECK(pass_message(relaxed, acquire).outcome == verdict::data_race);
    CHECK(pass_message(release, relaxed).outcome == verdict::data_race);
}

TEST_CASE("a store may be delayed past a load unless both are seq_cst", "[model][checker]")
{
    CHECK(store_buffering(seq_cst).outcome == verdict::clean);
    CHECK(store_buffering(release).outcome == verdict::broken_expectation);
    CHECK(store_buffering(relaxed).outcome == verdict::broken_expectation);
}

TEST_CASE("a thread does not see a location go back in time", "[model][checker]")
{
    const auto result = model::explore({.old_values = 3}, [](model::scenario& program) {
        auto shared = std::make_shared<two_flags>();
        program.thread([=] {
            shared->x.store(1, relaxed);
            shared->x.store(2, relaxed);
            shared->x.store(3, relaxed);
        });
        program.thread([=] {
            const int first = shared->x.load(relaxed);
            const int second = shared->x.load(relaxed);
            const int third = shared->x.load(relaxed);
            model::expect(first <= second && second <= third);
        });
    });
    CHECK(result.outcome == verdict::clean);
}

TEST_CASE("what a thread knows through another one binds it too", "[model][checker]")
{
    // Reading y with acquire brings the knowledge of x along; without it, the old x may be read.
    const auto chain = [](std::memory_order load) {
        return model::explore({.preemptions = 3, .old_values = 2}, [=](model::scenario& program) {
            auto shared = std::make_shared<two_flags>();
            program.thread([=] { shared->x.store(1, relaxed); });
            program.thread([=] {
                if (shared->x.load(relaxed) == 1)
                {
                    shared->y.store(1, release);
                }
            });
            program.thread([=] {
                if (shared->y.load(load) == 1)
                {
                    model::expect(shared->x.load(relaxed) == 1);
                }
            });
        });
    };
    CHECK(chain(acquire).outcome == verdict::clean);
    CHECK(chain(relaxed).outcome == verdict::broken_expectation);
}

TEST_CASE("a read-modify-write continues a release sequence, a store ends it", "[model][checker]")
{
    const auto sequence = [](bool by_store) {
        return model::explore({}, [=](model::scenario& program) {
            auto shared = std::make_shared<two_flags>();
            program.thread([=] {
                shared->data.set(7);
                shared->x.store(1, release);
            });
            program.thread([=] {
                if (!by_store)
                {
                    shared->x.fetch_add(10, relaxed);
                }
                else if (shared->x.load(relaxed) == 1)
                {
                    shared->x.store(11, relaxed);
                }
            });
            program.thread([=] {
                if (shared->x.load(acquire) == 11)
                {
                    model::expect(shared->data.get() == 7);
                }
            });
        });
    };
    CHECK(sequence(false).outcome == verdict::clean);
    CHECK(sequence(true).outcome == verdict::data_race);
}

TEST_CASE("two increments by load and store lose one", "[model][checker]")
{
    const auto count = [](bool in_one_step) {
        return model::explore({}, [=](model::scenario& program) {
            auto shared = std::make_shared<two_flags>();
            for (int thread = 0; thread < 2; ++thread)
            {
                program.thread([=] {
                    if (in_one_step)
                    {
                        shared->x.fetch_add(1, relaxed);
                    }
                    else
                    {
                        shared->x.store(shared->x.load(relaxed) + 1, relaxed);
                    }
                });
            }
            program.at_end([=] { model::expect(shared->x.load(relaxed) == 2); });
        });
    };
    CHECK(count(true).outcome == verdict::clean);
    CHECK(count(false).outcome == verdict::broken_expectation);
}

TEST_CASE("sleeping without a second look is a deadlock", "[model][checker]")
{
    struct state
    {
        model::atomic<int> work{0};
        model::atomic<int> sleeping{0};
        model::sleeping_place place;
    };
    const auto sleeper = [](bool second_look) {
        return model::explore({}, [=](model::scenario& program) {
            auto shared = std::make_shared<state>();
            program.thread([=] {
                shared->work.store(1, seq_cst);
                if (shared->sleeping.load(seq_cst) == 1)
                {
                    shared->place.wake();
                }
            });
            program.thread([=] {
                if (shared->work.load(seq_cst) == 1)
                {
                    return;
                }
                shared->sleeping.store(1, seq_cst);
                if (second_look && shared->work.load(seq_cst) == 1)
                {
                    return;
                }
                shared->place.sleep();
            });
        });
    };
    CHECK(sleeper(true).outcome == verdict::clean);
    CHECK(sleeper(false).outcome == verdict::deadlock);
}

TEST_CASE("a waiting loop is not a livelock unless nobody ends it", "[model][checker]")
{
    const auto waiter = [](bool ends) {
        return model::explore({}, [=](model::scenario& program) {
            auto shared = std::make_shared<two_flags>();
            program.thread([=] {
                while (shared->x.load(acquire) == 0)
                {
                    model::atomics<>::back_off(0);
                }
            });
            program.thread([=] { shared->x.store(ends ? 1 : 0, release); });
        });
    };
    CHECK(waiter(true).outcome == verdict::clean);
    CHECK(waiter(false).outcome == verdict::livelock);
}

TEST_CASE("dead memory must not be touched", "[model][checker]")
{
    const auto result = model::explore({}, [](model::scenario& program) {
        auto shared = std::make_shared<two_flags>();
        program.thread([=] {
            if (shared->x.load(acquire) == 0)
            {
                static_cast<void>(shared->data.get());
            }
        });
        program.thread([=] {
            shared->x.store(1, release);
            model::retire(&shared->data, sizeof(shared->data));
        });
    });
    CHECK(result.outcome == verdict::dead_memory);
    CHECK(result.message.find("thread") != std::string::npos);
}

TEST_CASE("the bounds decide what is found, and say when they were too small", "[model][checker]")
{
    const auto body = [](model::scenario& program) {
        auto shared = std::make_shared<two_flags>();
        program.thread([=] {
            shared->x.store(1, seq_cst);
            shared->x.store(2, seq_cst);
        });
        program.thread([=] { model::expect(shared->x.load(seq_cst) != 1); });
    };
    CHECK(model::explore({.preemptions = 0, .old_values = 0}, body).outcome == verdict::clean);
    CHECK(model::explore({.preemptions = 1, .old_values = 0}, body).outcome ==
          verdict::broken_expectation);
    CHECK(model::explore({.executions = 1}, body).outcome == verdict::incomplete);
    CHECK(model::explore({.samples = 200, .seed = 3}, body).outcome == verdict::broken_expectation);
}
