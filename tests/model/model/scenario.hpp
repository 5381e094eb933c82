// What an exploration is given and what it answers: the scenario, the bounds, the report.
//
// Threading rule: single-threaded, like the whole checker.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace model
{

enum class verdict : std::uint8_t
{
    clean,              // every schedule within the bounds was tried
    incomplete,         // no failure, but the limit of executions came first
    data_race,          // two unordered accesses to plain memory, one of them a write
    deadlock,           // every unfinished thread sleeps
    livelock,           // the threads only wait for each other, or an execution does not end
    broken_expectation, // expect() was false
    dead_memory,        // an access to memory that retire() had declared dead
};

[[nodiscard]] inline const char* name_of(verdict value) noexcept
{
    constexpr std::array names = {"clean",    "incomplete",         "data race",  "deadlock",
                                  "livelock", "broken expectation", "dead memory"};
    return names[static_cast<std::size_t>(value)];
}

struct options
{
    unsigned preemptions = 2;             // forced switches per execution
    unsigned old_values = 1;              // loads per execution that return an older value
    std::uint64_t executions = 3'000'000; // limit of an exploration
    unsigned steps = 2'000;               // limit of one execution
    std::uint64_t samples = 0;            // if not 0: so many random schedules instead of all
    std::uint64_t seed = 1;               // for samples
};

struct report
{
    verdict outcome = verdict::clean;
    std::uint64_t executions = 0;
    std::string message; // what failed, and the schedule that led there
};

class scenario
{
public:
    // Adds a thread. What the set-up did happens before it.
    void thread(std::function<void()> body)
    {
        bodies_.push_back(std::move(body));
    }

    // Runs after all threads have ended; all they did happens before it.
    void at_end(std::function<void()> check)
    {
        checks_.push_back(std::move(check));
    }

private:
    friend class checker;
    std::vector<std::function<void()>> bodies_;
    std::vector<std::function<void()>> checks_;
};

using scenario_function = std::function<void(scenario&)>;

} // namespace model
