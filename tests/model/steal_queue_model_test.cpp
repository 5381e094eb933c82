// The steal queue under all schedules within the bounds, with room for 4 elements.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <blitzio/io/detail/steal_queue.hpp>

#include "mutants/steal_queue_claim_ignores_thief.hpp"
#include "mutants/steal_queue_finish_forgets_pops.hpp"
#include "mutants/steal_queue_pop_ends_claim.hpp"
#include "mutants/steal_queue_push_over_claim.hpp"
#include "mutants/steal_queue_take_without_room.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cstddef>
#include <memory>

namespace
{

using blitzio::detail::runnable;
using blitzio::detail::steal_queue;
namespace mutants = blitzio::mutants;

// An element whose payload shows whether it was handed over properly, and which is taken once.
struct element : runnable
{
    model::cell<int> payload{0};
    model::cell<int> taken{0};
};

template <class Queue>
struct fixture
{
    Queue victim;
    std::array<Queue, 2> thieves;
    std::array<element, 9> elements;
    model::cell<std::size_t> overflowed{0};

    void push(std::size_t index)
    {
        elements[index].payload.set(1);
        victim.push_back_or_overflow(&elements[index],
                                     [this](runnable* first, runnable* last, std::size_t count) {
                                         accept_overflow(first, last, count);
                                     });
    }

    void accept_overflow(runnable* first, runnable* last, std::size_t count)
    {
        std::size_t found = 0;
        runnable* end = nullptr;
        for (runnable* item = first; item != nullptr && found <= count; item = item->next)
        {
            take(item);
            end = item;
            ++found;
        }
        model::expect(found == count && end == last, "the overflow is a chain of `count` elements");
        overflowed.set(overflowed.get() + count);
    }

    void take(runnable* item)
    {
        auto* taken = static_cast<element*>(item);
        model::expect(taken->payload.get() == 1, "an element is complete");
        taken->taken.set(taken->taken.get() + 1);
    }

    bool pop(Queue& queue)
    {
        runnable* const item = queue.pop();
        if (item != nullptr)
        {
            take(item);
        }
        return item != nullptr;
    }

    bool rob(std::size_t thief)
    {
        runnable* const item = victim.steal_into(thieves[thief]);
        if (item != nullptr)
        {
            take(item);
        }
        return item != nullptr;
    }

    // Empties all queues; then the first `count` elements were taken once, the others never.
    void settle(std::size_t count)
    {
        for (Queue* queue : {&victim, &thieves[0], &thieves[1]})
        {
            while (pop(*queue))
            {
            }
            model::expect(queue->size() == 0, "an emptied queue has size 0");
        }
        for (std::size_t index = 0; index < elements.size(); ++index)
        {
            model::expect(elements[index].taken.get() == (index < count ? 1 : 0),
                          "each element is taken once");
        }
    }
};

// The owner pushes and pops while a thief helps itself and empties its booty.
template <class Queue>
void one_thief(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Queue>>();
    program.thread([=] {
        for (std::size_t index = 0; index < 3; ++index)
        {
            shared->push(index);
        }
        shared->pop(shared->victim);
        shared->push(3);
        shared->push(4);
        shared->pop(shared->victim);
    });
    program.thread([=] {
        if (shared->rob(0))
        {
            shared->pop(shared->thieves[0]);
        }
        static_cast<void>(shared->victim.size());
    });
    program.at_end([=] { shared->settle(5); });
}

// The ring is full: each push overflows, unless a thief is inside.
template <class Queue>
void overflow_and_thief(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Queue>>();
    for (std::size_t index = 0; index < 4; ++index)
    {
        shared->push(index);
    }
    program.thread([=] {
        shared->push(4);
        shared->push(5);
        shared->pop(shared->victim);
        shared->push(6);
    });
    program.thread([=] {
        shared->rob(0);
        shared->rob(0);
    });
    program.at_end([=] { shared->settle(7); });
}

// Two thieves and the owner want the same elements.
template <class Queue>
void two_thieves(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Queue>>();
    for (std::size_t index = 0; index < 4; ++index)
    {
        shared->push(index);
    }
    program.thread([=] {
        shared->pop(shared->victim);
        shared->push(4);
    });
    for (std::size_t thief = 0; thief < 2; ++thief)
    {
        program.thread([=] {
            shared->rob(thief);
            shared->pop(shared->thieves[thief]);
        });
    }
    program.at_end([=] { shared->settle(5); });
}

// A chain of thieves: one robs the victim and is robbed itself, so that its ring is refilled.
template <class Queue>
void robbed_thief(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Queue>>();
    for (std::size_t index = 0; index < 4; ++index)
    {
        shared->push(index);
    }
    program.thread([=] {
        shared->rob(0);
        shared->rob(0);
        shared->pop(shared->thieves[0]);
    });
    program.thread([=] {
        if (runnable* const item = shared->thieves[0].steal_into(shared->thieves[1]))
        {
            shared->take(item);
        }
    });
    program.thread([=] { shared->push(4); });
    program.at_end([=] { shared->settle(5); });
}

// A thief's own ring looks empty to it, but another one still reads the slots: there is no room.
template <class Queue>
void thief_with_a_guest(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Queue>>();
    for (std::size_t index = 0; index < 4; ++index)
    {
        shared->push(index);
    }
    for (std::size_t index = 4; index < 8; ++index)
    {
        shared->elements[index].payload.set(1);
        runnable* const rest = shared->thieves[0].push_batch(&shared->elements[index]);
        model::expect(rest == nullptr);
    }
    program.thread([=] {
        while (shared->pop(shared->thieves[0]))
        {
        }
        shared->rob(0);
    });
    program.thread([=] {
        if (runnable* const item = shared->thieves[0].steal_into(shared->thieves[1]))
        {
            shared->take(item);
        }
    });
    program.at_end([=] { shared->settle(8); });
}

// A batch that does not fit as a whole appears at once and leaves its rest.
template <class Queue>
void batch(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Queue>>();
    shared->push(0);
    program.thread([=] {
        for (std::size_t index = 1; index < 7; ++index)
        {
            shared->elements[index].payload.set(1);
            shared->elements[index].next = index < 6 ? &shared->elements[index + 1] : nullptr;
        }
        runnable* rest = shared->victim.push_batch(&shared->elements[1]);
        model::expect(rest == &shared->elements[4] || rest == &shared->elements[5] ||
                          rest == &shared->elements[6],
                      "three to five elements fit");
        for (; rest != nullptr; rest = rest->next)
        {
            shared->take(rest);
        }
    });
    program.thread([=] {
        shared->rob(0);
        shared->pop(shared->thieves[0]);
    });
    program.at_end([=] { shared->settle(7); });
}

template <template <class, std::uint32_t> class Queue, class Weakening = model::as_written>
bool is_caught_somewhere(const model::options& bounds)
{
    using subject = Queue<model::atomics<Weakening>, 4>;
    constexpr std::array scenarios = {&one_thief<subject>,          &overflow_and_thief<subject>,
                                      &two_thieves<subject>,        &robbed_thief<subject>,
                                      &thief_with_a_guest<subject>, &batch<subject>};
    return model::is_caught(bounds, scenarios);
}

constexpr model::options bounds{.preemptions = 3, .old_values = 1};
// Mutants fail early; those that only fail late show in smaller bounds too, and sooner.
constexpr model::options mutant_bounds{.preemptions = 2, .old_values = 1};
using shipped = steal_queue<model::atomics<>, 4>;

} // namespace

TEST_CASE("steal queue: one thief", "[model][steal_queue]")
{
    model::check_clean(bounds, &one_thief<shipped>);
}

TEST_CASE("steal queue: overflow against a thief", "[model][steal_queue]")
{
    model::check_clean(bounds, &overflow_and_thief<shipped>);
}

TEST_CASE("steal queue: two thieves", "[model][steal_queue]")
{
    model::check_clean(bounds, &two_thieves<shipped>);
}

TEST_CASE("steal queue: a thief that is robbed", "[model][steal_queue]")
{
    model::check_clean(bounds, &robbed_thief<shipped>);
}

TEST_CASE("steal queue: a thief whose ring is still read", "[model][steal_queue]")
{
    model::check_clean(bounds, &thief_with_a_guest<shipped>);
}

TEST_CASE("steal queue: a batch against a thief", "[model][steal_queue]")
{
    model::check_clean(bounds, &batch<shipped>);
}

TEST_CASE("steal queue: weakened orders are caught", "[model][steal_queue][mutant]")
{
    CHECK(is_caught_somewhere<steal_queue, model::relaxed_stores>(mutant_bounds));
    CHECK(is_caught_somewhere<steal_queue, model::relaxed_loads>(mutant_bounds));
    CHECK(is_caught_somewhere<steal_queue, model::unreleased_modifications>(mutant_bounds));
    CHECK(is_caught_somewhere<steal_queue, model::torn_modifications>(mutant_bounds));
}

TEST_CASE("steal queue: changed steps are caught", "[model][steal_queue][mutant]")
{
    CHECK(is_caught_somewhere<mutants::steal_queue_push_over_claim::steal_queue>(mutant_bounds));
    CHECK(
        is_caught_somewhere<mutants::steal_queue_claim_ignores_thief::steal_queue>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::steal_queue_pop_ends_claim::steal_queue>(mutant_bounds));
    CHECK(
        is_caught_somewhere<mutants::steal_queue_finish_forgets_pops::steal_queue>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::steal_queue_take_without_room::steal_queue>(mutant_bounds));
}
