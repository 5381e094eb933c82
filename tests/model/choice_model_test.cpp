// The word that decides which case of a select takes effect, under all schedules within the bounds:
// one case is chosen, two selects meet on both sides or not at all, and nobody waits for ever.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <blitzio/io/detail/choice.hpp>

#include "mutants/choice_claims_twice.hpp"
#include "mutants/choice_everybody_waits.hpp"
#include "mutants/choice_forgets_own.hpp"
#include "mutants/choice_keeps_hold.hpp"
#include "mutants/choice_overlooks_hold.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cstddef>
#include <memory>

namespace
{

using blitzio::detail::basic_choice;
namespace mutants = blitzio::mutants;

/// Several claim one select; one of them gets it.
template <class Choice>
void claim(model::scenario& program)
{
    struct fixture
    {
        Choice choice;
        std::array<bool, 3> won{};
    };
    auto shared = std::make_shared<fixture>();
    for (std::size_t index = 0; index < 3; ++index)
    {
        program.thread([=] { shared->won[index] = shared->choice.claim(index); });
    }
    program.at_end([=] {
        std::size_t winners = 0;
        for (std::size_t index = 0; index < 3; ++index)
        {
            winners += shared->won[index] ? 1 : 0;
            model::expect(shared->won[index] == (shared->choice.index() == index), "all agree");
        }
        model::expect(winners == 1, "one is chosen");
    });
}

/// The starting thread holds the select for a step that may decide it or not, while others claim.
template <class Choice>
void hold(model::scenario& program)
{
    struct fixture
    {
        Choice choice;
        model::cell<int> step{0};
        int winners = 0;
        bool held = false;
    };
    auto shared = std::make_shared<fixture>();
    program.thread([=] {
        if (shared->choice.hold())
        {
            model::expect(shared->choice.index() == Choice::undecided, "nobody decides meanwhile");
            shared->choice.let_go();
        }
        if (shared->choice.hold())
        {
            shared->held = true;
            model::expect(shared->winners == 0, "nobody has decided");
            shared->choice.settle(7);
            ++shared->winners;
        }
    });
    for (std::size_t index = 0; index < 2; ++index)
    {
        program.thread([=] {
            const bool won = shared->choice.claim(index);
            model::expect(won || shared->choice.index() != Choice::undecided,
                          "who is refused may pass what he has on to the next");
            shared->winners += won ? 1 : 0;
        });
    }
    program.at_end([=] {
        model::expect(shared->winners == 1, "one decides");
        model::expect(shared->held == (shared->choice.index() == 7), "the one that held it");
    });
}

template <class Choice>
struct circle
{
    using pair_result = typename Choice::pair_result;

    std::array<Choice, 3> selects;
    std::array<std::array<std::size_t, 3>, 3> met{}; // [starting][waiting]

    /// Select `own` starts a case (number 1 + other) that meets the waiting case (number 10 + own)
    /// of `other`.
    pair_result meet(std::size_t own, std::size_t other)
    {
        const auto outcome = Choice::claim_both(selects[own], 1 + other, selects[other], 10 + own);
        met[own][other] += outcome == pair_result::both ? 1 : 0;
        return outcome;
    }

    /// What each pair believes is what both words say.
    void check(std::size_t count)
    {
        std::size_t pairs = 0;
        for (std::size_t own = 0; own < count; ++own)
        {
            for (std::size_t other = 0; other < count; ++other)
            {
                if (met[own][other] != 0)
                {
                    ++pairs;
                    model::expect(selects[own].index() == 1 + other, "the one that came agrees");
                    model::expect(selects[other].index() == 10 + own, "the one that waited agrees");
                }
            }
        }
        model::expect(pairs <= 1, "each select is in one pair");
    }
};

/// Two selects start a case each that meets a waiting case of the other one.
template <class Choice>
void two_meet(model::scenario& program)
{
    using pair_result = typename Choice::pair_result;
    auto shared = std::make_shared<circle<Choice>>();
    for (std::size_t own = 0; own < 2; ++own)
    {
        program.thread([=] {
            const auto outcome = shared->meet(own, 1 - own);
            model::expect(outcome != pair_result::other_lost ||
                              shared->selects[own].index() != Choice::undecided,
                          "who lost one to the other has met it");
        });
    }
    program.at_end([=] {
        shared->check(2);
        model::expect(shared->met[0][1] + shared->met[1][0] == 1, "they meet once");
    });
}

/// Three in a circle, each of which waits for the next.
template <class Choice>
void three_meet(model::scenario& program)
{
    auto shared = std::make_shared<circle<Choice>>();
    for (std::size_t own = 0; own < 3; ++own)
    {
        program.thread([=] { static_cast<void>(shared->meet(own, (own + 1) % 3)); });
    }
    program.at_end([=] {
        shared->check(3);
        std::size_t left = 0;
        for (const auto& each : shared->selects)
        {
            left += each.index() == Choice::undecided ? 1 : 0;
        }
        model::expect(left == 1, "one is left alone, and can still be chosen");
    });
}

/// A meeting against somebody who claims the one that comes, and one who claims the one that waits.
template <class Choice>
void meet_against_claims(model::scenario& program)
{
    struct fixture : circle<Choice>
    {
        std::array<bool, 2> claimed{};
    };
    auto shared = std::make_shared<fixture>();
    program.thread([=] { static_cast<void>(shared->meet(0, 1)); });
    for (std::size_t index = 0; index < 2; ++index)
    {
        program.thread([=] { shared->claimed[index] = shared->selects[index].claim(20); });
    }
    program.at_end([=] {
        shared->check(2);
        const bool met = shared->met[0][1] == 1;
        model::expect(!met || (!shared->claimed[0] && !shared->claimed[1]), "both or none");
        model::expect(met || shared->claimed[0] || shared->claimed[1], "somebody wins");
        for (std::size_t index = 0; index < 2; ++index)
        {
            model::expect(shared->claimed[index] == (shared->selects[index].index() == 20),
                          "a claim holds");
        }
    });
}

template <template <class> class Choice, class Weakening = model::as_written>
bool is_caught_somewhere(const model::options& bounds)
{
    using subject = Choice<model::atomics<Weakening>>;
    constexpr std::array scenarios = {&claim<subject>, &hold<subject>, &two_meet<subject>,
                                      &three_meet<subject>, &meet_against_claims<subject>};
    return model::is_caught(bounds, scenarios);
}

constexpr model::options bounds{.preemptions = 3, .old_values = 1};
constexpr model::options mutant_bounds{.preemptions = 2, .old_values = 1};
using shipped = basic_choice<model::atomics<>>;

} // namespace

TEST_CASE("choice: one of several claims wins", "[model][select]")
{
    model::check_clean(bounds, &claim<shipped>);
}

TEST_CASE("choice: nobody decides while it is held", "[model][select]")
{
    model::check_clean(bounds, &hold<shipped>);
}

TEST_CASE("choice: two selects meet", "[model][select]")
{
    model::check_clean(bounds, &two_meet<shipped>);
}

TEST_CASE("choice: three selects in a circle", "[model][select]")
{
    model::check_clean(bounds, &three_meet<shipped>);
}

TEST_CASE("choice: a meeting against claims of both sides", "[model][select]")
{
    model::check_clean(bounds, &meet_against_claims<shipped>);
}

TEST_CASE("choice: weakened steps are caught", "[model][select][mutant]")
{
    CHECK(is_caught_somewhere<basic_choice, model::torn_modifications>(mutant_bounds));
}

TEST_CASE("choice: changed steps are caught", "[model][select][mutant]")
{
    CHECK(is_caught_somewhere<mutants::choice_claims_twice::basic_choice>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::choice_everybody_waits::basic_choice>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::choice_forgets_own::basic_choice>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::choice_keeps_hold::basic_choice>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::choice_overlooks_hold::basic_choice>(mutant_bounds));
}
