// The list of shapes; `--only NAME` runs one of them, in an executor of its own. `--executor st`
// takes the one that is made for a single thread, `cpu` (which is what there is without it) the
// one that steals work.
#include "core.hpp"

#include <tmc/sync.hpp>

#include <string>
#include <vector>

namespace
{

struct rate
{
    const char* name;
    compare::shape_body body;
    std::uint64_t unit;
    /// Other ways to do the same, or less, that no cell asks for.
    bool by_name_only = false;
};

constexpr rate rates[] = {
    {"spawn_join", compare::spawn_join, 1},
    {"spawn_join_fork", compare::spawn_join_fork, 1, true},
    {"fan_out", compare::fan_out, compare::fan_out_width},
    {"fan_out_fork_group", compare::fan_out_fork_group, compare::fan_out_width, true},
    {"fan_out_handles", compare::fan_out_handles, compare::fan_out_width},
    {"yield", compare::give_way, 1},
    {"yield_lifo", compare::give_way_lifo, 1, true},
    {"await_in_place", compare::await_in_place, 1},
    {"ping_pong", compare::ping_pong, 1},
    {"ping_pong_channel", compare::ping_pong_channel, 1, true},
    {"mpmc_1p1c", compare::mpmc_1p1c, 1},
    {"mpmc_1p1c_unbounded", compare::mpmc_1p1c_unbounded, 1, true},
    {"mpmc_4p4c", compare::mpmc_4p4c, 4},
    {"mpmc_4p4c_unbounded", compare::mpmc_4p4c_unbounded, 4, true},
    {"mpsc_1p1c", compare::mpsc_1p1c, 1},
    {"mutex", compare::mutex_uncontended, 1},
};

void start(tmc::ex_cpu& executor, unsigned threads)
{
    executor.set_thread_count(threads).init();
}

void start(tmc::ex_cpu_st& executor, unsigned threads)
{
    compare::require(threads == 1, "this executor has one thread");
    executor.init();
}

template <class Executor>
void run(const compare::options& opts)
{
    bool known = opts.only.empty();
    for (const auto& each : rates)
    {
        if (opts.only == each.name || (opts.only.empty() && !each.by_name_only))
        {
            known = true;
            Executor executor;
            start(executor, opts.threads);
            compare::measure(opts, each.name, each.unit, [&](std::uint64_t count) {
                tmc::post_waitable(executor, each.body(count)).get();
            });
        }
    }
    if (opts.wants("parked"))
    {
        known = true;
        Executor executor;
        start(executor, opts.threads);
        compare::run_parked(executor, "parked");
    }
    compare::require(known, "there is no shape of that name");
}

} // namespace

int main(int argc, char** argv)
{
    std::string executor = "cpu";
    std::vector<char*> common;
    for (int index = 0; index < argc; ++index)
    {
        if (std::string(argv[index]) == "--executor" && index + 1 < argc)
        {
            executor = argv[++index];
            continue;
        }
        common.push_back(argv[index]);
    }
    const auto opts = compare::parse_options(static_cast<int>(common.size()), common.data());
    compare::require(executor == "cpu" || executor == "st", "--executor is cpu or st");
    executor == "st" ? run<tmc::ex_cpu_st>(opts) : run<tmc::ex_cpu>(opts);
    return 0;
}
