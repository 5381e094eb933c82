// The injection queue under all schedules within the bounds: nothing is lost or doubled, the order of one producer
// stays, and nobody is told that the queue is empty of what he knows to be inside.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <blitzio/io/detail/injection_queue.hpp>

#include "mutants/injection_queue_closes_over_elements.hpp"
#include "mutants/injection_queue_forgets_what_was_ordered.hpp"
#include "mutants/injection_queue_moves_unseen.hpp"
#include "mutants/injection_queue_takes_without_lock.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <atomic>
#include <cstddef>
#include <memory>

namespace
{

using blitzio::detail::basic_injection_queue;
using blitzio::detail::runnable;
namespace mutants = blitzio::mutants;

struct element : runnable
{
    model::cell<int> payload{0};
    std::size_t producer = 0;
    int number = 0;
};

template <class Queue>
struct fixture
{
    Queue queue;
    std::array<element, 4> elements;
    std::array<int, 3> last_number{}; // by producer; used where one thread takes
    std::array<std::size_t, 2> received{};
    model::atomic<int> refused{0};
    model::atomic<int> known{0};

    element& prepare(std::size_t index, std::size_t producer, int number)
    {
        elements[index].payload.set(1);
        elements[index].producer = producer;
        elements[index].number = number;
        return elements[index];
    }

    void push(std::size_t index, std::size_t producer, int number)
    {
        if (!queue.push(&prepare(index, producer, number)))
        {
            refused.fetch_add(1, std::memory_order_relaxed);
        }
    }

    void push_two(std::size_t index, std::size_t producer)
    {
        element& first = prepare(index, producer, 1);
        element& second = prepare(index + 1, producer, 2);
        model::atomics<>::store_plain(first.next, &second);
        if (!queue.push_list(&first, &second, 2))
        {
            refused.fetch_add(2, std::memory_order_relaxed);
        }
    }

    /// What a consumer takes at once; `alone`: nobody else takes.
    void take(std::size_t consumer, std::size_t among, std::size_t limit, bool alone)
    {
        const auto batch = queue.pop_share(among, limit);
        runnable* item = batch.first;
        for (std::size_t index = 0; index < batch.count; ++index)
        {
            auto& taken = *static_cast<element*>(item);
            model::expect(taken.payload.get() == 1, "an element is complete");
            taken.payload.set(2);
            if (alone)
            {
                model::expect(taken.number > last_number[taken.producer],
                              "one producer's elements keep their order");
                last_number[taken.producer] = taken.number;
            }
            ++received[consumer];
            item = model::atomics<>::load_plain(taken.next);
        }
        model::expect(item == nullptr, "a batch ends where it says");
    }

    void settle(std::size_t pushed)
    {
        // What is in order comes first, and what has come since with the next batch.
        take(0, 1, 10, false);
        take(0, 1, 10, false);
        const auto gone = static_cast<std::size_t>(refused.load(std::memory_order_relaxed));
        model::expect(received[0] + received[1] + gone == pushed, "each element once");
        model::expect(queue.empty(), "nothing is left");
        model::expect(queue.count().pushed_total + gone == pushed, "and all were counted");
    }
};

/// Single ones and a chain, one consumer with small bites.
template <class Queue>
void in_order(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Queue>>();
    program.thread([=] {
        shared->push(0, 0, 1);
        shared->push(1, 0, 2);
    });
    program.thread([=] { shared->push_two(2, 1); });
    program.thread([=] {
        shared->take(0, 1, 1, true);
        shared->take(0, 2, 10, true);
    });
    program.at_end([=] { shared->settle(4); });
}

/// Two consumers at the same time.
template <class Queue>
void shared_out(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Queue>>();
    program.thread([=] {
        shared->push(0, 0, 1);
        shared->push(1, 0, 2);
        shared->push(2, 0, 3);
    });
    program.thread([=] { shared->take(0, 2, 10, false); });
    program.thread([=] { shared->take(1, 2, 1, false); });
    program.at_end([=] { shared->settle(3); });
}

/// Whoever knows of two elements, of which another takes one, never finds the queue empty.
template <class Queue>
void seen_by_others(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Queue>>();
    program.thread([=] {
        shared->push(0, 0, 1);
        shared->push(1, 0, 2);
        shared->known.store(1, std::memory_order_release);
    });
    program.thread([=] {
        if (shared->known.load(std::memory_order_acquire) != 0)
        {
            shared->take(0, 1, 1, true);
        }
    });
    program.thread([=] {
        if (shared->known.load(std::memory_order_acquire) != 0)
        {
            model::expect(!shared->queue.empty(), "what is inside is seen");
        }
    });
    program.at_end([=] { shared->settle(2); });
}

template <class Queue>
void closed_meanwhile(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Queue>>();
    program.thread([=] { shared->push(0, 0, 1); });
    program.thread([=] { shared->push_two(1, 1); });
    program.thread([=] {
        model::expect(shared->queue.close(), "closed once");
        model::expect(!shared->queue.close(), "and not again");
    });
    program.at_end([=] {
        shared->push(3, 2, 1);
        model::expect(shared->refused.load(std::memory_order_relaxed) >= 1, "nothing comes later");
        shared->settle(4);
    });
}

template <template <class> class Queue, class Weakening = model::as_written>
bool is_caught_somewhere(const model::options& bounds)
{
    using subject = Queue<model::atomics<Weakening>>;
    constexpr std::array scenarios = {&in_order<subject>, &shared_out<subject>,
                                      &seen_by_others<subject>, &closed_meanwhile<subject>};
    return model::is_caught(bounds, scenarios);
}

constexpr model::options bounds{.preemptions = 4, .old_values = 2};
constexpr model::options mutant_bounds{.preemptions = 2, .old_values = 1};
using shipped = basic_injection_queue<model::atomics<>>;

} // namespace

TEST_CASE("injection queue: the order of each producer", "[model][injection_queue]")
{
    model::check_clean(bounds, &in_order<shipped>);
}

TEST_CASE("injection queue: two who take", "[model][injection_queue]")
{
    model::check_clean(bounds, &shared_out<shipped>);
}

TEST_CASE("injection queue: never empty of what is known", "[model][injection_queue]")
{
    model::check_clean(bounds, &seen_by_others<shipped>);
}

TEST_CASE("injection queue: closed meanwhile", "[model][injection_queue]")
{
    model::check_clean(bounds, &closed_meanwhile<shipped>);
}

TEST_CASE("injection queue: weakened orders are caught", "[model][injection_queue][mutant]")
{
    CHECK(
        is_caught_somewhere<basic_injection_queue, model::unreleased_modifications>(mutant_bounds));
    CHECK(
        is_caught_somewhere<basic_injection_queue, model::unacquired_modifications>(mutant_bounds));
}

TEST_CASE("injection queue: changed steps are caught", "[model][injection_queue][mutant]")
{
    CHECK(is_caught_somewhere<mutants::injection_queue_moves_unseen::basic_injection_queue>(
        mutant_bounds));
    CHECK(is_caught_somewhere<mutants::injection_queue_takes_without_lock::basic_injection_queue>(
        mutant_bounds));
    CHECK(is_caught_somewhere<mutants::injection_queue_closes_over_elements::basic_injection_queue>(
        mutant_bounds));
    CHECK(is_caught_somewhere<
          mutants::injection_queue_forgets_what_was_ordered::basic_injection_queue>(mutant_bounds));
}
