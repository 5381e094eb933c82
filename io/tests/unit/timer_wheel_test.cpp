// The timing wheel against a sorted multimap: same timers, same order, never early, never late.
#include "time/timer_wheel.hpp"

#include <blitzio/io/detail/clock.hpp>

#include <catch2/catch_test_macros.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <vector>

using namespace std::chrono_literals;
using blitzio::detail::cancel_timer;
using blitzio::detail::random_source;
using blitzio::detail::ready_list;
using blitzio::detail::runnable;
using blitzio::detail::timer;
using blitzio::detail::timer_wheel;

namespace
{

constexpr std::uint64_t tick_ns = 1'000'000;

std::vector<timer*> drain(ready_list& list)
{
    std::vector<timer*> fired;
    while (runnable* const item = list.pop())
    {
        fired.push_back(static_cast<timer*>(item));
    }
    return fired;
}

} // namespace

TEST_CASE("a timer fires at its tick, not before", "[wheel]")
{
    for (const auto delay : {1ms, 2ms, 63ms, 64ms, 65ms, 4095ms, 4096ms, 4097ms, 262'144ms,
                             16'777'216ms, 1'073'741'824ms, 100'000'000'000ms})
    {
        timer_wheel wheel(0);
        timer node;
        REQUIRE(wheel.insert(node, delay));
        ready_list fired;
        std::uint64_t turns = 0;
        while (wheel.size() != 0)
        {
            const auto next = wheel.next_expiry();
            REQUIRE(next.has_value());
            REQUIRE(*next <= delay);
            wheel.advance(*next - 1ns, fired);
            REQUIRE(drain(fired).empty());
            wheel.advance(*next, fired);
            REQUIRE(++turns < 20); // one turn for each level it moves down
        }
        REQUIRE(drain(fired) == std::vector<timer*>{&node});
        REQUIRE_FALSE(cancel_timer(node));
    }
}

TEST_CASE("deadlines between ticks are rounded up, past ones fire at once", "[wheel]")
{
    timer_wheel wheel(0);
    ready_list fired;
    wheel.advance(10ms, fired);
    timer between;
    timer past;
    REQUIRE(wheel.insert(between, 12ms + 1ns));
    REQUIRE(wheel.insert(past, 3ms));
    wheel.advance(11ms, fired);
    REQUIRE(drain(fired) == std::vector<timer*>{&past});
    wheel.advance(12ms + 999'999ns, fired);
    REQUIRE(drain(fired).empty());
    wheel.advance(13ms, fired);
    REQUIRE(drain(fired) == std::vector<timer*>{&between});
}

TEST_CASE("timers of one tick fire in the order in which they were armed", "[wheel]")
{
    timer_wheel wheel(0);
    std::vector<std::unique_ptr<timer>> nodes;
    std::vector<timer*> expected;
    for (int i = 0; i < 10; ++i)
    {
        nodes.push_back(std::make_unique<timer>());
        REQUIRE(wheel.insert(*nodes.back(), 700ms));
        expected.push_back(nodes.back().get());
    }
    ready_list fired;
    wheel.advance(10s, fired);
    REQUIRE(drain(fired) == expected);
}

TEST_CASE("the limit holds and is given back by removal and firing", "[wheel]")
{
    timer_wheel wheel(2);
    timer a;
    timer b;
    timer c;
    REQUIRE(wheel.insert(a, 5ms));
    REQUIRE(wheel.insert(b, 6ms));
    REQUIRE_FALSE(wheel.insert(c, 7ms));
    REQUIRE(cancel_timer(a));
    REQUIRE(wheel.insert(c, 7ms));
    ready_list fired;
    wheel.advance(1s, fired);
    REQUIRE(wheel.insert(a, 2s));
    REQUIRE(cancel_timer(a));
    REQUIRE(wheel.size() == 0);
    REQUIRE_FALSE(wheel.next_expiry().has_value());
}

TEST_CASE("random programs agree with a sorted map", "[wheel][property]")
{
    constexpr std::uint64_t programs = 300;
    for (std::uint64_t seed = 1; seed <= programs; ++seed)
    {
        INFO("seed " << seed);
        random_source random(seed);
        timer_wheel wheel(0);
        std::vector<std::unique_ptr<timer>> nodes;
        std::multimap<std::uint64_t, timer*> model; // expiry tick -> timer
        std::map<timer*, std::multimap<std::uint64_t, timer*>::iterator> armed;
        std::uint64_t now = 0;
        for (int step = 0; step < 300; ++step)
        {
            const auto choice = random.below(10);
            if (choice < 5)
            {
                nodes.push_back(std::make_unique<timer>());
                const auto reach = std::uint64_t{1} << random.below(44);
                const auto deadline = now + random.below(reach * tick_ns / 1024 + 1);
                REQUIRE(wheel.insert(*nodes.back(), std::chrono::nanoseconds(deadline)));
                const auto tick = std::max(now / tick_ns + 1, (deadline + tick_ns - 1) / tick_ns);
                armed[nodes.back().get()] = model.emplace(tick, nodes.back().get());
            }
            else if (choice < 7 && !armed.empty())
            {
                auto victim = armed.begin();
                std::advance(victim, static_cast<long>(random.below(armed.size())));
                REQUIRE(cancel_timer(*victim->first));
                model.erase(victim->second);
                armed.erase(victim);
            }
            else
            {
                now += random.below((std::uint64_t{1} << random.below(40)) + 1);
                ready_list list;
                wheel.advance(std::chrono::nanoseconds(now), list);
                std::uint64_t last_tick = 0;
                for (timer* const fired : drain(list))
                {
                    const auto entry = armed.find(fired);
                    REQUIRE(entry != armed.end());
                    REQUIRE(entry->second->first <= now / tick_ns);
                    REQUIRE(entry->second->first >= last_tick);
                    last_tick = entry->second->first;
                    model.erase(entry->second);
                    armed.erase(entry);
                }
                REQUIRE((model.empty() || model.begin()->first > now / tick_ns));
            }
            REQUIRE(wheel.size() == model.size());
            if (!model.empty())
            {
                REQUIRE(static_cast<std::uint64_t>(wheel.next_expiry()->count()) <=
                        model.begin()->first * tick_ns);
            }
        }
        for (const auto& [node, place] : armed)
        {
            REQUIRE(cancel_timer(*node));
        }
    }
}
