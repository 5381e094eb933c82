// The places of a parallel stage under all schedules within the bounds: each value is computed once and
// given on once, in order where that is asked for; the feeder, the consumer and the workers are all let
// go; nothing happens to the ring after the last worker has gone.
#include "model/atomics.hpp"
#include "model/no_progress.hpp"
#include "model/verdicts.hpp"

#include <blitzio/bridge/detail/par_ring.hpp>

#include "mutants/par_ring_asks_in_two_steps.hpp"
#include "mutants/par_ring_closes_deafly.hpp"
#include "mutants/par_ring_counts_nobody.hpp"
#include "mutants/par_ring_ends_before_workers.hpp"
#include "mutants/par_ring_forgets_to_go.hpp"
#include "mutants/par_ring_holds_back_for_ever.hpp"
#include "mutants/par_ring_keeps_bytes.hpp"
#include "mutants/par_ring_keeps_room_secret.hpp"
#include "mutants/par_ring_overtakes.hpp"
#include "mutants/par_ring_takes_in_two_steps.hpp"
#include "mutants/par_ring_tells_nobody_of_end.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cstddef>
#include <memory>
#include <system_error>

namespace
{

using blitzio::detail::runnable;
namespace mutants = blitzio::mutants;

/// A mutant's cells, workers and waits are its own types, like the ring.
template <class Function>
struct first_argument;
template <class Result, class Ring, class First, class... Others>
struct first_argument<Result (Ring::*)(First&, Others...) noexcept>
{
    using type = First;
};

template <class Ring>
struct types_of
{
    using cell = typename first_argument<decltype(&Ring::add_cell)>::type;
    using worker = typename first_argument<decltype(&Ring::add_worker)>::type;
    using feeder_wait = typename first_argument<decltype(&Ring::ask)>::type;
    using consumer_wait = typename first_argument<decltype(&Ring::take)>::type;
    using verdict = decltype(cell::verdict);
};

template <class Ring>
class fixture
{
    using par_worker = typename types_of<Ring>::worker;
    using par_feeder_wait = typename types_of<Ring>::feeder_wait;
    using par_consumer_wait = typename types_of<Ring>::consumer_wait;
    using par_verdict = typename types_of<Ring>::verdict;

    /// A cell whose value and result are plain memory.
    struct number_cell : types_of<Ring>::cell
    {
        model::cell<int> value;
        model::cell<int> result;
    };

public:
    static constexpr std::size_t cells = 2;
    static constexpr std::size_t workers = 2;

    explicit fixture(bool ordered, std::size_t bytes_max = 0, std::size_t cells_used = cells)
        : ordered_(ordered), is_bounded_(bytes_max != 0)
    {
        ring_.open({.ordered = ordered, .bytes_max = bytes_max}, nullptr);
        for (std::size_t index = 0; index < cells_used; ++index)
        {
            ring_.add_cell(cells_[index]);
        }
        for (auto& each : workers_)
        {
            ring_.add_worker(each);
        }
    }

    /// The task that feeds: values from 1 to `last`, then the end, or an error.
    void feed(int last, std::error_code error = {})
    {
        for (int number = 1; number <= last; ++number)
        {
            par_feeder_wait room;
            room.wants_cell = true;
            if (!ask(room))
            {
                break;
            }
            auto& cell = static_cast<number_cell&>(*room.cell);
            cell.value.set(number);
            if (!ask_for_bytes(cell))
            {
                break;
            }
            typename Ring::wakes woken;
            par_worker* const started = ring_.publish(cell, woken);
            wake(woken);
            if (started != nullptr)
            {
                turns_[index_of(*started)].wake();
            }
        }
        typename Ring::wakes woken;
        ring_.end_feeding(error, nullptr, woken);
        wake(woken);
        runnable node;
        if (!ring_.wait_for_workers(node))
        {
            feeder_.sleep();
        }
        consumer_left_.sleep();
        error_ = ring_.failure().first;
        // The last of feeder and consumer ends the stage. A worker may be about to sleep, but the ring
        // is nothing to it any more.
        model::retire(&ring_, sizeof(ring_));
        gone_.set(1);
        for (std::size_t index = 0; index < workers; ++index)
        {
            turns_[index].wake();
        }
    }

    /// A thread of the pool; `failing` is the value for which the function fails.
    void work(std::size_t index, int failing = 0)
    {
        par_worker& self = workers_[index];
        for (;;)
        {
            turns_[index].sleep();
            if (gone_.get() != 0)
            {
                return;
            }
            auto step = ring_.begin(self);
            wake(step.woken);
            while (step.cell != nullptr)
            {
                auto& cell = static_cast<number_cell&>(*step.cell);
                const int number = cell.value.get();
                cell.result.set(10 * number);
                const auto verdict = number == failing ? par_verdict::failed : par_verdict::value;
                step = ring_.finish(self, cell, verdict, true, false);
                wake(step.woken);
            }
        }
    }

    /// Takes results until the end, a failure, or `limit` of them; returns how many.
    int consume(int limit = 1000)
    {
        int taken = 0;
        int last = 0;
        while (taken < limit)
        {
            par_consumer_wait wish;
            typename Ring::wakes woken;
            const bool at_once = ring_.take(wish, woken);
            wake(woken);
            if (!at_once)
            {
                consumer_.sleep();
            }
            if (wish.cell == nullptr)
            {
                break;
            }
            auto& cell = static_cast<number_cell&>(*wish.cell);
            const int number = cell.result.get() / 10;
            model::expect(!ordered_ || number == last + 1, "in order");
            last = number;
            sum_ += number;
            failed_ = cell.verdict == par_verdict::failed;
            typename Ring::wakes freed;
            ring_.release(cell, freed);
            wake(freed);
            if (failed_)
            {
                break;
            }
            ++taken;
        }
        typename Ring::wakes woken;
        ring_.close(woken);
        wake(woken);
        consumer_left_.wake();
        return taken;
    }

    [[nodiscard]] int sum() const
    {
        return sum_;
    }
    [[nodiscard]] bool failed() const
    {
        return failed_;
    }
    [[nodiscard]] std::error_code error() const
    {
        return error_;
    }

private:
    bool ask_for_bytes(number_cell& cell)
    {
        par_feeder_wait bytes;
        bytes.cell = &cell;
        bytes.bytes = 1;
        return !is_bounded_ || ask(bytes);
    }

    bool ask(par_feeder_wait& wish)
    {
        if (!ring_.ask(wish))
        {
            feeder_.sleep();
        }
        return wish.granted;
    }

    void wake(const typename Ring::wakes& woken)
    {
        if (woken.feeder != nullptr)
        {
            feeder_.wake();
        }
        if (woken.consumer != nullptr)
        {
            consumer_.wake();
        }
    }

    std::size_t index_of(const par_worker& which) const
    {
        return static_cast<std::size_t>(&which - workers_.data());
    }

    bool ordered_;
    bool is_bounded_;
    Ring ring_;
    std::array<number_cell, cells> cells_;
    std::array<par_worker, workers> workers_;
    std::array<model::sleeping_place, workers> turns_;
    model::sleeping_place feeder_;
    model::sleeping_place consumer_;
    model::sleeping_place consumer_left_;
    model::cell<int> gone_;
    int sum_ = 0;
    bool failed_ = false;
    std::error_code error_;
};

template <class Ring>
using shared_fixture = std::shared_ptr<fixture<Ring>>;

template <class Ring>
void add_workers(model::scenario& program, const shared_fixture<Ring>& shared, int failing = 0)
{
    for (std::size_t index = 0; index < fixture<Ring>::workers; ++index)
    {
        program.thread([=] { shared->work(index, failing); });
    }
}

/// Two values through two cells and two workers, in order.
template <class Ring>
void in_order(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Ring>>(true);
    program.thread([=] { shared->feed(2); });
    add_workers<Ring>(program, shared);
    program.thread([=] { model::expect(shared->consume() == 2, "all that was fed"); });
    program.at_end([=] { model::expect(shared->sum() == 3, "each value once"); });
}

/// Room for one value's bytes only; the source fails behind them.
template <class Ring>
void bounded_and_unordered(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Ring>>(false, 1);
    program.thread([=] { shared->feed(2, std::make_error_code(std::errc::io_error)); });
    add_workers<Ring>(program, shared);
    program.thread([=] { model::expect(shared->consume() == 2, "all that was fed"); });
    program.at_end([=] {
        model::expect(shared->sum() == 3, "each value once");
        model::expect(shared->error() == std::errc::io_error, "and then the error");
    });
}

/// The consumer wants one result only, and the feeder has more than there is room for.
template <class Ring>
void close_early(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Ring>>(true, 0, 1);
    program.thread([=] { shared->feed(3); });
    add_workers<Ring>(program, shared);
    program.thread([=] { model::expect(shared->consume(1) == 1, "what it wanted"); });
}

/// The first value's function fails.
template <class Ring>
void fail(model::scenario& program)
{
    auto shared = std::make_shared<fixture<Ring>>(true);
    program.thread([=] { shared->feed(3); });
    add_workers<Ring>(program, shared, 1);
    program.thread([=] {
        model::expect(shared->consume() == 0, "nothing comes before it");
        model::expect(shared->failed(), "the failure is told");
    });
}

template <template <class> class Ring, class Weakening = model::as_written>
bool is_caught_somewhere(const model::options& bounds)
{
    using subject = Ring<model::atomics<Weakening>>;
    constexpr std::array scenarios = {&in_order<subject>, &bounded_and_unordered<subject>,
                                      &close_early<subject>, &fail<subject>};
    return model::is_caught(bounds, scenarios);
}

// Everything is under one lock, so there are no old values to see. Two preemptions among that many
// threads would take minutes with a sanitizer.
const model::options bounds{.preemptions = model::is_sanitized() ? 1U : 2U, .old_values = 0};
constexpr model::options mutant_bounds{.preemptions = 1, .old_values = 0};
using shipped = blitzio::detail::par_ring<model::atomics<>>;

} // namespace

TEST_CASE("parallel stage: results in order", "[model][par_ring]")
{
    model::check_clean(bounds, &in_order<shipped>);
}

TEST_CASE("parallel stage: bounded bytes, no order, a source that fails", "[model][par_ring]")
{
    model::check_clean(bounds, &bounded_and_unordered<shipped>);
}

TEST_CASE("parallel stage: the consumer closes early", "[model][par_ring]")
{
    model::check_clean(bounds, &close_early<shipped>);
}

TEST_CASE("parallel stage: a value fails", "[model][par_ring]")
{
    model::check_clean(mutant_bounds, &fail<shipped>);
}

TEST_CASE("parallel stage: weakened orders are caught", "[model][par_ring][mutant]")
{
    CHECK(is_caught_somewhere<blitzio::detail::par_ring, model::relaxed_stores>(mutant_bounds));
    CHECK(is_caught_somewhere<blitzio::detail::par_ring, model::torn_modifications>(mutant_bounds));
}

TEST_CASE("parallel stage: changed steps are caught", "[model][par_ring][mutant]")
{
    CHECK(is_caught_somewhere<mutants::par_ring_asks_in_two_steps::par_ring>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::par_ring_closes_deafly::par_ring>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::par_ring_counts_nobody::par_ring>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::par_ring_ends_before_workers::par_ring>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::par_ring_forgets_to_go::par_ring>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::par_ring_holds_back_for_ever::par_ring>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::par_ring_keeps_bytes::par_ring>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::par_ring_keeps_room_secret::par_ring>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::par_ring_overtakes::par_ring>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::par_ring_takes_in_two_steps::par_ring>(mutant_bounds));
    CHECK(is_caught_somewhere<mutants::par_ring_tells_nobody_of_end::par_ring>(mutant_bounds));
}
