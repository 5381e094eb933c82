// Runs the rows of a table in every manner on every driver. Thread rule: the test's thread.
#include "conformance/outcome_table.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <cerrno>

namespace blitzio::conformance
{

namespace
{

enum class manner
{
    plain,
    cancellable,
    cancelled_at_once,
    cancelled_afterwards,
};

constexpr std::array manners{manner::plain, manner::cancellable, manner::cancelled_at_once,
                             manner::cancelled_afterwards};

const char* name_of(manner how)
{
    switch (how)
    {
    case manner::plain: return "plain";
    case manner::cancellable: return "cancellable";
    case manner::cancelled_at_once: return "cancelled at once";
    case manner::cancelled_afterwards: return "cancelled afterwards";
    }
    return "";
}

void check_row(world& where, const outcome_row& row, manner how)
{
    INFO(row.name << ", " << name_of(how));
    stage scene(where);
    request wanted(row.kind);
    row.arrange(scene, wanted);
    wanted.cancellable = how != manner::plain;
    where.start(wanted);
    if (how == manner::cancelled_at_once)
    {
        where.cancel(wanted);
    }
    const std::int32_t result = where.finish(wanted);
    if (how == manner::cancelled_afterwards)
    {
        CHECK_FALSE(wanted.state.request_cancel());
    }
    where.settle();
    CHECK(wanted.times_continued == 1);
    const bool gives_descriptor = row.kind == op_kind::open || row.kind == op_kind::accept;
    if (gives_descriptor && result >= 0)
    {
        static_cast<void>(scene.own(result));
    }
    if (how == manner::cancelled_at_once && result == -ECANCELED)
    {
        // A close cannot be taken back: the descriptor is gone.
        CHECK(row.kind != op_kind::close);
        return;
    }
    if (row.expected == new_descriptor)
    {
        CHECK(result >= 0);
    }
    else
    {
        CHECK(result == row.expected);
    }
    if (row.verify != nullptr && (result >= 0) == (row.expected >= 0))
    {
        row.verify(scene, wanted);
    }
}

} // namespace

void check_outcomes(std::span<const outcome_row> rows)
{
    on_every_driver([rows](world& where) {
        for (const outcome_row& row : rows)
        {
            for (const manner how : manners)
            {
                check_row(where, row, how);
            }
        }
    });
}

} // namespace blitzio::conformance
