// The channel without a lock under all schedules within the bounds: each value is in one place and
// arrives in order, each sleep ends once.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <blitzio/sync/detail/spsc_state.hpp>
#include <blitzio/sync/detail/waitable_cursor.hpp>

#include "mutants/spsc_state_end_hides_value.hpp"
#include "mutants/spsc_state_forgets_sender.hpp"
#include "mutants/spsc_state_gives_full_slot.hpp"
#include "mutants/spsc_state_receives_unclaimed.hpp"
#include "mutants/spsc_state_sends_unclaimed.hpp"
#include "mutants/spsc_state_serves_losers.hpp"
#include "mutants/spsc_state_takes_without_step.hpp"
#include "mutants/waitable_cursor_claims_twice.hpp"
#include "mutants/waitable_cursor_closes_silently.hpp"
#include "mutants/waitable_cursor_deaf_to_stop.hpp"
#include "mutants/waitable_cursor_passes_sleeper.hpp"
#include "mutants/waitable_cursor_remembers_stop.hpp"
#include "mutants/waitable_cursor_sleeps_after_end.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <optional>

namespace
{

using blitzio::detail::attempt_mode;
using blitzio::detail::basic_choice;
using blitzio::detail::channel_receive_node;
using blitzio::detail::channel_send_node;
using blitzio::detail::channel_transfer;
using blitzio::detail::spsc_state;
using blitzio::detail::wait_status;
using blitzio::detail::waitable_cursor;
namespace mutants = blitzio::mutants;

/// A value whose moves are accesses to plain memory.
class item
{
public:
    explicit item(int number) : number_(number) {}
    item(item&& other) noexcept
    {
        number_.set(other.number_.get());
        other.number_.set(0);
    }
    ~item()
    {
        number_.set(-1);
    }

    [[nodiscard]] int number() const
    {
        return number_.get();
    }

private:
    model::cell<int> number_;
};

struct sending : channel_send_node<item>
{
    model::sleeping_place place;
};

struct receiving : channel_receive_node<item>
{
    model::sleeping_place place;
};

template <class State>
struct atomics_of;
template <template <class, class, template <class> class> class State, class T, class Atomics,
          template <class> class Cursor>
struct atomics_of<State<T, Atomics, Cursor>>
{
    using type = Atomics;
};

template <class State>
struct fixture
{
    explicit fixture(std::size_t capacity) : state(capacity) {}

    /// The end of one operation, after which nothing refers to it.
    template <class Node>
    static void wake(Node* woken)
    {
        if (woken != nullptr)
        {
            using place_owner = std::conditional_t<std::is_same_v<Node, channel_send_node<item>>,
                                                   sending, receiving>;
            static_cast<place_owner*>(woken)->place.wake();
        }
    }

    wait_status send(sending& operation, item& value)
    {
        operation.source = &value;
        channel_receive_node<item>* woken = nullptr;
        const bool decided = state.send(operation, attempt_mode::or_wait, woken);
        wake(woken);
        if (!decided)
        {
            operation.place.sleep();
        }
        return operation.status;
    }

    wait_status receive(receiving& operation)
    {
        channel_send_node<item>* woken = nullptr;
        const bool decided = state.receive(operation, attempt_mode::or_wait, woken);
        wake(woken);
        if (!decided)
        {
            operation.place.sleep();
        }
        if (operation.status == wait_status::granted)
        {
            model::expect(operation.value->number() > last_number, "values arrive in order");
            last_number = operation.value->number();
            ++received;
        }
        return operation.status;
    }

    template <class Node>
    void withdraw(Node& operation)
    {
        if (state.withdraw(operation))
        {
            operation.place.wake();
        }
        withdrawal_over.wake();
    }

    void close()
    {
        channel_receive_node<item>* receiver = nullptr;
        channel_send_node<item>* sender = nullptr;
        state.close(receiver, sender);
        wake(receiver);
        wake(sender);
    }

    /// What is left in the ring, to be called when the threads are done.
    int drain()
    {
        int count = 0;
        for (std::optional<item> value;; value.reset(), ++count)
        {
            channel_send_node<item>* woken = nullptr;
            if (state.try_receive(value, woken) != channel_transfer::done)
            {
                return count;
            }
            model::expect(value->number() > last_number, "values stay in order");
            last_number = value->number();
        }
    }

    State state;
    int last_number = 0; // the receiver's
    int received = 0;    // the receiver's
    int sent = 0;        // the sender's
    int first_number = 1;
    model::sleeping_place withdrawal_over;
    sending cancelled_send;
    receiving cancelled_receive;
    basic_choice<typename atomics_of<State>::type> choice;

    /// `operation` is a case of a select.
    template <class Node>
    void make_case(Node& operation)
    {
        operation.on_complete.context = &choice;
        operation.case_number = 1;
    }

    /// Another case is chosen, if not this one, which hears of it.
    template <class Node>
    void choose_other(Node& operation)
    {
        if (choice.claim(5))
        {
            withdraw(operation);
            return;
        }
        withdrawal_over.wake();
    }

    void send_some(int count)
    {
        for (int number = first_number; number < first_number + count; ++number)
        {
            sending operation;
            item value(number);
            if (send(operation, value) == wait_status::granted)
            {
                ++sent;
            }
            else
            {
                model::expect(value.number() == number, "a value that was not sent stays");
            }
        }
    }

    /// Puts a value into the ring before the threads begin.
    void fill()
    {
        send_some(1);
        ++first_number;
    }
};

// More values than fit: both sides sleep and are served.
template <class State>
void pass_values(model::scenario& program, std::size_t capacity)
{
    auto shared = std::make_shared<fixture<State>>(capacity);
    program.thread([=] { shared->send_some(4); });
    program.thread([=] {
        for (int count = 0; count < 4; ++count)
        {
            receiving operation;
            model::expect(shared->receive(operation) == wait_status::granted, "nobody closes");
        }
    });
    program.at_end([=] {
        model::expect(shared->received == 4 && shared->drain() == 0, "every value has arrived");
    });
}

template <class State>
void pass_through_one(model::scenario& program)
{
    pass_values<State>(program, 1);
}

template <class State>
void pass_through_two(model::scenario& program)
{
    pass_values<State>(program, 2);
}

// A receive is cut short while a value comes; the next receive is not.
template <class State>
void withdraw_receive(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>(1);
    program.thread([=] { shared->send_some(2); });
    program.thread([=] {
        const auto first = shared->receive(shared->cancelled_receive);
        shared->withdrawal_over.sleep();
        shared->state.received();
        model::expect(first != wait_status::closed, "nobody closes");
        receiving second;
        model::expect(shared->receive(second) == wait_status::granted, "this one is not stopped");
    });
    program.thread([=] { shared->withdraw(shared->cancelled_receive); });
    program.at_end(
        [=] { model::expect(shared->received + shared->drain() == 2, "no value is lost"); });
}

// A receive is cut short and no value comes.
template <class State>
void withdraw_receive_alone(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>(1);
    program.thread([=] {
        model::expect(shared->receive(shared->cancelled_receive) == wait_status::cancelled,
                      "there is no value");
    });
    program.thread([=] { shared->withdraw(shared->cancelled_receive); });
}

// A send into a full ring is cut short while room is made.
template <class State>
void withdraw_send(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>(1);
    shared->fill();
    program.thread([=] {
        item value(2);
        const auto first = shared->send(shared->cancelled_send, value);
        shared->withdrawal_over.sleep();
        shared->state.sent();
        shared->sent += first == wait_status::granted ? 1 : 0;
        model::expect((value.number() == 0) == (first == wait_status::granted),
                      "a value that was not sent stays");
        shared->first_number = 3;
        shared->send_some(1);
    });
    program.thread([=] {
        for (int count = 0; count < 2; ++count)
        {
            receiving operation;
            model::expect(shared->receive(operation) == wait_status::granted, "nobody closes");
        }
    });
    program.thread([=] { shared->withdraw(shared->cancelled_send); });
    program.at_end([=] {
        model::expect(shared->received + shared->drain() == shared->sent, "no value is lost");
    });
}

// A receive is a case of a select, which may choose another one while a value comes.
template <class State>
void choose_receive(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>(1);
    shared->make_case(shared->cancelled_receive);
    program.thread([=] { shared->send_some(2); });
    program.thread([=] {
        const auto first = shared->receive(shared->cancelled_receive);
        shared->withdrawal_over.sleep();
        shared->state.received();
        model::expect((first == wait_status::granted) == (shared->choice.index() == 0),
                      "it gets a value if it is chosen");
        while (shared->received < 2)
        {
            receiving rest;
            model::expect(shared->receive(rest) == wait_status::granted, "the others come");
        }
    });
    program.thread([=] { shared->choose_other(shared->cancelled_receive); });
}

// The same with a send into a full ring.
template <class State>
void choose_send(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>(1);
    shared->fill();
    shared->make_case(shared->cancelled_send);
    program.thread([=] {
        item value(2);
        const auto first = shared->send(shared->cancelled_send, value);
        shared->withdrawal_over.sleep();
        shared->state.sent();
        const bool was_sent = first == wait_status::granted;
        shared->sent += was_sent ? 1 : 0;
        model::expect(was_sent == (shared->choice.index() == 0), "it is sent if it is chosen");
        model::expect((value.number() == 0) == was_sent, "a value that was not sent stays");
        shared->first_number = 3;
        shared->send_some(1);
    });
    program.thread([=] {
        for (int count = 0; count < 2; ++count)
        {
            receiving operation;
            model::expect(shared->receive(operation) == wait_status::granted, "nobody closes");
        }
    });
    program.thread([=] { shared->choose_other(shared->cancelled_send); });
    program.at_end([=] {
        model::expect(shared->received + shared->drain() == shared->sent, "no value is lost");
    });
}

// The sender leaves after its values: the receiver gets them, and then the end.
template <class State>
void sender_closes(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>(2);
    program.thread([=] {
        shared->send_some(2);
        shared->close();
    });
    program.thread([=] {
        for (int count = 0; count < 2; ++count)
        {
            receiving operation;
            model::expect(shared->receive(operation) == wait_status::granted, "two values come");
        }
        receiving last;
        model::expect(shared->receive(last) == wait_status::closed, "and no more");
    });
}

// The receiver leaves: each value was sent and is in the ring, or is still the sender's.
template <class State>
void receiver_closes(model::scenario& program)
{
    auto shared = std::make_shared<fixture<State>>(1);
    program.thread([=] { shared->send_some(3); });
    program.thread([=] {
        receiving operation;
        static_cast<void>(shared->receive(operation));
        shared->close();
    });
    program.at_end([=] {
        model::expect(shared->received + shared->drain() == shared->sent, "no value is lost");
        model::expect(shared->state.size() == 0, "the ring is empty");
    });
}

template <class State>
bool is_caught_somewhere(const model::options& bounds)
{
    constexpr std::array scenarios = {
        &pass_through_one<State>,       &pass_through_two<State>, &withdraw_receive<State>,
        &withdraw_receive_alone<State>, &withdraw_send<State>,    &sender_closes<State>,
        &receiver_closes<State>,        &choose_receive<State>,   &choose_send<State>};
    return model::is_caught(bounds, scenarios);
}

constexpr model::options bounds{.preemptions = 4, .old_values = 1};
constexpr model::options small_bounds{.preemptions = 3, .old_values = 1};
constexpr model::options mutant_bounds{.preemptions = 2, .old_values = 1};

template <class Weakening>
using weakened = spsc_state<item, model::atomics<Weakening>>;
using shipped = weakened<model::as_written>;
template <template <class> class Cursor>
using over = spsc_state<item, model::atomics<>, Cursor>;

} // namespace

TEST_CASE("spsc: values pass through a ring of one", "[model][spsc]")
{
    model::check_clean(bounds, &pass_through_one<shipped>);
}

TEST_CASE("spsc: values pass through a ring of two", "[model][spsc]")
{
    model::check_clean(bounds, &pass_through_two<shipped>);
}

TEST_CASE("spsc: a receive is withdrawn", "[model][spsc]")
{
    model::check_clean(small_bounds, &withdraw_receive<shipped>);
    model::check_clean(bounds, &withdraw_receive_alone<shipped>);
}

TEST_CASE("spsc: a send is withdrawn", "[model][spsc]")
{
    model::check_clean(small_bounds, &withdraw_send<shipped>);
}

TEST_CASE("spsc: a select chooses an end or something else", "[model][spsc][select]")
{
    model::check_clean(small_bounds, &choose_receive<shipped>);
    model::check_clean(small_bounds, &choose_send<shipped>);
}

TEST_CASE("spsc: either end closes", "[model][spsc]")
{
    model::check_clean(bounds, &sender_closes<shipped>);
    model::check_clean(bounds, &receiver_closes<shipped>);
}

TEST_CASE("spsc: weakened orders are caught", "[model][spsc][mutant]")
{
    CHECK(is_caught_somewhere<weakened<model::relaxed_loads>>(mutant_bounds));
    CHECK(is_caught_somewhere<weakened<model::unreleased_modifications>>(mutant_bounds));
    CHECK(is_caught_somewhere<weakened<model::unacquired_modifications>>(mutant_bounds));
    CHECK(is_caught_somewhere<weakened<model::torn_modifications>>(mutant_bounds));
}

TEST_CASE("spsc: changed steps of the cursor are caught", "[model][spsc][mutant]")
{
    CHECK(is_caught_somewhere<over<mutants::waitable_cursor_passes_sleeper::waitable_cursor>>(
        mutant_bounds));
    CHECK(is_caught_somewhere<over<mutants::waitable_cursor_claims_twice::waitable_cursor>>(
        mutant_bounds));
    CHECK(is_caught_somewhere<over<mutants::waitable_cursor_deaf_to_stop::waitable_cursor>>(
        mutant_bounds));
    CHECK(is_caught_somewhere<over<mutants::waitable_cursor_remembers_stop::waitable_cursor>>(
        mutant_bounds));
    CHECK(is_caught_somewhere<over<mutants::waitable_cursor_closes_silently::waitable_cursor>>(
        mutant_bounds));
    CHECK(is_caught_somewhere<over<mutants::waitable_cursor_sleeps_after_end::waitable_cursor>>(
        mutant_bounds));
}

TEST_CASE("spsc: changed steps are caught", "[model][spsc][mutant]")
{
    using atomics = model::atomics<>;
    CHECK(is_caught_somewhere<mutants::spsc_state_end_hides_value::spsc_state<item, atomics>>(
        mutant_bounds));
    CHECK(is_caught_somewhere<mutants::spsc_state_takes_without_step::spsc_state<item, atomics>>(
        mutant_bounds));
    CHECK(is_caught_somewhere<mutants::spsc_state_gives_full_slot::spsc_state<item, atomics>>(
        mutant_bounds));
    CHECK(is_caught_somewhere<mutants::spsc_state_forgets_sender::spsc_state<item, atomics>>(
        mutant_bounds));
    CHECK(is_caught_somewhere<mutants::spsc_state_serves_losers::spsc_state<item, atomics>>(
        mutant_bounds));
    CHECK(is_caught_somewhere<mutants::spsc_state_receives_unclaimed::spsc_state<item, atomics>>(
        mutant_bounds));
    CHECK(is_caught_somewhere<mutants::spsc_state_sends_unclaimed::spsc_state<item, atomics>>(
        mutant_bounds));
}
