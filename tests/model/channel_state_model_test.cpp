// The locked channel under all schedules within the bounds: each value is in one place and arrives in
// order, each wait ends once, and of the cases of a select exactly one takes effect.
// The bounded channel and the one without a bound share this state; the unbounded one differs in its
// store only, which is guarded by the same lock.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <blitzio/sync/detail/channel_state.hpp>

#include "mutants/channel_state_closes_losers.hpp"
#include "mutants/channel_state_deaf_to_stop.hpp"
#include "mutants/channel_state_overtakes.hpp"
#include "mutants/channel_state_receives_unclaimed.hpp"
#include "mutants/channel_state_sender_stays_behind.hpp"
#include "mutants/channel_state_sends_unclaimed.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace
{

using blitzio::detail::attempt_mode;
using blitzio::detail::basic_choice;
using blitzio::detail::channel_receive_node;
using blitzio::detail::channel_send_node;
using blitzio::detail::channel_state;
using blitzio::detail::channel_transfer;
using blitzio::detail::ring_store;
using blitzio::detail::wait_node;
using blitzio::detail::wait_status;
using blitzio::detail::wake_list;
namespace mutants = blitzio::mutants;

/// A value whose moves are accesses to plain memory. 0: moved from.
class item
{
public:
    explicit item(int number) : number_(number) {}
    item(item&& other) noexcept
    {
        number_.set(other.number_.get());
        other.number_.set(0);
    }
    ~item() = default;

    [[nodiscard]] int number() const
    {
        return number_.get();
    }

private:
    model::cell<int> number_;
};

/// One operation: its end, and that of the select of which it may be a case.
template <class Node>
struct operation : Node
{
    model::sleeping_place place;
    model::sleeping_place* select = nullptr;

    operation()
    {
        // Found again from the node, whatever its type.
        this->runtime = nullptr;
        this->run = [](blitzio::detail::runnable* self) noexcept {
            auto& woken = *static_cast<operation*>(static_cast<Node*>(self));
            woken.place.wake();
            if (woken.select != nullptr)
            {
                woken.select->wake();
            }
        };
    }
};

using sending = operation<channel_send_node<item>>;
using receiving = operation<channel_receive_node<item>>;

void wake(wait_node* first)
{
    while (first != nullptr)
    {
        wait_node* const following = first->following();
        first->run(first);
        first = following;
    }
}

template <class State>
struct channel
{
    using leftover = typename ring_store<item>::leftover;

    explicit channel(std::size_t capacity) : state(capacity) {}

    [[nodiscard]] bool attempt(sending& node, attempt_mode mode = attempt_mode::or_wait)
    {
        wait_node* woken = nullptr;
        const bool decided = state.send(node, mode, woken);
        wake(woken);
        return decided;
    }

    [[nodiscard]] bool attempt(receiving& node, attempt_mode mode = attempt_mode::or_wait)
    {
        wait_node* woken = nullptr;
        leftover left;
        const bool decided = state.receive(node, mode, woken, left);
        wake(woken);
        return decided;
    }

    /// A plain operation from start to end.
    template <class Node>
    wait_status perform(Node& node)
    {
        if (!attempt(node))
        {
            node.place.sleep();
        }
        return node.status;
    }

    template <class Node>
    bool withdraw(Node& node)
    {
        const bool was_waiting = state.withdraw(node);
        if (was_waiting)
        {
            node.run(&node);
        }
        return was_waiting;
    }

    void close()
    {
        wake_list told;
        state.close(told);
        wake(told.chain());
    }

    /// What is left when all threads are done.
    [[nodiscard]] int drain()
    {
        int numbers = 0;
        for (;;)
        {
            receiving rest;
            if (!attempt(rest, attempt_mode::only_try) || rest.status != wait_status::granted)
            {
                return numbers;
            }
            numbers += rest.value->number();
        }
    }

    State state;
};

/// Two cases and the choice between them.
template <class First, class Second>
struct select_of
{
    basic_choice<model::atomics<>> choice;
    model::sleeping_place ended;
    First first;
    Second second;

    select_of()
    {
        join(first, 1);
        join(second, 2);
    }

    template <class Node>
    void join(Node& node, std::uint8_t number)
    {
        node.on_complete.context = &choice;
        node.case_number = number;
        node.select = &ended;
    }

    /// Starts the cases one after the other, waits for the first to end, withdraws the other one.
    /// Gives the number of the chosen case.
    template <class FirstChannel, class SecondChannel>
    std::size_t run(FirstChannel& of_first, SecondChannel& of_second)
    {
        const bool first_waits = !of_first.attempt(first);
        bool second_waits = false;
        if (choice.index() == choice.undecided)
        {
            second_waits = !of_second.attempt(second);
        }
        while (choice.index() == choice.undecided)
        {
            ended.sleep();
        }
        finish(of_first, first, first_waits);
        finish(of_second, second, second_waits);
        const auto chosen = choice.index();
        model::expect((first.status == wait_status::granted ||
                       first.status == wait_status::closed) == (chosen == 0),
                      "the first case has taken effect if it was chosen");
        model::expect((second.status == wait_status::granted ||
                       second.status == wait_status::closed) == (chosen == 1),
                      "the second case has taken effect if it was chosen");
        return chosen;
    }

private:
    template <class Channel, class Node>
    static void finish(Channel& channel, Node& node, bool waits)
    {
        if (waits)
        {
            static_cast<void>(channel.withdraw(node));
            node.place.sleep(); // whoever took it out of the queue wakes it
        }
    }
};

template <class State>
struct pair_of_channels
{
    explicit pair_of_channels(std::size_t capacity) : left(capacity), right(capacity) {}

    channel<State> left;
    channel<State> right;
};

// Values go through in order, also when there is no room for all.
template <class State>
void pass_through(model::scenario& program)
{
    struct fixture : channel<State>
    {
        fixture() : channel<State>(1) {}
        std::array<item, 3> values{item(1), item(2), item(3)};
        std::array<sending, 3> sends;
        std::array<receiving, 3> receives;
    };
    auto shared = std::make_shared<fixture>();
    program.thread([=] {
        for (std::size_t index = 0; index < 3; ++index)
        {
            shared->sends[index].source = &shared->values[index];
            model::expect(shared->perform(shared->sends[index]) == wait_status::granted, "sent");
        }
    });
    program.thread([=] {
        for (int number = 1; number <= 3; ++number)
        {
            auto& node = shared->receives[static_cast<std::size_t>(number - 1)];
            model::expect(shared->perform(node) == wait_status::granted, "received");
            model::expect(node.value->number() == number, "in order");
        }
    });
    program.at_end([=] { model::expect(shared->drain() == 0, "nothing is left"); });
}

// A stop request against the other side, and against closing.
template <class State>
void stop_and_close(model::scenario& program)
{
    struct fixture : channel<State>
    {
        fixture() : channel<State>(0) {}
        item value{5};
        sending send;
        receiving receive;
    };
    auto shared = std::make_shared<fixture>();
    shared->send.source = &shared->value;
    program.thread([=] { static_cast<void>(shared->perform(shared->send)); });
    program.thread([=] { static_cast<void>(shared->perform(shared->receive)); });
    program.thread([=] {
        static_cast<void>(shared->withdraw(shared->receive));
        shared->close();
    });
    program.at_end([=] {
        const bool sent = shared->send.status == wait_status::granted;
        const bool received = shared->receive.status == wait_status::granted;
        model::expect(sent == received, "both or none");
        model::expect((shared->value.number() == 5) == !sent, "a value is in one place");
        model::expect(!received || shared->receive.value->number() == 5, "and arrives whole");
    });
}

// A stop request while nothing else happens.
template <class State>
void stop_alone(model::scenario& program)
{
    struct fixture : channel<State>
    {
        fixture() : channel<State>(1) {}
        receiving receive;
    };
    auto shared = std::make_shared<fixture>();
    program.thread([=] {
        model::expect(shared->perform(shared->receive) == wait_status::cancelled, "it ends");
    });
    program.thread([=] { static_cast<void>(shared->withdraw(shared->receive)); });
}

// A select sends to a full channel, in which somebody makes room, or to one that has room: one value
// is sent.
template <class State>
void send_to_two(model::scenario& program)
{
    struct fixture : pair_of_channels<State>
    {
        fixture() : pair_of_channels<State>(1) {}
        select_of<sending, sending> select;
        std::array<item, 3> values{item(1), item(10), item(100)};
        sending before;
        receiving receive;
        std::size_t chosen = 9;
    };
    auto shared = std::make_shared<fixture>();
    shared->select.first.source = &shared->values[0];
    shared->select.second.source = &shared->values[1];
    shared->before.source = &shared->values[2];
    static_cast<void>(shared->left.attempt(shared->before));
    program.thread([=] { shared->chosen = shared->select.run(shared->left, shared->right); });
    program.thread([=] {
        model::expect(shared->left.perform(shared->receive) == wait_status::granted, "it is there");
        model::expect(shared->receive.value->number() == 100, "what was there first");
    });
    program.at_end([=] {
        model::expect(shared->left.drain() == (shared->chosen == 0 ? 1 : 0), "in one channel");
        model::expect(shared->right.drain() == (shared->chosen == 1 ? 10 : 0), "or the other");
        model::expect(shared->values[1 - shared->chosen].number() != 0, "the other is untouched");
    });
}

// A select receives from two channels that two others send to: one value is taken.
template <class State>
void receive_from_two(model::scenario& program)
{
    struct fixture : pair_of_channels<State>
    {
        fixture() : pair_of_channels<State>(1) {}
        select_of<receiving, receiving> select;
        std::array<item, 2> values{item(1), item(10)};
        std::array<sending, 2> sends;
        int taken = 0;
    };
    auto shared = std::make_shared<fixture>();
    program.thread([=] {
        const auto chosen = shared->select.run(shared->left, shared->right);
        const auto& taken = chosen == 0 ? shared->select.first : shared->select.second;
        shared->taken = taken.value->number();
    });
    for (std::size_t side = 0; side < 2; ++side)
    {
        program.thread([=] {
            shared->sends[side].source = &shared->values[side];
            auto& channel = side == 0 ? shared->left : shared->right;
            model::expect(channel.perform(shared->sends[side]) == wait_status::granted,
                          "there is room");
        });
    }
    program.at_end([=] {
        model::expect(shared->taken == 1 || shared->taken == 10, "one value");
        model::expect(shared->taken + shared->left.drain() + shared->right.drain() == 11,
                      "the other one is where it was");
    });
}

// A select sends to one channel or receives from another, each of which somebody waits for behind
// or before it: what the select does not take goes to them.
template <class State>
void send_or_receive(model::scenario& program)
{
    struct fixture : pair_of_channels<State>
    {
        fixture() : pair_of_channels<State>(0) {}
        select_of<sending, receiving> select;
        std::array<item, 2> values{item(1), item(10)};
        receiving left_receive;
        sending right_send;
        std::size_t chosen = 9;
    };
    auto shared = std::make_shared<fixture>();
    shared->select.first.source = &shared->values[0];
    shared->right_send.source = &shared->values[1];
    program.thread([=] {
        shared->chosen = shared->select.run(shared->left, shared->right);
        // The other side is not left alone.
        if (shared->chosen == 0)
        {
            receiving rest;
            model::expect(shared->right.perform(rest) == wait_status::granted, "it waits");
            model::expect(rest.value->number() == 10, "with its value");
        }
        else
        {
            sending rest;
            rest.source = &shared->values[0];
            model::expect(shared->left.perform(rest) == wait_status::granted, "it waits");
        }
    });
    program.thread([=] {
        model::expect(shared->left.perform(shared->left_receive) == wait_status::granted,
                      "it gets the value");
        model::expect(shared->left_receive.value->number() == 1, "unharmed");
    });
    program.thread([=] {
        model::expect(shared->right.perform(shared->right_send) == wait_status::granted,
                      "it gets rid of the value");
    });
}

// Two selects face each other on two channels without room, and start their cases in opposite
// order. They agree on one of them.
template <class State>
void face_to_face(model::scenario& program)
{
    struct fixture : pair_of_channels<State>
    {
        fixture() : pair_of_channels<State>(0) {}
        select_of<sending, receiving> one;   // sends left, receives right
        select_of<sending, receiving> other; // sends right, receives left
        std::array<item, 2> values{item(1), item(10)};
        std::array<std::size_t, 2> chosen{};
    };
    auto shared = std::make_shared<fixture>();
    shared->one.first.source = &shared->values[0];
    shared->other.first.source = &shared->values[1];
    program.thread([=] { shared->chosen[0] = shared->one.run(shared->left, shared->right); });
    program.thread([=] { shared->chosen[1] = shared->other.run(shared->right, shared->left); });
    program.at_end([=] {
        model::expect(shared->chosen[0] != shared->chosen[1], "one sends, one receives");
        const auto& received = shared->chosen[0] == 0 ? shared->other.second : shared->one.second;
        model::expect(received.value->number() == (shared->chosen[0] == 0 ? 1 : 10), "the value");
    });
}

// A select on both ends of one channel does not meet itself, but whoever else comes.
template <class State>
void meet_others_only(model::scenario& program)
{
    struct fixture : channel<State>
    {
        fixture() : channel<State>(0) {}
        select_of<sending, receiving> select;
        std::array<item, 2> values{item(1), item(10)};
        sending send;
        std::size_t chosen = 9;
    };
    auto shared = std::make_shared<fixture>();
    shared->select.first.source = &shared->values[0];
    shared->send.source = &shared->values[1];
    program.thread([=] { shared->chosen = shared->select.run(*shared, *shared); });
    program.thread([=] {
        model::expect(shared->perform(shared->send) == wait_status::granted, "somebody receives");
    });
    program.at_end([=] {
        model::expect(shared->chosen == 1, "the receive");
        model::expect(shared->select.second.value->number() == 10, "of the other one's value");
        model::expect(shared->values[0].number() == 1, "its own is untouched");
    });
}

// One channel closes while the other gets a value: one outcome, and the value is not lost.
template <class State>
void close_against_send(model::scenario& program)
{
    struct fixture : pair_of_channels<State>
    {
        fixture() : pair_of_channels<State>(1) {}
        select_of<receiving, receiving> select;
        item value{10};
        sending send;
        std::size_t chosen = 9;
    };
    auto shared = std::make_shared<fixture>();
    shared->send.source = &shared->value;
    program.thread([=] { shared->chosen = shared->select.run(shared->left, shared->right); });
    program.thread([=] { shared->left.close(); });
    program.thread([=] { static_cast<void>(shared->right.perform(shared->send)); });
    program.at_end([=] {
        model::expect(shared->right.drain() == (shared->chosen == 0 ? 10 : 0),
                      "the value is in one place");
    });
}

template <class Weakening = model::as_written>
using shipped_state = channel_state<item, ring_store<item>, model::atomics<Weakening>>;
using shipped = shipped_state<>;

template <template <class, class, class> class State>
bool is_caught_somewhere(const model::options& bounds)
{
    using subject = State<item, ring_store<item>, model::atomics<>>;
    constexpr std::array scenarios = {
        &pass_through<subject>,       &stop_and_close<subject>, &receive_from_two<subject>,
        &send_or_receive<subject>,    &face_to_face<subject>,   &meet_others_only<subject>,
        &close_against_send<subject>, &stop_alone<subject>,     &send_to_two<subject>};
    return model::is_caught(bounds, scenarios);
}

constexpr model::options bounds{.preemptions = 4, .old_values = 1};
constexpr model::options mutant_bounds{.preemptions = 2, .old_values = 0};

} // namespace

TEST_CASE("channel: values pass in order", "[model][channel]")
{
    model::check_clean(bounds, &pass_through<shipped>);
}

TEST_CASE("channel: a stop request and the end meet a transfer", "[model][channel]")
{
    model::check_clean(bounds, &stop_and_close<shipped>);
}

TEST_CASE("channel: a stop request ends a wait", "[model][channel]")
{
    model::check_clean(bounds, &stop_alone<shipped>);
}

TEST_CASE("channel: a select sends to one of two", "[model][channel][select]")
{
    model::check_clean(bounds, &send_to_two<shipped>);
}

TEST_CASE("channel: a select receives from one of two", "[model][channel][select]")
{
    model::check_clean(bounds, &receive_from_two<shipped>);
}

TEST_CASE("channel: a select sends or receives", "[model][channel][select]")
{
    model::check_clean(bounds, &send_or_receive<shipped>);
}

TEST_CASE("channel: two selects face each other", "[model][channel][select]")
{
    model::check_clean(bounds, &face_to_face<shipped>);
}

TEST_CASE("channel: a select does not meet itself", "[model][channel][select]")
{
    model::check_clean(bounds, &meet_others_only<shipped>);
}

TEST_CASE("channel: one case closes, another gets a value", "[model][channel][select]")
{
    model::check_clean(bounds, &close_against_send<shipped>);
}

TEST_CASE("channel: weakened orders are caught", "[model][channel][mutant]")
{
    const auto caught = []<class Weakening>(Weakening) {
        constexpr std::array scenarios = {&pass_through<shipped_state<Weakening>>,
                                          &stop_and_close<shipped_state<Weakening>>};
        return model::is_caught(mutant_bounds, scenarios);
    };
    CHECK(caught(model::relaxed_stores()));
    CHECK(caught(model::unacquired_modifications()));
    CHECK(caught(model::torn_modifications()));
}

TEST_CASE("channel: changed steps are caught", "[model][channel][mutant]")
{
    CHECK(
        is_caught_somewhere<mutants::channel_state_sends_unclaimed::channel_state>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::channel_state_receives_unclaimed::channel_state>(
        mutant_bounds));
    CHECK(is_caught_somewhere<mutants::channel_state_closes_losers::channel_state>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::channel_state_overtakes::channel_state>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::channel_state_sender_stays_behind::channel_state>(
        mutant_bounds));
    CHECK(is_caught_somewhere<mutants::channel_state_deaf_to_stop::channel_state>(mutant_bounds));
}
