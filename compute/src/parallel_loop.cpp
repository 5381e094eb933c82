// The parallel loop over oneTBB. Thread rule: see the header.
// The group context belongs to one loop alone, so that a stop or an exception in one never reaches
// another one.
#include <blitzio/compute/detail/parallel_loop.hpp>

#include <blitzio/compute/detail/lease.hpp>

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_invoke.h>
#include <tbb/partitioner.h>
#include <tbb/task_arena.h>
#include <tbb/task_group.h>

#include <cstdint>
#include <optional>
#include <thread>
#include <utility>

namespace blitzio::compute::detail
{

namespace
{

/// The loop with oneTBB's half.
class tbb_loop final : public parallel_loop
{
public:
    tbb_loop(const parallel_options& options, stop_token given, const compute_context* around)
        : parallel_loop(options), group_(tbb::task_group_context::isolated)
    {
        if (around != nullptr)
        {
            context_ = *around;
        }
        const stop_token outer = context_.stop;
        context_.stop = token();
        if (!options.sequential)
        {
            width_ = static_cast<unsigned>(std::max(tbb::this_task_arena::max_concurrency(), 1));
        }
        if (given.stop_possible())
        {
            by_given_.emplace(given, pass_on{this, given});
        }
        if (outer.stop_possible() && outer != given)
        {
            by_outer_.emplace(outer, pass_on{this, outer});
        }
    }

    void request(stop_reason reason) noexcept
    {
        stop_.request_stop(reason);
        group_.cancel_group_execution();
    }

    [[nodiscard]] tbb::task_group_context& group() noexcept
    {
        return group_;
    }

    result<void> run(root_function root)
    {
        const auto call = [&] { call_guarded([&] { root.call(root.context, *this); }); };
        if (options_.sequential)
        {
            call();
        }
        else
        {
            tbb::this_task_arena::isolate(call);
        }
        // From here on nobody requests a stop any more, or looks at this loop.
        by_given_.reset();
        by_outer_.reset();
        if (error_)
        {
            std::rethrow_exception(std::move(error_));
        }
        if (code_)
        {
            return std::unexpected(code_);
        }
        // Relaxed: all threads have left the loop, which orders what they wrote.
        if (cut_.load(std::memory_order_relaxed))
        {
            return expired_.load(std::memory_order_relaxed) ? fail(std::errc::timed_out)
                                                            : fail(std::errc::operation_canceled);
        }
        return {};
    }

    /// A body, on the thread that is to run it.
    template <class Call>
    void call_guarded(Call&& call) noexcept
    {
        const context_scope inside(&context_);
        try
        {
            std::forward<Call>(call)();
        }
        catch (...)
        {
            fail_with(std::current_exception());
        }
    }

    using parallel_loop::fail_with;

private:
    struct pass_on
    {
        tbb_loop* to;
        stop_token from;

        void operator()() const noexcept
        {
            to->request(from.reason());
        }
    };

    tbb::task_group_context group_;
    std::optional<stop_callback<pass_on>> by_given_;
    std::optional<stop_callback<pass_on>> by_outer_;
};

} // namespace

result<void> run_loop(const parallel_options& options, stop_token given, root_function root)
{
    const compute_context* const around = current_context();
    tbb_loop loop(options, given, around);
    // A body may have been waiting and be on another thread now: this_compute asks that one.
    struct restored
    {
        const compute_context* around;
        ~restored()
        {
            exchange_context(around);
        }
    } const after{around};
    return loop.run(root);
}

bool parallel_loop::run_chunks(std::size_t count, std::size_t grain, chunk_function chunk) noexcept
{
    auto& self = static_cast<tbb_loop&>(*this);
    grain = std::max(grain, std::size_t{1});
    // oneTBB returns quietly from a cancelled loop, so whether it was complete is counted here.
    std::atomic<std::size_t> finished{0};
    const auto run = [&](std::size_t first, std::size_t last) noexcept {
        if (go_on())
        {
            self.call_guarded([&] {
                // Relaxed: read after the loop, which orders it.
                finished.fetch_add(chunk.call(chunk.context, first, last),
                                   std::memory_order_relaxed);
            });
        }
    };
    if (options_.sequential || count <= grain)
    {
        run(0, count);
    }
    else
    {
        const tbb::blocked_range<std::size_t> all(0, count, grain);
        const auto body = [&](const tbb::blocked_range<std::size_t>& part) {
            run(part.begin(), part.end());
        };
        if (options_.waits)
        {
            tbb::parallel_for(all, body, tbb::simple_partitioner{}, self.group());
        }
        else
        {
            tbb::parallel_for(all, body, tbb::auto_partitioner{}, self.group());
        }
        exchange_context(&context_);
    }
    const bool complete = finished.load(std::memory_order_relaxed) == count;
    if (!complete)
    {
        cut_short();
    }
    return complete;
}

bool parallel_loop::fork(branch_function first, branch_function second) noexcept
{
    auto& self = static_cast<tbb_loop&>(*this);
    bool first_called = false;
    bool second_called = false;
    const auto run_first = [&]() noexcept {
        if (go_on())
        {
            self.call_guarded([&] {
                first.call(first.context, false);
                first_called = true;
            });
        }
    };
    if (options_.sequential)
    {
        run_first();
        if (go_on())
        {
            self.call_guarded([&] {
                second.call(second.context, false);
                second_called = true;
            });
        }
    }
    else
    {
        const auto here = std::this_thread::get_id();
        tbb::parallel_invoke(
            run_first,
            [&]() noexcept {
                if (go_on())
                {
                    self.call_guarded([&] {
                        second.call(second.context, std::this_thread::get_id() != here);
                        second_called = true;
                    });
                }
            },
            self.group());
        exchange_context(&context_);
    }
    if (!first_called || !second_called)
    {
        cut_short();
        return false;
    }
    return true;
}

bool parallel_loop::go_on() noexcept
{
    lease_point();
    if (context_.steady_deadline) [[unlikely]]
    {
        look_at(std::chrono::steady_clock::now());
    }
    return !stop_requested();
}

void parallel_loop::look_at(std::chrono::steady_clock::time_point now) noexcept
{
    // The runtime's timer asks for the stop, too, and is late where the workers have no processor.
    if (context_.steady_deadline && now.time_since_epoch() >= context_.deadline &&
        !stop_requested())
    {
        expired_.store(true, std::memory_order_relaxed);
        static_cast<tbb_loop*>(this)->request(stop_reason::deadline);
    }
}

void parallel_loop::fail_with(std::exception_ptr error) noexcept
{
    // acq_rel is not needed: error_ is read when all threads have left the loop.
    if (!failed_.exchange(true, std::memory_order_relaxed))
    {
        error_ = std::move(error);
    }
    static_cast<tbb_loop*>(this)->request(stop_reason::sibling);
}

void parallel_loop::fail_with(std::error_code code) noexcept
{
    if (!refused_.exchange(true, std::memory_order_relaxed))
    {
        code_ = code;
    }
    static_cast<tbb_loop*>(this)->request(stop_reason::sibling);
}

void pace::look() noexcept
{
    lease_point();
    const auto now = std::chrono::steady_clock::now();
    loop_.look_at(now);
    if (looked_ != std::chrono::steady_clock::time_point{})
    {
        const auto per_step = (now - looked_) / static_cast<std::int64_t>(steps_per_look_);
        if (per_step > 2 * step_time)
        {
            const auto times = static_cast<std::size_t>(per_step / step_time);
            step_ = std::max<std::size_t>(step_ / times, 1);
            steps_per_look_ = 1;
        }
        else if (step_ < step_max)
        {
            const auto room = static_cast<std::size_t>(
                step_time / std::max(per_step, std::chrono::nanoseconds{1}));
            step_ = std::min(step_ * std::clamp<std::size_t>(room, 1, 16), step_max);
        }
        else if (static_cast<std::int64_t>(steps_per_look_) * per_step < step_time / 2)
        {
            steps_per_look_ = std::min(2 * steps_per_look_, steps_per_look_max);
        }
        else if (static_cast<std::int64_t>(steps_per_look_) * per_step > 2 * step_time)
        {
            steps_per_look_ = 1;
        }
    }
    looked_ = now;
    until_look_ = steps_per_look_;
}

} // namespace blitzio::compute::detail
