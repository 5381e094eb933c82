// The moment in which a wait begins: a stop request or the end of the wait may come between any two
// steps of start(). Thread rule: as the tests say.
#include "support.hpp"

#include <blitzio/sync/broadcast.hpp>
#include <blitzio/sync/channel.hpp>
#include <blitzio/sync/detail/wait_operation.hpp>
#include <blitzio/sync/event.hpp>
#include <blitzio/sync/mutex.hpp>
#include <blitzio/sync/oneshot.hpp>
#include <blitzio/sync/semaphore.hpp>
#include <blitzio/sync/shared_mutex.hpp>
#include <blitzio/sync/spsc.hpp>
#include <blitzio/sync/watch.hpp>

#include <catch2/catch_test_macros.hpp>

#include <atomic>
#include <chrono>
#include <optional>
#include <thread>
#include <utility>

using namespace blitzio;
using namespace sync_tests;

namespace
{

/// Waits in a queue of its own, and asks for its own stop in the middle of start().
class stopped_while_starting : public detail::wait_operation<stopped_while_starting>
{
public:
    explicit stopped_while_starting(stop_source& source) noexcept : source_(&source) {}

    [[nodiscard]] detail::wait_status await_resume() noexcept
    {
        return conclude();
    }

    [[nodiscard]] bool is_queued() const noexcept
    {
        return !queue_.empty();
    }

private:
    friend detail::wait_operation<stopped_while_starting>;

    [[nodiscard]] bool attempt(detail::attempt_mode mode) noexcept
    {
        if (mode == detail::attempt_mode::only_try)
        {
            source_->request_stop(); // nothing is registered yet: nobody hears of it now
            return false;
        }
        if (status == detail::wait_status::cancelled)
        {
            return true;
        }
        queue_.push_back(*this);
        return false;
    }

    [[nodiscard]] bool withdraw() noexcept
    {
        return withdraw_from(queue_);
    }

    stop_source* source_;
    detail::wait_queue queue_;
};

/// Counts how often a wait was continued.
class continuation
{
public:
    [[nodiscard]] detail::waiter as_waiter() noexcept
    {
        return {[](void* self) noexcept -> std::coroutine_handle<> {
                    static_cast<continuation*>(self)->count_.fetch_add(1);
                    return std::noop_coroutine();
                },
                this};
    }

    void wait() const noexcept
    {
        while (count_.load() == 0)
        {
            std::this_thread::yield();
        }
    }

    [[nodiscard]] unsigned count() const noexcept
    {
        return count_.load();
    }

private:
    std::atomic<unsigned> count_{0};
};

/// Lets two threads begin a round at the same time, the second one a little later.
class starting_line
{
public:
    void cross(unsigned round) noexcept
    {
        arrived_.fetch_add(1);
        while (arrived_.load() < 2 * (round + 1))
        {
            std::this_thread::yield();
        }
    }

    static void dawdle(unsigned steps) noexcept
    {
        for (unsigned step = 0; step < steps; ++step)
        {
            detail::std_atomics::pause();
        }
    }

private:
    std::atomic<unsigned> arrived_{0};
};

constexpr unsigned rounds = 20000;

/// Starts an operation on this thread while another one calls `interfere(round)`, `rounds` times.
/// `make(round)` gives the operation, `check(round, operation)` looks at its end.
template <class Make, class Interfere, class Check>
void start_against(runtime& rt, Make make, Interfere interfere, Check check)
{
    starting_line line;
    std::atomic<stop_source*> source{nullptr};
    std::atomic<unsigned> started{0};
    std::thread other([&] {
        for (unsigned round = 0; round < rounds; ++round)
        {
            line.cross(2 * round);
            starting_line::dawdle(round % 61);
            // Now and then surely after the start, however the threads are scheduled.
            while (round % 8 == 0 && started.load() <= round)
            {
                std::this_thread::yield();
            }
            interfere(round, *source.load());
            line.cross(2 * round + 1);
        }
    });
    unsigned continued_wrongly = 0;
    for (unsigned round = 0; round < rounds; ++round)
    {
        stop_source stop;
        source = &stop;
        const task_env env{&rt.core(), stop.get_token()};
        auto operation = make(round);
        continuation continued;
        line.cross(2 * round);
        starting_line::dawdle(round % 53);
        const bool waits = operation.start(env, continued.as_waiter());
        started = round + 1;
        line.cross(2 * round + 1);
        if (waits)
        {
            continued.wait(); // a lost request would leave it waiting for ever
        }
        check(round, operation);
        continued_wrongly += continued.count() != (waits ? 1u : 0u) ? 1 : 0;
    }
    other.join();
    REQUIRE(continued_wrongly == 0);
}

} // namespace

TEST_CASE("a stop request in the middle of start is not lost")
{
    auto rt = threaded(1);
    stop_source source;
    const task_env env{&rt.core(), source.get_token()};
    stopped_while_starting operation(source);
    continuation continued;
    if (operation.start(env, continued.as_waiter()))
    {
        continued.wait(); // gave way to other tasks first
    }
    REQUIRE_FALSE(operation.is_queued());
    REQUIRE(operation.await_resume() == detail::wait_status::cancelled);
}

TEST_CASE("a stop request at any moment of the start ends the wait for a lock")
{
    auto rt = threaded(1);
    sync::mutex lock;
    auto held = lock.try_lock();
    unsigned cancelled = 0;
    start_against(
        rt, [&](unsigned) { return lock.lock(); },
        [](unsigned, stop_source& stop) { stop.request_stop(); },
        [&](unsigned, auto& operation) {
            auto outcome = operation.await_resume();
            cancelled += !outcome && is_cancelled(outcome.error()) ? 1 : 0;
        });
    REQUIRE(cancelled == rounds);
}

TEST_CASE("an unlock and a stop request at any moment of the start end the wait for a lock once")
{
    auto rt = threaded(1);
    sync::mutex lock;
    auto held = lock.try_lock();
    unsigned obtained = 0;
    start_against(
        rt, [&](unsigned) { return lock.lock(); },
        [&](unsigned round, stop_source& stop) {
            if (round % 2 == 0)
            {
                held->unlock();
                stop.request_stop();
            }
            else
            {
                stop.request_stop();
                held->unlock();
            }
        },
        [&](unsigned, auto& operation) {
            auto outcome = operation.await_resume();
            if (outcome)
            {
                ++obtained;
                held = *std::move(outcome);
            }
            else
            {
                held = lock.try_lock();
            }
        });
    REQUIRE(held->owns_lock());
    REQUIRE(obtained >= rounds / 8);
}

TEST_CASE("a send and a stop request at any moment of the start of a receive lose no value")
{
    auto rt = threaded(1);
    auto ends = sync::channel<tracked>(1);
    unsigned found = 0;
    start_against(
        rt, [&](unsigned) { return ends.receiver.receive(); },
        [&](unsigned round, stop_source& stop) {
            if (round % 3 != 0)
            {
                stop.request_stop();
            }
            static_cast<void>(ends.sender.try_send(tracked(round)));
            if (round % 3 == 0)
            {
                stop.request_stop();
            }
        },
        [&](unsigned round, auto& operation) {
            auto outcome = operation.await_resume();
            if (!outcome)
            {
                outcome = ends.receiver.try_receive();
            }
            found += outcome.has_value() && outcome->id() == round ? 1 : 0;
        });
    REQUIRE(found == rounds);
    REQUIRE(tracked::live() == 0);
}

TEST_CASE("a stop request at any moment of the start ends the wait for a oneshot")
{
    auto rt = threaded(1);
    sync::oneshot_sender<int> sender;
    unsigned cancelled = 0;
    start_against(
        rt,
        [&](unsigned) {
            auto ends = sync::oneshot<int>();
            sender = std::move(ends.sender);
            return std::move(ends.receiver);
        },
        [](unsigned, stop_source& stop) { stop.request_stop(); },
        [&](unsigned, auto& receiver) {
            auto outcome = receiver.await_resume();
            cancelled += !outcome && is_cancelled(outcome.error()) ? 1 : 0;
        });
    REQUIRE(cancelled == rounds);
}

TEST_CASE("a send and a stop request at any moment of the start of a oneshot lose no value")
{
    auto rt = threaded(1);
    sync::oneshot_sender<unsigned> sender;
    unsigned found = 0;
    start_against(
        rt,
        [&](unsigned) {
            auto ends = sync::oneshot<unsigned>();
            sender = std::move(ends.sender);
            return std::move(ends.receiver);
        },
        [&](unsigned round, stop_source& stop) {
            if (round % 3 == 1)
            {
                stop.request_stop();
            }
            static_cast<void>(sender.send(round));
            if (round % 3 == 2)
            {
                stop.request_stop();
            }
        },
        [&](unsigned round, auto& receiver) {
            auto outcome = receiver.await_resume();
            if (!outcome)
            {
                outcome = receiver.try_receive();
            }
            found += outcome.has_value() && *outcome == round ? 1 : 0;
        });
    REQUIRE(found == rounds);
}

namespace
{

/// Starts `make()` while another thread grants it and asks it to stop, in both orders. `take(outcome)`
/// tells whether what was granted is in one place, and takes it from there.
template <class Make, class Grant, class Take>
void grant_against_stop(Make make, Grant grant, Take take)
{
    auto rt = threaded(1);
    unsigned found = 0;
    unsigned obtained = 0;
    start_against(
        rt, [&](unsigned) { return make(); },
        [&](unsigned round, stop_source& stop) {
            if (round % 3 == 1)
            {
                stop.request_stop();
            }
            grant();
            if (round % 3 == 2)
            {
                stop.request_stop();
            }
        },
        [&](unsigned, auto& operation) {
            auto outcome = operation.await_resume();
            obtained += outcome.has_value() ? 1 : 0;
            found += take(std::move(outcome)) ? 1 : 0;
        });
    REQUIRE(found == rounds);
    REQUIRE(obtained >= rounds / 3); // nobody asks every third one to stop
}

} // namespace

TEST_CASE("permits and a stop request at any moment of the start are not lost")
{
    sync::semaphore slots(0);
    grant_against_stop([&] { return slots.acquire(2); }, [&] { slots.release(2); },
                       [&](result<sync::semaphore::permit> outcome) {
                           auto held =
                               outcome ? std::optional(*std::move(outcome)) : slots.try_acquire(2);
                           return held.has_value() && held->forget() == 2 && slots.available() == 0;
                       });
}

TEST_CASE("a shared lock and a stop request at any moment of the start are not lost")
{
    sync::shared_mutex lock;
    auto held = lock.try_lock();
    grant_against_stop([&] { return lock.lock_shared(); }, [&] { held.reset(); },
                       [&](result<sync::shared_mutex::shared_guard> outcome) {
                           if (outcome)
                           {
                               outcome->unlock();
                           }
                           held = lock.try_lock();
                           return held.has_value();
                       });
}

TEST_CASE("an event and a stop request at any moment of the start end the wait once")
{
    sync::event flag;
    grant_against_stop([&] { return flag.wait(); }, [&] { flag.set(); },
                       [&](result<void>) {
                           const bool was_set = flag.is_set();
                           flag.reset();
                           return was_set;
                       });
}

TEST_CASE("news and a stop request at any moment of the start are not lost")
{
    auto news = sync::broadcast<int>(2);
    grant_against_stop([&] { return news.receiver.receive(); },
                       [&] { static_cast<void>(news.sender.send(1)); },
                       [&](result<int> outcome) {
                           return outcome.has_value() || news.receiver.try_receive().has_value();
                       });
    auto state = sync::watch<int>(0);
    grant_against_stop([&] { return state.receiver.changed(); },
                       [&] { static_cast<void>(state.sender.send(1)); },
                       [&](result<void> outcome) {
                           const bool unseen = state.receiver.has_changed();
                           static_cast<void>(state.receiver.borrow_and_update());
                           return outcome.has_value() != unseen;
                       });
}

TEST_CASE("a value of one sender and a stop request at any moment of the start are not lost")
{
    auto ends = sync::spsc<tracked>(1);
    grant_against_stop([&] { return ends.receiver.receive(); },
                       [&] { static_cast<void>(ends.sender.try_send(tracked(1))); },
                       [&](result<tracked> outcome) {
                           return outcome.has_value() || ends.receiver.try_receive().has_value();
                       });
    REQUIRE(tracked::live() == 0);
}
