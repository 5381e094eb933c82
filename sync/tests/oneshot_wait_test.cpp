// The steps with which a receiver begins to wait, with the sender's and the canceller's steps put
// between them in every place. Thread rule: one thread takes all steps; the runtime's worker only
// continues the waiter.
#include "support.hpp"

#include <blitzio/sync/detail/oneshot_cell.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <atomic>
#include <coroutine>
#include <string>
#include <string_view>
#include <vector>

using namespace blitzio;
using namespace sync_tests;

namespace
{

class open_wait : public detail::oneshot_wait
{
public:
    using oneshot_wait::end;
    using oneshot_wait::listen;
    using oneshot_wait::set_waiter;
    using oneshot_wait::settle;

    [[nodiscard]] bool is_cancelled() const noexcept
    {
        return status == detail::wait_status::cancelled;
    }
};

/// What came of one order of the steps.
struct outcome
{
    bool slept = false;     // start() would have returned true
    bool cancelled = false; // the receiver was told so
    bool sent = false;      // the value is in place
    unsigned continued = 0; // how often the waiter was invoked
};

/// Takes the steps in the given order:
///   l  listen for the stop request       w  hand_off: begin to wait    s  settle
///   v  the sender's value is in place    f  the sender has finished its part
///   c  a stop is requested
outcome take_steps(std::string_view steps)
{
    outcome result;
    std::atomic<unsigned> continued{0};
    {
        auto rt = simulated(1, 1);
        detail::oneshot_state<> hand_off;
        stop_source stop;
        const task_env env{&rt.core(), stop.get_token()};
        open_wait wait;
        const detail::waiter count{[](void* counter) noexcept -> std::coroutine_handle<> {
                                       static_cast<std::atomic<unsigned>*>(counter)->fetch_add(1);
                                       return std::noop_coroutine();
                                   },
                                   &continued};
        wait.set_waiter(env, count, 0);
        bool sender_wakes = false;
        bool in_start = true;
        for (const char step : steps)
        {
            switch (step)
            {
            case 'l': wait.listen(hand_off, env.stop); break;
            case 'w': in_start = hand_off.start_waiting(); break;
            case 's': result.slept = in_start && wait.settle(hand_off); break;
            case 'v':
                sender_wakes = hand_off.complete().must_wake_receiver;
                result.sent = true;
                break;
            case 'f':
                if (sender_wakes)
                {
                    wait.sender_finished();
                }
                break;
            default: stop.request_stop(); break;
            }
        }
        wait.end();
        result.cancelled = wait.is_cancelled();
        // Lets the one worker run what was scheduled.
        rt.block_on(yield_times(3));
    }
    result.continued = continued;
    return result;
}

/// All orders of "lws", "vf" and "c" that keep the order within each part.
std::vector<std::string> all_orders()
{
    std::vector<std::string> orders;
    std::string order = "clwsvf";
    std::ranges::sort(order);
    do
    {
        const auto at = [&](char step) { return order.find(step); };
        if (at('l') < at('w') && at('w') < at('s') && at('v') < at('f'))
        {
            orders.push_back(order);
        }
    } while (std::ranges::next_permutation(order).found);
    return orders;
}

} // namespace

TEST_CASE("a receiver that fell asleep is continued exactly once, one that did not never")
{
    const auto orders = all_orders();
    REQUIRE(orders.size() == 60); // 6! / (3! 2! 1!)
    for (const auto& order : orders)
    {
        const auto result = take_steps(order);
        CAPTURE(order);
        REQUIRE(result.sent);
        REQUIRE(result.continued == (result.slept ? 1u : 0u));
        const auto at = [&](char step) { return order.find(step); };
        if (at('c') > at('v'))
        {
            REQUIRE_FALSE(result.cancelled); // success beats cancellation
        }
        else if (at('s') < at('v'))
        {
            REQUIRE(result.cancelled); // the value came after the wait had ended
        }
    }
}

TEST_CASE("a stop request ends a wait that no value would end")
{
    for (const std::string order : {"clws", "lcws", "lwcs", "lwsc"})
    {
        const auto result = take_steps(order);
        CAPTURE(order);
        REQUIRE(result.cancelled);
        REQUIRE(result.slept == (order == "lwsc"));
        REQUIRE(result.continued == (result.slept ? 1u : 0u));
    }
}
