// Timers: armed and withdrawn, around something that ends in time, and a hundred thousand at once.
#include "core.hpp"

#include <blitzio/io/detail/timer.hpp>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <vector>

namespace bz = blitzio;

namespace compare
{

namespace
{

using namespace std::chrono_literals;

/// One timer, armed and withdrawn: what a bound costs at the least.
class armed_and_withdrawn : public bz::detail::awaitable_base<armed_and_withdrawn>
{
public:
    [[nodiscard]] bool start(const bz::task_env& env, bz::detail::waiter) noexcept
    {
        armed_ = bz::detail::arm_timer_after(*env.runtime, timer_, 30s);
        return false;
    }

    bool await_resume() noexcept
    {
        return armed_ && bz::detail::cancel_timer(timer_);
    }

private:
    bz::detail::timer timer_;
    bool armed_ = false;
};

constexpr std::size_t sleepers = 100'000;

bz::task<void> sleeper(std::chrono::nanoseconds duration, std::chrono::nanoseconds& late)
{
    const auto begin = std::chrono::steady_clock::now();
    auto slept = co_await bz::sleep_for(duration);
    require(slept.has_value(), "a sleep was cancelled");
    late = std::chrono::steady_clock::now() - begin - duration;
}

bz::task<void> all_sleepers(std::vector<std::chrono::nanoseconds>& late)
{
    co_await bz::scope([&late](bz::task_group& group) -> bz::task<void> {
        std::uint64_t state = 0x2545F4914F6CDD1Du;
        for (auto& each : late)
        {
            state = state * 6364136223846793005u + 1442695040888963407u;
            const auto milliseconds = static_cast<std::int64_t>(1 + (state >> 33) % 100);
            group.spawn(sleeper(std::chrono::milliseconds(milliseconds), each));
        }
        co_return;
    });
}

} // namespace

bz::task<void> timer_cancel(bz::runtime&, std::uint64_t count)
{
    for (std::uint64_t index = 0; index < count; ++index)
    {
        const bool withdrawn = co_await armed_and_withdrawn();
        require(withdrawn, "the timer was not withdrawn");
    }
}

bz::task<void> timeout_yield(bz::runtime&, std::uint64_t count)
{
    for (std::uint64_t index = 0; index < count; ++index)
    {
        auto outcome = co_await bz::timeout(30s, bz::yield());
        require(outcome.has_value(), "the yield timed out");
    }
}

void run_sleeps(const options& opts, const char* name)
{
    bz::runtime runtime({.io_threads = opts.threads});
    std::vector<std::chrono::nanoseconds> late(sleepers);
    const cost spent = cost_of([&] { runtime.block_on(all_sleepers(late)); });
    std::ranges::sort(late);
    require(late.front() >= 0ns, "a sleep ended early");
    const auto part = [&late](std::size_t thousandth) {
        return static_cast<double>(late[sleepers * thousandth / 1000].count()) * 1e-6;
    };
    print_line(name, {{"late_p50_ms", part(500)},
                      {"late_p99_ms", part(990)},
                      {"late_max_ms", static_cast<double>(late.back().count()) * 1e-6},
                      {"cpu_s", spent.cpu_ns * 1e-9}});
}

} // namespace compare
