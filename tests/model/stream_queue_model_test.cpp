// The queue between the stages of a stream under all schedules within the bounds: each value arrives
// once, each wait ends, and a producer is told the truth about its value. as_completed() keeps what
// has ended in a list under the same lock, with one consumer that waits as here.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <blitzio/io/detail/stream_queue.hpp>

#include "mutants/stream_queue_closes_deafly.hpp"
#include "mutants/stream_queue_forgets_consumer.hpp"
#include "mutants/stream_queue_loses_pusher.hpp"
#include "mutants/stream_queue_opens_after_end.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <coroutine>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace
{

using blitzio::task_env;
using blitzio::detail::runtime_core;
using blitzio::detail::stream_queue;
using blitzio::detail::waiter;
namespace mutants = blitzio::mutants;

/// A value whose moves are accesses to plain memory.
class item
{
public:
    explicit item(int number) : number_(number) {}
    item(item&& other) noexcept
    {
        number_.set(other.number_.get());
    }
    item& operator=(item&& other) noexcept
    {
        number_.set(other.number_.get());
        return *this;
    }
    ~item() = default;

    [[nodiscard]] int number() const
    {
        return number_.get();
    }

private:
    model::cell<int> number_;
};

/// Starts an operation and waits for it.
template <class Operation>
auto perform(Operation operation)
{
    model::sleeping_place place;
    const waiter who{[](void* context) noexcept -> std::coroutine_handle<> {
                         static_cast<model::sleeping_place*>(context)->wake();
                         return std::noop_coroutine();
                     },
                     &place};
    if (operation.start(task_env{}, who))
    {
        place.sleep();
    }
    return operation.await_resume();
}

template <class Queue>
struct fixture
{
    explicit fixture(std::size_t producers, std::size_t capacity = 1)
    {
        // Never dereferenced: the scheduler of the model does not need one.
        queue.open(*reinterpret_cast<runtime_core*>(this), capacity, producers);
    }

    bool push(int number)
    {
        const bool taken = perform(queue.push(item(number)));
        accepted += taken ? number : 0;
        return taken;
    }

    /// The number, or 0 at the end.
    int pop()
    {
        auto step = perform(queue.pop());
        if (!step || !*step)
        {
            failed = !step;
            return 0;
        }
        const int number = (**step).number();
        popped += number;
        return number;
    }

    Queue queue;
    int accepted = 0;
    int popped = 0;
    bool failed = false;
};

// Two producers, one consumer, room for one value.
template <class Queue>
void produce_and_consume(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Queue>>(2);
    for (const int first : {1, 10})
    {
        program.thread([=] {
            model::expect(shared->push(first), "it is wanted");
            model::expect(shared->push(2 * first), "it is wanted");
            shared->queue.producer_ended();
        });
    }
    program.thread([=] {
        int last_of_one = 0;
        int last_of_other = 0;
        while (const int number = shared->pop())
        {
            int& last = number < 10 ? last_of_one : last_of_other;
            model::expect(number > last, "in order");
            last = number;
        }
    });
    program.at_end([=] { model::expect(shared->popped == 33, "each value once"); });
}

// The consumer takes one value and closes.
template <class Queue>
void close_early(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Queue>>(2);
    for (const int first : {1, 10})
    {
        program.thread([=] {
            if (shared->push(first))
            {
                static_cast<void>(shared->push(2 * first));
            }
            shared->queue.producer_ended();
        });
    }
    program.thread([=] {
        static_cast<void>(shared->pop());
        shared->queue.close();
        // What was taken over before can still be had, and then the end comes.
        while (shared->pop() != 0)
        {
        }
    });
    program.at_end([=] {
        model::expect(shared->accepted == shared->popped, "who was told it was taken was right");
    });
}

// The consumer closes and goes away: producers that wait go on all the same.
template <class Queue>
void close_and_leave(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Queue>>(1);
    program.thread([=] {
        for (int number = 1; number <= 3; ++number)
        {
            static_cast<void>(shared->push(number));
        }
        shared->queue.producer_ended();
    });
    program.thread([=] {
        static_cast<void>(shared->pop());
        shared->queue.close();
    });
    program.at_end([=] { model::expect(!shared->push(4), "nothing is wanted any more"); });
}

// One producer fails while the other sends.
template <class Queue>
void fail(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Queue>>(2);
    program.thread([=] {
        static_cast<void>(shared->push(1));
        static_cast<void>(shared->push(2));
        shared->queue.producer_ended();
    });
    program.thread([=] {
        shared->queue.fail_with(std::make_error_code(std::errc::io_error), nullptr, task_env{});
    });
    program.thread([=] {
        while (shared->pop() != 0)
        {
        }
        model::expect(shared->failed, "the failure is told");
    });
    program.at_end(
        [=] { model::expect(shared->accepted == shared->popped, "after what came before it"); });
}

template <template <class, class> class Queue, class Weakening = model::as_written>
bool is_caught_somewhere(const model::options& bounds)
{
    using subject = Queue<item, model::atomics<Weakening>>;
    constexpr std::array scenarios = {&produce_and_consume<subject>, &close_early<subject>,
                                      &close_and_leave<subject>, &fail<subject>};
    return model::is_caught(bounds, scenarios);
}

constexpr model::options bounds{.preemptions = 3, .old_values = 1};
constexpr model::options mutant_bounds{.preemptions = 2, .old_values = 0};
using shipped = stream_queue<item, model::atomics<>>;

} // namespace

TEST_CASE("stream queue: values pass", "[model][stream]")
{
    model::check_clean(bounds, &produce_and_consume<shipped>);
}

TEST_CASE("stream queue: the consumer closes early", "[model][stream]")
{
    model::check_clean(bounds, &close_early<shipped>);
}

TEST_CASE("stream queue: the consumer closes and goes away", "[model][stream]")
{
    model::check_clean(bounds, &close_and_leave<shipped>);
}

TEST_CASE("stream queue: a producer fails", "[model][stream]")
{
    model::check_clean(bounds, &fail<shipped>);
}

TEST_CASE("stream queue: weakened orders are caught", "[model][stream][mutant]")
{
    CHECK(is_caught_somewhere<stream_queue, model::relaxed_stores>(mutant_bounds));
    CHECK(is_caught_somewhere<stream_queue, model::unacquired_modifications>(mutant_bounds));
    CHECK(is_caught_somewhere<stream_queue, model::torn_modifications>(mutant_bounds));
}

TEST_CASE("stream queue: changed steps are caught", "[model][stream][mutant]")
{
    CHECK(is_caught_somewhere<mutants::stream_queue_closes_deafly::stream_queue>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::stream_queue_forgets_consumer::stream_queue>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::stream_queue_loses_pusher::stream_queue>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::stream_queue_opens_after_end::stream_queue>(mutant_bounds));
}
