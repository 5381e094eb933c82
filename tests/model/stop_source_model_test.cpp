// The stop source under all schedules within the bounds: each callback runs at most once, never
// after its destructor returned, and always when it was registered and not removed.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <blitzio/io/stop_token.hpp>

#include "mutants/stop_token_call_named_unlocked.hpp"
#include "mutants/stop_token_destructor_does_not_wait.hpp"
#include "mutants/stop_token_drain_read_unlocked.hpp"
#include "mutants/stop_token_drain_stays_reachable.hpp"
#include "mutants/stop_token_last_call_is_not_awaited.hpp"
#include "mutants/stop_token_late_callback_is_missed.hpp"
#include "mutants/stop_token_second_request_counts.hpp"
#include "mutants/stop_token_touches_after_call.hpp"
#include "mutants/stop_token_waits_for_itself.hpp"
#include "mutants/stop_token_waits_with_lock.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <new>

namespace
{

namespace mutants = blitzio::mutants;

// The types under test, shipped or mutated, over one kind of modelled atomics.
#define BLITZIO_STOP_SUBJECT(name, where)                                       \
    template <class Atomics>                                                    \
    struct name                                                                 \
    {                                                                           \
        using source = where::detail::basic_stop_source<Atomics>;               \
        template <class Callback>                                               \
        using callback = where::detail::basic_stop_callback<Atomics, Callback>; \
        using reason = where::stop_reason;                                      \
    }
BLITZIO_STOP_SUBJECT(shipped, blitzio);
BLITZIO_STOP_SUBJECT(no_wait, mutants::stop_token_destructor_does_not_wait);
BLITZIO_STOP_SUBJECT(locked_wait, mutants::stop_token_waits_with_lock);
BLITZIO_STOP_SUBJECT(unlocked_name, mutants::stop_token_call_named_unlocked);
BLITZIO_STOP_SUBJECT(stale_drain, mutants::stop_token_drain_stays_reachable);
BLITZIO_STOP_SUBJECT(unawaited_last, mutants::stop_token_last_call_is_not_awaited);
BLITZIO_STOP_SUBJECT(unlocked_read, mutants::stop_token_drain_read_unlocked);
BLITZIO_STOP_SUBJECT(self_wait, mutants::stop_token_waits_for_itself);
BLITZIO_STOP_SUBJECT(missed, mutants::stop_token_late_callback_is_missed);
BLITZIO_STOP_SUBJECT(late_touch, mutants::stop_token_touches_after_call);
BLITZIO_STOP_SUBJECT(second_request, mutants::stop_token_second_request_counts);
#undef BLITZIO_STOP_SUBJECT

// Memory for one callback object. After the destructor its bytes are dead for the model.
template <class Callback>
class callback_slot
{
public:
    template <class Token, class Action>
    void create(Token token, Action action)
    {
        object_ = ::new (static_cast<void*>(bytes_)) Callback(token, action);
    }

    void destroy()
    {
        object_->~Callback();
        model::retire(bytes_, sizeof(bytes_));
    }

private:
    alignas(Callback) std::byte bytes_[sizeof(Callback)];
    Callback* object_ = nullptr;
};

template <class Subject>
struct fixture
{
    struct action
    {
        fixture* owner;
        std::size_t index;

        void operator()() const
        {
            owner->on_stop(index);
        }
    };
    using callback = typename Subject::template callback<action>;

    typename Subject::source source;
    std::array<callback_slot<callback>, 2> slots;
    std::array<model::cell<int>, 2> calls;
    model::cell<int> before_request{0};
    std::size_t destroys_itself = 2; // the index of the callback that does, if any
    std::size_t destroys_other = 2;
    model::atomic<int> requests_won{0};

    void on_stop(std::size_t index)
    {
        model::expect(source.stop_requested(), "a callback runs after the request");
        model::expect(source.reason() == Subject::reason::deadline, "the first reason counts");
        calls[index].set(calls[index].get() + 1);
        if (index == destroys_itself)
        {
            slots[index].destroy();
        }
        if (index == destroys_other)
        {
            slots[1 - index].destroy();
        }
    }

    void create(std::size_t index)
    {
        slots[index].create(source.get_token(), action{this, index});
    }

    // On a thread of the scenario, whose stack holds nothing else of the model: what the request
    // left there is dead when it returns.
    void request()
    {
        const bool won = source.request_stop(Subject::reason::deadline);
        constexpr std::size_t reach = 4096;
        auto* const top = static_cast<std::byte*>(__builtin_frame_address(0));
        model::retire(top - reach, reach);
        if (won)
        {
            requests_won.fetch_add(1, std::memory_order_relaxed);
        }
    }

    void expect_calls(std::size_t index, int least, int most)
    {
        const int seen = calls[index].get();
        model::expect(seen >= least && seen <= most, "the number of calls");
    }
};

// Registered, removed, and all the while somebody requests the stop. After the removal the owner
// may touch what the callback touches.
template <class Subject>
void request_against_lifetime(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Subject>>();
    program.thread([=] { shared->request(); });
    program.thread([=] {
        shared->create(0);
        shared->slots[0].destroy();
        shared->expect_calls(0, 0, 1);
    });
    program.at_end([=] {
        model::expect(shared->source.stop_requested());
        shared->expect_calls(0, 0, 1);
    });
}

// A callback that is kept is called exactly once, whoever comes first.
template <class Subject>
void request_against_registration(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Subject>>();
    program.thread([=] { shared->request(); });
    program.thread([=] { shared->create(0); });
    program.thread([=] { shared->create(1); });
    program.at_end([=] {
        shared->expect_calls(0, 1, 1);
        shared->expect_calls(1, 1, 1);
        shared->slots[0].destroy();
        shared->slots[1].destroy();
    });
}

// Two neighbours in the list: one goes while the other is called.
template <class Subject>
void two_callbacks(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Subject>>();
    shared->create(0);
    shared->create(1);
    program.thread([=] { shared->request(); });
    program.thread([=] {
        shared->slots[0].destroy();
        shared->expect_calls(0, 0, 1);
    });
    program.thread([=] {
        shared->slots[1].destroy();
        shared->expect_calls(1, 0, 1);
    });
}

// A callback destroys itself or its neighbour while it runs, as a frame does that it ends.
template <class Subject, bool Other>
void destroyed_from_within(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Subject>>();
    if (Other)
    {
        shared->create(0);
        shared->create(1);
        shared->destroys_other = 1; // called first, being the newest
    }
    else
    {
        shared->destroys_itself = 0;
        shared->create(0);
    }
    program.thread([=] { shared->request(); });
    program.thread([=] { static_cast<void>(shared->source.stop_requested()); });
    program.at_end([=] {
        if (Other)
        {
            shared->slots[1].destroy();
        }
        shared->expect_calls(0, Other ? 0 : 1, Other ? 0 : 1);
    });
}

// Two requests: one wins, its reason stays, and what it wrote before is seen with the request.
template <class Subject>
void two_requests(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Subject>>();
    shared->create(0);
    for (int thread = 0; thread < 2; ++thread)
    {
        program.thread([=] { shared->request(); });
    }
    program.at_end([=] {
        model::expect(shared->requests_won.load(std::memory_order_relaxed) == 1);
        shared->expect_calls(0, 1, 1);
        shared->slots[0].destroy();
    });
}

template <class Subject>
void request_publishes(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Subject>>();
    program.thread([=] {
        shared->before_request.set(1);
        shared->request();
    });
    program.thread([=] {
        if (shared->source.stop_requested())
        {
            model::expect(shared->before_request.get() == 1);
            model::expect(shared->source.reason() == Subject::reason::deadline);
        }
    });
}

template <template <class> class Subject, class Weakening = model::as_written>
bool is_caught_somewhere(const model::options& bounds)
{
    using subject = Subject<model::atomics<Weakening>>;
    constexpr std::array scenarios = {&request_against_lifetime<subject>,
                                      &request_against_registration<subject>,
                                      &two_callbacks<subject>,
                                      &destroyed_from_within<subject, false>,
                                      &destroyed_from_within<subject, true>,
                                      &two_requests<subject>,
                                      &request_publishes<subject>};
    return model::is_caught(bounds, scenarios);
}

constexpr model::options bounds{.preemptions = 3, .old_values = 1};
// Mutants fail early; those that only fail late show in smaller bounds too, and sooner.
constexpr model::options mutant_bounds{.preemptions = 2, .old_values = 1};
using subject = shipped<model::atomics<>>;

} // namespace

TEST_CASE("stop source: request against a callback's whole life", "[model][stop_source]")
{
    model::check_clean(bounds, &request_against_lifetime<subject>);
}

TEST_CASE("stop source: request against registration", "[model][stop_source]")
{
    model::check_clean(bounds, &request_against_registration<subject>);
}

TEST_CASE("stop source: two callbacks removed while they are called", "[model][stop_source]")
{
    model::check_clean(bounds, &two_callbacks<subject>);
}

TEST_CASE("stop source: destroyed from within", "[model][stop_source]")
{
    model::check_clean(bounds, &destroyed_from_within<subject, false>);
    model::check_clean(bounds, &destroyed_from_within<subject, true>);
}

TEST_CASE("stop source: two requests", "[model][stop_source]")
{
    model::check_clean(bounds, &two_requests<subject>);
}

TEST_CASE("stop source: a request publishes what came before", "[model][stop_source]")
{
    model::check_clean(bounds, &request_publishes<subject>);
}

TEST_CASE("stop source: weakened orders are caught", "[model][stop_source][mutant]")
{
    CHECK(is_caught_somewhere<shipped, model::relaxed_stores>(mutant_bounds));
    CHECK(is_caught_somewhere<shipped, model::relaxed_loads>(mutant_bounds));
    CHECK(is_caught_somewhere<shipped, model::unacquired_modifications>(mutant_bounds));
    CHECK(is_caught_somewhere<shipped, model::unreleased_modifications>(mutant_bounds));
    CHECK(is_caught_somewhere<shipped, model::torn_modifications>(mutant_bounds));
}

TEST_CASE("stop source: changed steps are caught", "[model][stop_source][mutant]")
{
    CHECK(is_caught_somewhere<no_wait>(mutant_bounds));
    CHECK(is_caught_somewhere<locked_wait>(mutant_bounds));
    CHECK(is_caught_somewhere<unlocked_name>(mutant_bounds));
    CHECK(is_caught_somewhere<stale_drain>(mutant_bounds));
    CHECK(is_caught_somewhere<unawaited_last>(mutant_bounds));
    CHECK(is_caught_somewhere<unlocked_read>(mutant_bounds));
    CHECK(is_caught_somewhere<self_wait>(mutant_bounds));
    CHECK(is_caught_somewhere<missed>(mutant_bounds));
    CHECK(is_caught_somewhere<late_touch>(mutant_bounds));
    CHECK(is_caught_somewhere<second_request>(mutant_bounds));
}
