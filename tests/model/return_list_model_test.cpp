// The return list under all schedules within the bounds: whatever is given back reaches the owner
// or is counted after its end, and exactly one party learns that it is the last.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <blitzio/io/detail/return_list.hpp>

#include "mutants/return_list_end_forgets.hpp"
#include "mutants/return_list_late_ones_queue.hpp"
#include "mutants/return_list_nobody_is_last.hpp"
#include "mutants/return_list_push_loses_chain.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cstddef>
#include <memory>

namespace
{

using blitzio::detail::return_list;
using blitzio::detail::return_node;
using blitzio::detail::return_outcome;
namespace mutants = blitzio::mutants;

struct loan : return_node
{
    model::cell<int> payload{0};
};

template <class List>
struct fixture
{
    List list;
    std::array<loan, 3> loans;
    model::cell<int> memory{0}; // what the last one frees
    std::size_t out = 3;        // owner only
    model::atomic<int> frees{0};

    void free_all()
    {
        memory.set(1);
        for (loan& each : loans)
        {
            model::expect(each.payload.get() != 0, "all use comes before the end");
        }
        frees.fetch_add(1, std::memory_order_relaxed);
    }

    void give_back(std::size_t index)
    {
        loans[index].payload.set(2);
        if (list.give_back(loans[index]) == return_outcome::last)
        {
            free_all();
        }
    }

    void take_in(return_node* chain)
    {
        while (chain != nullptr)
        {
            model::expect(out > 0, "nothing comes back twice");
            --out;
            auto& back = static_cast<loan&>(*chain);
            model::expect(back.payload.get() == 2, "what comes back is complete");
            chain = model::atomics<>::load_plain(chain->next);
        }
    }

    void end()
    {
        take_in(list.take_last());
        if (list.end(static_cast<std::int64_t>(out)))
        {
            free_all();
        }
    }

    void settle()
    {
        model::expect(frees.load(std::memory_order_relaxed) == 1, "exactly one is the last");
    }
};

template <class List>
void owner_ends_among_givers(model::scenario& program)
{
    auto shared = std::make_shared<fixture<List>>();
    program.thread([=] {
        shared->take_in(shared->list.take_all());
        shared->end();
    });
    program.thread([=] {
        shared->give_back(0);
        shared->give_back(1);
    });
    program.thread([=] { shared->give_back(2); });
    program.at_end([=] { shared->settle(); });
}

template <class List>
void owner_ends_at_once(model::scenario& program)
{
    auto shared = std::make_shared<fixture<List>>();
    program.thread([=] { shared->end(); });
    program.thread([=] { shared->give_back(0); });
    program.thread([=] {
        shared->give_back(1);
        shared->give_back(2);
    });
    program.at_end([=] { shared->settle(); });
}

template <template <class> class List, class Weakening = model::as_written>
bool is_caught_somewhere(const model::options& bounds)
{
    using subject = List<model::atomics<Weakening>>;
    constexpr std::array scenarios = {&owner_ends_among_givers<subject>,
                                      &owner_ends_at_once<subject>};
    return model::is_caught(bounds, scenarios);
}

constexpr model::options bounds{.preemptions = 4, .old_values = 2};
constexpr model::options mutant_bounds{.preemptions = 2, .old_values = 1};
using shipped = return_list<model::atomics<>>;

} // namespace

TEST_CASE("return list: the owner takes, then ends among givers", "[model][return_list]")
{
    model::check_clean(bounds, &owner_ends_among_givers<shipped>);
}

TEST_CASE("return list: the owner ends at once", "[model][return_list]")
{
    model::check_clean(bounds, &owner_ends_at_once<shipped>);
}

TEST_CASE("return list: weakened orders are caught", "[model][return_list][mutant]")
{
    CHECK(is_caught_somewhere<return_list, model::unreleased_modifications>(mutant_bounds));
    CHECK(is_caught_somewhere<return_list, model::unacquired_modifications>(mutant_bounds));
    CHECK(is_caught_somewhere<return_list, model::torn_modifications>(mutant_bounds));
}

TEST_CASE("return list: changed steps are caught", "[model][return_list][mutant]")
{
    CHECK(is_caught_somewhere<mutants::return_list_nobody_is_last::return_list>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::return_list_late_ones_queue::return_list>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::return_list_end_forgets::return_list>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::return_list_push_loses_chain::return_list>(mutant_bounds));
}
