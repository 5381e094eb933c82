// Compute hand-off on bare oneTBB and an eventfd: the floor of compute_on. The main thread stands
// for the I/O thread. One JSON line per benchmark, in the format of the other peers.
#include <tbb/global_control.h>
#include <tbb/task_arena.h>

#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

namespace
{

struct options
{
    int compute = 1;
    double seconds = 0.3;
    std::string only;
};

std::uint64_t read_clock_ns(clockid_t clock)
{
    timespec value{};
    clock_gettime(clock, &value);
    return static_cast<std::uint64_t>(value.tv_sec) * 1'000'000'000u +
           static_cast<std::uint64_t>(value.tv_nsec);
}

void require(bool condition, const char* what)
{
    if (!condition)
    {
        std::fprintf(stderr, "tbb_micro: %s\n", what);
        std::exit(1);
    }
}

// A finished slot is pushed to a list; only the push into the empty list rings the bell.
struct slot
{
    std::uint64_t value = 0;
    slot* next = nullptr;
};

class completion_list
{
public:
    void push(slot& finished)
    {
        slot* head = head_.load(std::memory_order_relaxed);
        do
        {
            finished.next = head;
            // Release: pairs with the acquire of take(), which then reads value and next.
        } while (!head_.compare_exchange_weak(head, &finished, std::memory_order_release,
                                              std::memory_order_relaxed));
        if (head == nullptr)
        {
            const std::uint64_t one = 1;
            require(write(bell_, &one, sizeof(one)) == sizeof(one), "eventfd write");
        }
    }

    // Blocks until something has finished.
    slot* take()
    {
        std::uint64_t count = 0;
        require(read(bell_, &count, sizeof(count)) == sizeof(count), "eventfd read");
        return head_.exchange(nullptr, std::memory_order_acquire);
    }

private:
    std::atomic<slot*> head_{nullptr};
    int bell_ = eventfd(0, EFD_CLOEXEC);
};

// Keeps `in_flight` jobs in the arena until `count` have come back with the right value.
void round_trips(tbb::task_arena& arena, std::uint64_t count, std::size_t in_flight)
{
    completion_list done;
    std::vector<slot> slots(in_flight);
    const auto start = [&](slot& s, std::uint64_t value) {
        s.value = value;
        arena.enqueue([&s, &done] {
            s.value += 1;
            done.push(s);
        });
    };
    std::uint64_t started = 0;
    std::uint64_t sum = 0;
    for (slot& s : slots)
    {
        start(s, started++);
    }
    std::uint64_t finished = 0;
    while (finished < started)
    {
        slot* next = nullptr;
        for (slot* s = done.take(); s != nullptr; s = next)
        {
            next = s->next;
            sum += s->value;
            ++finished;
            if (started < count)
            {
                start(*s, started++);
            }
        }
    }
    require(sum == started * (started + 1) / 2, "wrong sum");
}

void measure(const options& opts, const char* name, const std::function<void(std::uint64_t)>& body)
{
    if (!opts.only.empty() && opts.only != name)
    {
        return;
    }
    std::uint64_t iterations = 1024;
    for (;;)
    {
        const std::uint64_t cpu_begin = read_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        const std::uint64_t begin = read_clock_ns(CLOCK_MONOTONIC);
        body(iterations);
        const auto elapsed = static_cast<double>(read_clock_ns(CLOCK_MONOTONIC) - begin);
        const auto cpu = static_cast<double>(read_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_begin);
        const auto count = static_cast<double>(iterations);
        if (elapsed >= opts.seconds * 1e9)
        {
            std::printf("{\"name\": \"%s\", \"ns_per_op\": %.1f, \"cpu_ns_per_op\": %.1f}\n", name,
                        elapsed / count, cpu / count);
            std::fflush(stdout);
            return;
        }
        const double growth = std::clamp(opts.seconds * 1.2e9 / std::max(elapsed, 1e3), 1.2, 20.0);
        iterations = static_cast<std::uint64_t>(count * growth) / 64 * 64;
    }
}

} // namespace

int main(int argc, char** argv)
{
    options opts;
    for (int index = 1; index + 1 < argc; index += 2)
    {
        const std::string name = argv[index];
        if (name == "--compute")
        {
            opts.compute = std::max(1, std::atoi(argv[index + 1]));
        }
        else if (name == "--seconds")
        {
            opts.seconds = std::atof(argv[index + 1]);
        }
        else if (name == "--only")
        {
            opts.only = argv[index + 1];
        }
        else
        {
            require(name == "--threads" || name == "--port", "unknown option");
        }
    }
    // On one core oneTBB would start no worker at all; the main thread never computes, hence one
    // more.
    tbb::global_control threads(tbb::global_control::max_allowed_parallelism,
                                static_cast<std::size_t>(opts.compute) + 1);
    tbb::task_arena arena(opts.compute, 0);
    measure(opts, "compute_round_trip", [&](std::uint64_t count) { round_trips(arena, count, 1); });
    measure(opts, "compute_round_trip_64",
            [&](std::uint64_t count) { round_trips(arena, count, 64); });
    return 0;
}
