// The spin lock under all schedules: one thread at a time is inside and sees what the one before
// has left.
#include "model/atomics.hpp"
#include "model/verdicts.hpp"

#include <blitzio/io/detail/spin_lock.hpp>

#include "mutants/spin_lock_enters_without_asking.hpp"
#include "mutants/spin_lock_never_opens.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <memory>

namespace
{

using blitzio::detail::basic_spin_lock;
namespace mutants = blitzio::mutants;

template <class Lock>
void count_under_lock(model::scenario& program)
{
    struct fixture
    {
        Lock lock;
        model::cell<int> count{0};
    };
    auto shared = std::make_shared<fixture>();
    for (int thread = 0; thread < 2; ++thread)
    {
        program.thread([=] {
            shared->lock.lock();
            shared->count.set(shared->count.get() + 1);
            shared->lock.unlock();
        });
    }
    program.at_end([=] { model::expect(shared->count.get() == 2); });
}

template <template <class> class Lock, class Weakening = model::as_written>
bool is_caught_somewhere(const model::options& bounds)
{
    constexpr std::array scenarios = {&count_under_lock<Lock<model::atomics<Weakening>>>};
    return model::is_caught(bounds, scenarios);
}

constexpr model::options bounds{.preemptions = 4, .old_values = 2};

} // namespace

TEST_CASE("spin lock: one at a time", "[model][spin_lock]")
{
    model::check_clean(bounds, &count_under_lock<basic_spin_lock<model::atomics<>>>);
}

TEST_CASE("spin lock: weakened orders and changed steps are caught", "[model][spin_lock][mutant]")
{
    CHECK(is_caught_somewhere<basic_spin_lock, model::relaxed_stores>(bounds));
    CHECK(is_caught_somewhere<basic_spin_lock, model::unacquired_modifications>(bounds));
    CHECK(is_caught_somewhere<basic_spin_lock, model::torn_modifications>(bounds));
    CHECK(is_caught_somewhere<mutants::spin_lock_enters_without_asking::basic_spin_lock>(bounds));
    CHECK(is_caught_somewhere<mutants::spin_lock_never_opens::basic_spin_lock>(bounds));
}
