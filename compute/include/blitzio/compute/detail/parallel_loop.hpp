// What all parallel algorithms are made of: one loop, its stop, and its two ways to use threads.
//
// Complete or error: a loop counts what was cut short, whether a body was not called, or left early.
// oneTBB itself returns quietly from a cancelled loop. No exception enters a task of oneTBB: the
// first one is kept here and thrown again by run_loop(), when no body runs any more.
// Thread rule: run_loop() on the thread that waits; everything else on any thread of the loop.
#pragma once

#include <blitzio/compute/detail/context.hpp>
#include <blitzio/compute/parallel_options.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/io/stop_token.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <exception>
#include <system_error>
#include <type_traits>

namespace blitzio::compute::detail
{

class parallel_loop;

/// Computes the indices [first, last) and returns how many it finished before the loop had to end.
/// May throw; what it made until then stays where it is.
struct chunk_function
{
    void* context;
    std::size_t (*call)(void* context, std::size_t first, std::size_t last);
};

/// Something to be called once. `moved`: on another thread than the one that handed it out. May
/// throw.
struct branch_function
{
    void* context;
    void (*call)(void* context, bool moved);
};

struct root_function
{
    void* context;
    void (*call)(void* context, parallel_loop& loop);
};

/// Runs `root`, which uses the loop, on the calling thread, isolated from all other work: while it
/// waits for the loop's other threads, this thread runs nothing else. Returns when none of them
/// uses anything of the loop any more. Rethrows the first exception.
/// Errors: what fail_with() was given; operation_canceled when `given` or the context's token stopped it; timed_out when the
/// context's deadline had passed before anybody asked for the stop. Only if something is missing.
[[nodiscard]] result<void> run_loop(const parallel_options& options, stop_token given,
                                    root_function root);

class parallel_loop
{
public:
    parallel_loop(const parallel_loop&) = delete;
    parallel_loop& operator=(const parallel_loop&) = delete;

    /// Stops when the awaiting task is asked to, at the deadline, and when a body has thrown.
    [[nodiscard]] stop_token token() const noexcept
    {
        return stop_.get_token();
    }

    [[nodiscard]] bool stop_requested() const noexcept
    {
        return stop_.stop_requested();
    }

    [[nodiscard]] const parallel_options& options() const noexcept
    {
        return options_;
    }

    /// Threads that may take part.
    [[nodiscard]] unsigned width() const noexcept
    {
        return width_;
    }

    /// Calls `chunk` for stretches that together cover [0, count). True: every index was finished.
    bool run_chunks(std::size_t count, std::size_t grain, chunk_function chunk) noexcept;

    /// Calls both, the second maybe on another thread, and returns when both have ended. What they
    /// throw stops the loop. True: both were called and have returned.
    bool fork(branch_function first, branch_function second) noexcept;

    /// Something that was asked for will not be done.
    void cut_short() noexcept
    {
        cut_.store(true, std::memory_order_relaxed); // read when all threads have left the loop
    }

    /// An error that a body has returned: stops the loop, and is its error if it is the first and
    /// nothing is thrown.
    void fail_with(std::error_code code) noexcept;

    /// Between pieces of work: gives way to others, and looks at the deadline. False: end now.
    bool go_on() noexcept;

protected:
    friend class pace;

    explicit parallel_loop(const parallel_options& options) noexcept : options_(options) {}
    ~parallel_loop() = default;

    void look_at(std::chrono::steady_clock::time_point now) noexcept;
    /// Keeps the first exception, and stops the loop.
    void fail_with(std::exception_ptr error) noexcept;

    parallel_options options_;
    unsigned width_ = 1;
    stop_source stop_;
    compute_context context_; // of the bodies; constant while the loop runs
    std::atomic<bool> cut_{false};
    std::atomic<bool> failed_{false};
    std::atomic<bool> expired_{false};
    std::exception_ptr error_; // written by the one that set failed_
    std::atomic<bool> refused_{false};
    std::error_code code_; // written by the one that set refused_
};

/// How many elements to compute between two questions whether to go on: one at first, then as many
/// as take some microseconds, so that loops over cheap elements cost nothing and loops over
/// expensive ones stop soon. One chunk has one of these.
class pace
{
public:
    explicit pace(parallel_loop& loop) noexcept : loop_(loop) {}

    /// How many of `left` elements to compute now; 0: none, the loop has to end.
    [[nodiscard]] std::size_t next(std::size_t left) noexcept
    {
        if (--until_look_ == 0) [[unlikely]]
        {
            look();
        }
        if (loop_.stop_requested()) [[unlikely]]
        {
            return 0;
        }
        return std::min(left, step_);
    }

private:
    /// Also bounds what is late if elements become expensive all at once.
    static constexpr std::size_t step_max = 1024;
    static constexpr std::size_t steps_per_look_max = 128;
    static constexpr std::chrono::nanoseconds step_time{10'000};

    void look() noexcept;

    parallel_loop& loop_;
    std::size_t step_ = 1;
    std::size_t until_look_ = 1;
    std::size_t steps_per_look_ = 1;
    std::chrono::steady_clock::time_point looked_{};
};

/// run_loop() with any callable that takes the loop.
template <class Root>
result<void> run_loop(const parallel_options& options, stop_token given, Root&& root)
{
    return run_loop(options, given,
                    root_function{&root, [](void* context, parallel_loop& loop) {
                                      (*static_cast<std::remove_reference_t<Root>*>(context))(loop);
                                  }});
}

/// parallel_loop::fork() with any two callables that take `moved`.
template <class First, class Second>
bool fork(parallel_loop& loop, First&& first, Second&& second) noexcept
{
    return loop.fork({&first,
                      [](void* context, bool moved) {
                          (*static_cast<std::remove_reference_t<First>*>(context))(moved);
                      }},
                     {&second, [](void* context, bool moved) {
                          (*static_cast<std::remove_reference_t<Second>*>(context))(moved);
                      }});
}

/// Decides where to split for as many threads as there are, and again where another thread has come
/// for work. The idea is that of rayon's adaptive splitter.
class splitter
{
public:
    explicit splitter(unsigned width) noexcept : width_(width), left_(2 * std::size_t{width}) {}

    [[nodiscard]] bool split(bool moved) noexcept
    {
        if (moved)
        {
            left_ = std::max<std::size_t>(width_, left_ / 2);
            return true;
        }
        left_ /= 2;
        return left_ != 0;
    }

private:
    unsigned width_;
    std::size_t left_;
};

} // namespace blitzio::compute::detail
