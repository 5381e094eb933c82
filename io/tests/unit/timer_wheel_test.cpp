// The timing wheel against a sorted multimap: same timers, same order, never early, never late.
#include "time/timer_wheel.hpp"

#include <blitzio/io/detail/clock.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <array>
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

TEST_CASE("an amount of time counts from the next look at the clock", "[wheel]")
{
    timer_wheel wheel(0);
    ready_list fired;
    wheel.advance(10ms, fired);
    timer node;
    REQUIRE(wheel.insert_after(node, 5ms));
    REQUIRE(wheel.next_expiry() == 0ns); // somebody has to look at the clock first
    wheel.advance(20ms + 1ns, fired);
    REQUIRE(wheel.next_expiry() == 26ms);
    wheel.advance(26ms - 1ns, fired);
    REQUIRE(drain(fired).empty());
    wheel.advance(26ms, fired);
    REQUIRE(drain(fired) == std::vector<timer*>{&node});
}

TEST_CASE("no amount of time fires at the next look, in the order of arming", "[wheel]")
{
    timer_wheel wheel(0);
    ready_list fired;
    wheel.advance(10ms, fired);
    timer a;
    timer b;
    timer c;
    REQUIRE(wheel.insert_after(a, 0ns));
    REQUIRE(wheel.insert(b, 10ms));
    REQUIRE(wheel.insert_after(c, -5s));
    REQUIRE(wheel.has_due());
    REQUIRE(wheel.next_expiry() == 0ns);
    wheel.advance(10ms, fired);
    REQUIRE(drain(fired) == std::vector<timer*>{&a, &b, &c});
    REQUIRE_FALSE(wheel.has_due());
}

TEST_CASE("a burst fires in portions, and what is left can still be cancelled", "[wheel]")
{
    timer_wheel wheel(0);
    std::vector<std::unique_ptr<timer>> nodes;
    for (int i = 0; i < 10; ++i)
    {
        nodes.push_back(std::make_unique<timer>());
        REQUIRE(wheel.insert(*nodes.back(), 5ms));
    }
    ready_list fired;
    wheel.advance(1s, fired, 4);
    REQUIRE(drain(fired).size() == 4);
    REQUIRE(wheel.has_due());
    REQUIRE(wheel.size() == 6);
    REQUIRE(cancel_timer(*nodes[4]));
    REQUIRE(cancel_timer(*nodes[9])); // the last: the end of the list moves
    REQUIRE(wheel.insert(*nodes[0], 1s));
    wheel.advance(1s, fired, 4);
    REQUIRE(drain(fired) ==
            std::vector<timer*>{nodes[5].get(), nodes[6].get(), nodes[7].get(), nodes[8].get()});
    wheel.advance(1s, fired, 0);
    REQUIRE(wheel.size() == 1);
    wheel.advance(1s, fired, 4);
    REQUIRE(drain(fired) == std::vector<timer*>{nodes[0].get()});
    REQUIRE(wheel.fired_total() == 9);
    REQUIRE_FALSE(wheel.has_due());
}

// Go: TestOverflowSleep, TestOverflowPeriodRuntimeTimer, TestOverflowWhenRuntimeTimer.
TEST_CASE("the longest times do not overflow, and near ones fire beside them", "[wheel]")
{
    for (const auto start : {0ns, 1'000'000'000ns, std::chrono::nanoseconds(1h) * 24 * 365 * 200})
    {
        timer_wheel wheel(0);
        ready_list fired;
        wheel.advance(start, fired);
        timer longest;
        timer longest_amount;
        timer near;
        REQUIRE(wheel.insert(longest, std::chrono::nanoseconds::max()));
        REQUIRE(wheel.insert_after(longest_amount, std::chrono::nanoseconds::max()));
        REQUIRE(wheel.insert_after(near, 25ms));
        wheel.advance(start, fired);
        REQUIRE(wheel.next_expiry() == start + 25ms);
        wheel.advance(start + 25ms, fired);
        REQUIRE(drain(fired) == std::vector<timer*>{&near});
        // Fifty years on, through the list beyond the wheel's reach.
        const auto far = start + std::chrono::nanoseconds(1h) * 24 * 365 * 50;
        wheel.advance(far, fired);
        REQUIRE(drain(fired).empty());
        REQUIRE(wheel.next_expiry() > far);
        REQUIRE(cancel_timer(longest));
        REQUIRE(cancel_timer(longest_amount));
        REQUIRE_FALSE(wheel.next_expiry().has_value());
    }
}

namespace
{

/// A program of random steps on a wheel and on a sorted map.
class wheel_and_map
{
public:
    wheel_and_map(std::uint64_t seed, std::uint64_t start) : random_(seed), now_(start)
    {
        ready_list list;
        wheel_.advance(std::chrono::nanoseconds(now_), list);
    }

    void step()
    {
        const auto choice = random_.below(10);
        if (choice < 5)
        {
            arm();
        }
        else if (choice < 7 && !nodes_.empty())
        {
            cancel(*nodes_[random_.below(nodes_.size())]);
        }
        else
        {
            advance(random_.below((std::uint64_t{1} << random_.below(46)) + 1));
        }
        REQUIRE(wheel_.size() == model_.size() + unsettled_.size());
        if (!model_.empty())
        {
            REQUIRE(static_cast<std::uint64_t>(wheel_.next_expiry()->count()) <=
                    std::max(model_.begin()->first * tick_ns, now_));
        }
    }

    void cancel_all()
    {
        for (const auto& node : nodes_)
        {
            cancel(*node);
        }
        REQUIRE(wheel_.size() == 0);
        REQUIRE_FALSE(wheel_.next_expiry().has_value());
    }

private:
    void arm()
    {
        nodes_.push_back(std::make_unique<timer>());
        timer& node = *nodes_.back();
        const auto reach = std::uint64_t{1} << random_.below(46);
        const auto amount = random_.below(reach * tick_ns / 1024 + 1);
        if (random_.below(2) == 0)
        {
            REQUIRE(wheel_.insert(node, std::chrono::nanoseconds(now_ + amount)));
            place(node, now_ + amount);
        }
        else
        {
            REQUIRE(wheel_.insert_after(node, std::chrono::nanoseconds(amount)));
            unsettled_.emplace(&node, amount);
        }
    }

    void place(timer& node, std::uint64_t deadline)
    {
        armed_[&node] = model_.emplace((deadline + tick_ns - 1) / tick_ns, &node);
    }

    void cancel(timer& node)
    {
        const auto entry = armed_.find(&node);
        const bool expected = entry != armed_.end() || unsettled_.contains(&node);
        REQUIRE((node.wheel != nullptr && cancel_timer(node)) == expected);
        if (entry != armed_.end())
        {
            model_.erase(entry->second);
            armed_.erase(entry);
        }
        unsettled_.erase(&node);
    }

    void advance(std::uint64_t amount)
    {
        now_ += amount;
        for (const auto& [node, wait] : unsettled_)
        {
            place(*node, now_ + wait);
        }
        unsettled_.clear();
        const std::size_t portion = random_.below(4) == 0 ? random_.below(3) : ~std::size_t{0};
        ready_list list;
        wheel_.advance(std::chrono::nanoseconds(now_), list, portion);
        std::uint64_t last_tick = 0;
        std::size_t count = 0;
        for (timer* const fired : drain(list))
        {
            const auto entry = armed_.find(fired);
            REQUIRE(entry != armed_.end());
            const auto tick = entry->second->first;
            REQUIRE(tick <= (now_ + tick_ns - 1) / tick_ns); // never early
            // Those that were due when they were armed come in that order, before the others.
            REQUIRE((tick >= last_tick || tick <= overdue_));
            last_tick = tick;
            model_.erase(entry->second);
            armed_.erase(entry);
            ++count;
        }
        REQUIRE(count <= portion);
        overdue_ = std::max(overdue_, (now_ + tick_ns - 1) / tick_ns);
        REQUIRE((count == portion || model_.empty() || model_.begin()->first > now_ / tick_ns));
    }

    random_source random_;
    timer_wheel wheel_{0};
    std::vector<std::unique_ptr<timer>> nodes_;
    std::multimap<std::uint64_t, timer*> model_; // expiry tick -> timer
    std::map<timer*, std::multimap<std::uint64_t, timer*>::iterator> armed_;
    std::map<timer*, std::uint64_t> unsettled_;
    std::uint64_t now_;
    /// Ticks up to here may have been in the list of due timers before.
    std::uint64_t overdue_ = 0;
};

} // namespace

TEST_CASE("random programs agree with a sorted map", "[wheel][property]")
{
    // The origin; the borders of slots of each level; the end of the top level's round; far on.
    constexpr std::array<std::uint64_t, 6> starts{
        0,
        (std::uint64_t{1} << 12) * tick_ns - 5,
        (std::uint64_t{1} << 24) * tick_ns - 3 * tick_ns,
        (std::uint64_t{1} << 36) * tick_ns - (std::uint64_t{1} << 40),
        (std::uint64_t{3} << 36) * tick_ns - 1,
        (std::uint64_t{1} << 42) * tick_ns + 77,
    };
    constexpr std::uint64_t programs = 600;
    for (std::uint64_t seed = 1; seed <= programs; ++seed)
    {
        INFO("seed " << seed);
        wheel_and_map program(seed, starts[seed % starts.size()]);
        for (int step = 0; step < 300; ++step)
        {
            program.step();
        }
        program.cancel_all();
    }
}
