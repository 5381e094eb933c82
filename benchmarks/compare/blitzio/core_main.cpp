// The list of shapes; `--only NAME` runs one of them, in a runtime of its own.
#include "core.hpp"

namespace
{

struct rate
{
    const char* name;
    compare::shape_body body;
    std::uint64_t unit;
};

constexpr rate rates[] = {
    {"spawn_join", compare::spawn_join, 1},
    {"fan_out", compare::fan_out, compare::fan_out_width},
    {"fan_out_handles", compare::fan_out_handles, compare::fan_out_width},
    {"yield", compare::give_way, 1},
    {"await_in_place", compare::await_in_place, 1},
    {"ping_pong", compare::ping_pong, 1},
    {"mpmc_1p1c", compare::mpmc_1p1c, 1},
    {"mpmc_4p4c", compare::mpmc_4p4c, 4},
    {"mpsc_1p1c", compare::mpsc_1p1c, 1},
    {"oneshot", compare::oneshot, 1},
    {"mutex", compare::mutex_uncontended, 1},
    {"select_two", compare::select_two, 2},
    {"timer_cancel", compare::timer_cancel, 1},
    {"timeout_yield", compare::timeout_yield, 1},
};

struct special
{
    const char* name;
    void (*run)(const compare::options&, const char* name);
};

constexpr special specials[] = {
    {"sleeps", compare::run_sleeps},
    {"parked", compare::run_parked},
    {"idle", compare::run_idle},
    {"shutdown", compare::run_shutdown},
    {"start_stop", compare::run_start_stop},
};

} // namespace

int main(int argc, char** argv)
{
    const auto opts = compare::parse_options(argc, argv);
    bool known = opts.only.empty();
    for (const auto& each : rates)
    {
        if (opts.wants(each.name))
        {
            known = true;
            blitzio::runtime runtime({.io_threads = opts.threads});
            compare::measure(opts, each.name, each.unit, [&](std::uint64_t count) {
                runtime.block_on(each.body(runtime, count));
            });
        }
    }
    for (const auto& each : specials)
    {
        if (opts.wants(each.name))
        {
            known = true;
            each.run(opts, each.name);
        }
    }
    compare::require(known, "there is no shape of that name");
    return 0;
}
