// The inbox under all schedules within the bounds: no letter is lost, each wake has one owner.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <blitzio/io/detail/inbox.hpp>

#include "mutants/inbox_everyone_wakes.hpp"
#include "mutants/inbox_looks_blindly.hpp"
#include "mutants/inbox_nobody_wakes.hpp"
#include "mutants/inbox_sleeps_on_letters.hpp"
#include "mutants/inbox_takes_unseen.hpp"
#include "mutants/inbox_wakes_erase_letters.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cstddef>
#include <memory>

namespace
{

using blitzio::detail::inbox;
using blitzio::detail::runnable;
namespace mutants = blitzio::mutants;

struct letter : runnable
{
    model::cell<int> payload{0};
    std::size_t producer = 0;
    int number = 0;
};

template <class Inbox>
struct fixture
{
    Inbox box;
    std::array<letter, 4> letters;
    std::array<int, 3> last_number{};
    std::size_t received = 0; // consumer only
    model::sleeping_place place;
    model::cell<int> armed{0}; // what the consumer sets up before it sleeps
    bool others_wake = false;
    // Wakes that producers decided, less the sleeps that ended by one.
    model::atomic<int> wake_balance{0};

    void send(std::size_t index, std::size_t producer, int number)
    {
        letters[index].payload.set(1);
        letters[index].producer = producer;
        letters[index].number = number;
        if (box.push(&letters[index]))
        {
            // With other wakers about, the consumer may be further already.
            model::expect(others_wake || armed.get() > 0, "the waker sees what was set up");
            wake_balance.fetch_add(1, std::memory_order_relaxed);
            place.wake();
        }
    }

    void receive()
    {
        for (runnable* item = box.take_all(); item != nullptr;)
        {
            runnable* const next = model::atomics<>::load_plain(item->next);
            auto* taken = static_cast<letter*>(item);
            model::expect(taken->payload.get() == 1, "a letter is complete");
            model::expect(taken->number > last_number[taken->producer],
                          "one producer's letters keep their order");
            last_number[taken->producer] = taken->number;
            ++received;
            item = next;
        }
    }

    void settle(std::size_t expected)
    {
        model::expect(received == expected, "every letter has come");
        model::expect(box.looks_empty(), "nothing is left");
        model::expect(wake_balance.load(std::memory_order_relaxed) == 0, "a sleep has one waker");
    }

    // What a worker does until `expected` letters have come.
    void consume(std::size_t expected)
    {
        for (;;)
        {
            receive();
            if (received == expected)
            {
                return;
            }
            armed.set(armed.get() + 1);
            if (!box.try_mark_inactive())
            {
                continue;
            }
            place.sleep();
            if (!box.mark_active())
            {
                wake_balance.fetch_sub(1, std::memory_order_relaxed);
            }
        }
    }
};

template <class Inbox>
void two_producers(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Inbox>>();
    program.thread([=] { shared->consume(3); });
    program.thread([=] {
        shared->send(0, 0, 1);
        shared->send(1, 0, 2);
    });
    program.thread([=] { shared->send(2, 1, 1); });
    program.at_end([=] { shared->settle(3); });
}

// Something else wakes the consumer too (its driver has completions).
template <class Inbox>
void other_wakes(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Inbox>>();
    shared->others_wake = true;
    program.thread([=] { shared->consume(2); });
    program.thread([=] {
        shared->send(0, 0, 1);
        shared->send(1, 0, 2);
    });
    program.thread([=] { shared->place.wake(); });
    program.at_end([=] { shared->settle(2); });
}

// Whoever knows of a letter and finds none sees what the consumer did before it took it.
template <class Inbox>
void look_from_outside(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Inbox>>();
    program.thread([=] {
        shared->armed.set(1);
        shared->receive();
    });
    program.thread([=] {
        shared->send(0, 0, 1);
        if (shared->box.looks_empty())
        {
            model::expect(shared->armed.get() == 1, "the consumer's preparation is seen");
        }
    });
    program.at_end([=] {
        shared->receive();
        shared->settle(1);
    });
}

template <template <class> class Inbox, class Weakening = model::as_written>
bool is_caught_somewhere(const model::options& bounds)
{
    using subject = Inbox<model::atomics<Weakening>>;
    constexpr std::array scenarios = {&two_producers<subject>, &other_wakes<subject>,
                                      &look_from_outside<subject>};
    return model::is_caught(bounds, scenarios);
}

constexpr model::options bounds{.preemptions = 4, .old_values = 2};
// Mutants fail early; those that only fail late show in smaller bounds too, and sooner.
constexpr model::options mutant_bounds{.preemptions = 2, .old_values = 1};
using shipped = inbox<model::atomics<>>;

} // namespace

TEST_CASE("inbox: two producers and a consumer that sleeps", "[model][inbox]")
{
    model::check_clean(bounds, &two_producers<shipped>);
}

TEST_CASE("inbox: a consumer that is woken by others too", "[model][inbox]")
{
    model::check_clean(bounds, &other_wakes<shipped>);
}

TEST_CASE("inbox: a look from outside", "[model][inbox]")
{
    model::check_clean(bounds, &look_from_outside<shipped>);
}

TEST_CASE("inbox: weakened orders are caught", "[model][inbox][mutant]")
{
    CHECK(is_caught_somewhere<inbox, model::unreleased_modifications>(mutant_bounds));
    CHECK(is_caught_somewhere<inbox, model::unacquired_modifications>(mutant_bounds));
    CHECK(is_caught_somewhere<inbox, model::torn_modifications>(mutant_bounds));
}

TEST_CASE("inbox: changed steps are caught", "[model][inbox][mutant]")
{
    CHECK(is_caught_somewhere<mutants::inbox_nobody_wakes::inbox>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::inbox_everyone_wakes::inbox>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::inbox_sleeps_on_letters::inbox>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::inbox_wakes_erase_letters::inbox>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::inbox_takes_unseen::inbox>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::inbox_looks_blindly::inbox>(mutant_bounds));
}
