// Beside a CPU quota: the pool's threads return their leases, so that the I/O workers never stand
// still for having used it up. The test makes a cgroup with a quota and starts this program in it
// again.
// Thread rule: one thread that waits for the program it has started.
#include "support.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace bz = blitzio;
using namespace std::chrono_literals;

namespace
{

using steady = std::chrono::steady_clock;

/// Half a processor: less than even a busy machine has left over for a while.
constexpr int period_us = 100'000;
constexpr int quota_us = 50'000;
constexpr auto measured_for = 1500ms;
constexpr auto every = 2ms;

bool put(const std::string& path, const std::string& text)
{
    const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
    if (file < 0)
    {
        return false;
    }
    const bool written = ::write(file, text.data(), text.size()) == std::ssize(text);
    const int error = errno;
    ::close(file);
    errno = error;
    return written;
}

std::string why(const std::string& what)
{
    return what + ": " + std::strerror(errno);
}

/// A cgroup of its own below that of this process, with the quota.
class quota_group
{
public:
    /// Empty when it stands; otherwise why it does not.
    std::string make()
    {
        std::ifstream memberships("/proc/self/cgroup");
        std::string reason = "no cgroup hierarchy with the cpu controller";
        // Each line is "hierarchy:controllers:group"; version 2 has no controllers.
        for (std::string line; std::getline(memberships, line);)
        {
            const auto first = line.find(':');
            const auto second = line.find(':', first + 1);
            if (second == std::string::npos)
            {
                continue;
            }
            const std::string controllers = line.substr(first + 1, second - first - 1);
            const std::string group = line.substr(second + 1);
            const bool version_2 = controllers.empty();
            if (!version_2 && (',' + controllers + ',').find(",cpu,") == std::string::npos)
            {
                continue;
            }
            reason = make_in((version_2 ? "/sys/fs/cgroup" : "/sys/fs/cgroup/cpu") +
                                 (group == "/" ? std::string() : group),
                             version_2);
            if (reason.empty())
            {
                return {};
            }
        }
        return reason;
    }

    ~quota_group()
    {
        // A process leaves it some time after it was waited for.
        for (int attempt = 0; !path_.empty() && attempt < 100; ++attempt)
        {
            if (::rmdir(path_.c_str()) == 0)
            {
                return;
            }
            ::usleep(10'000);
        }
    }

    [[nodiscard]] std::string members() const
    {
        return path_ + "/cgroup.procs";
    }

    /// Periods in which the processes stood still.
    [[nodiscard]] std::uint64_t throttled() const
    {
        std::ifstream figures(path_ + "/cpu.stat");
        std::string name;
        for (std::uint64_t value = 0; figures >> name >> value;)
        {
            if (name == "nr_throttled")
            {
                return value;
            }
        }
        return 0;
    }

private:
    std::string make_in(const std::string& parent, bool version_2)
    {
        const std::string path = parent + "/blitzio-quota-" + std::to_string(::getpid());
        if (::mkdir(path.c_str(), 0755) != 0)
        {
            return why("cannot make " + path);
        }
        const bool limited =
            version_2
                ? put(path + "/cpu.max", std::to_string(quota_us) + ' ' + std::to_string(period_us))
                : put(path + "/cpu.cfs_period_us", std::to_string(period_us)) &&
                      put(path + "/cpu.cfs_quota_us", std::to_string(quota_us));
        if (!limited)
        {
            const std::string reason = why("cannot set the quota of " + path);
            ::rmdir(path.c_str());
            return reason;
        }
        path_ = path;
        return {};
    }

    std::string path_;
};

struct figures
{
    double late_ms = 0; // of all wake-ups together, per second
    std::uint64_t wakes = 0;
    std::uint64_t leases = 0;
    std::uint64_t jobs = 0;
    std::uint64_t throttled = 0;
};

/// This program again, with the test case below only, in the cgroup.
std::optional<figures> measure_in(const quota_group& group, const char* courtesy)
{
    const std::string members = group.members();
    const auto throttled_before = group.throttled();
    int fds[2];
    REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
    const std::string output = std::to_string(::dup(fds[1])); // stays open in the child
    // All of it before fork(): between that and exec nothing may be allocated.
    std::string courtesy_variable = std::string("BLITZIO_QUOTA_COURTESY=") + courtesy;
    std::string output_variable = "BLITZIO_QUOTA_OUTPUT=" + output;
    std::vector<char*> environment{courtesy_variable.data(), output_variable.data()};
    for (char** each = environ; *each != nullptr; ++each)
    {
        environment.push_back(*each);
    }
    environment.push_back(nullptr);
    char name[] = "bridge-quota";
    char filter[] = "[quota_child]";
    char quiet[] = "--out=/dev/null";
    char* arguments[] = {name, filter, quiet, nullptr};
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0)
    {
        // Whoever writes "0" to it moves itself.
        const int file = ::open(members.c_str(), O_WRONLY | O_CLOEXEC);
        if (file < 0 || ::write(file, "0", 1) != 1)
        {
            ::_exit(97);
        }
        ::alarm(120);
        ::execve("/proc/self/exe", arguments, environment.data());
        ::_exit(98);
    }
    ::close(std::atoi(output.c_str()));
    ::close(fds[1]);
    std::string text;
    char buffer[256];
    for (ssize_t count = 0; (count = ::read(fds[0], buffer, sizeof buffer)) > 0;)
    {
        text.append(buffer, static_cast<std::size_t>(count));
    }
    ::close(fds[0]);
    int status = 0;
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR)
    {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 97)
    {
        return std::nullopt;
    }
    INFO("the child ended with status " << status << " and wrote: " << text);
    REQUIRE(status == 0);
    figures found;
    REQUIRE(std::sscanf(text.c_str(), "%lf %lu %lu %lu", &found.late_ms, &found.wakes,
                        &found.leases, &found.jobs) == 4);
    found.throttled = group.throttled() - throttled_before;
    return found;
}

/// Keeps all threads of `pool` busy until `end`, a millisecond at a time.
bz::task<std::uint64_t> compute_until(bz::compute::pool& pool, steady::time_point end)
{
    std::uint64_t jobs = 0;
    while (steady::now() < end)
    {
        const auto done = co_await bz::compute_on(pool, [] {
            const auto until = steady::now() + 1ms;
            while (steady::now() < until)
            {
            }
        });
        jobs += done ? 1 : 0;
    }
    co_return jobs;
}

} // namespace

TEST_CASE("what the quota's test starts again", "[.][quota_child]")
{
    const char* const courtesy = std::getenv("BLITZIO_QUOTA_COURTESY");
    const char* const output = std::getenv("BLITZIO_QUOTA_OUTPUT");
    if (courtesy == nullptr || output == nullptr)
    {
        SKIP("only for the test of quotas");
    }
    bz::compute::pool pool({.threads = 2,
                            .name = "quota",
                            .give_way = courtesy == std::string("off")
                                            ? bz::compute::courtesy::off
                                            : bz::compute::courtesy::on});
    auto runtime = test::make_runtime(1);
    figures found;
    runtime.block_on([&]() -> bz::task<void> {
        const auto end = steady::now() + measured_for;
        std::vector<bz::join_handle<std::uint64_t>> computing;
        for (int index = 0; index < 4; ++index)
        {
            computing.push_back(runtime.spawn([&pool, end] { return compute_until(pool, end); }));
        }
        steady::duration late{};
        while (steady::now() < end)
        {
            const auto due = steady::now() + every;
            static_cast<void>(co_await bz::sleep_for(every));
            late += std::max(steady::now() - due, steady::duration::zero());
            ++found.wakes;
        }
        for (auto& each : computing)
        {
            found.jobs += co_await std::move(each);
        }
        found.late_ms = std::chrono::duration<double, std::milli>(late).count() /
                        std::chrono::duration<double>(measured_for).count();
    });
    found.leases = pool.metrics().leases_returned;
    char text[200];
    const int length = std::snprintf(text, sizeof text, "%f %lu %lu %lu", found.late_ms,
                                     found.wakes, found.leases, found.jobs);
    CHECK(::write(std::atoi(output), text, static_cast<std::size_t>(length)) == length);
}

TEST_CASE("beside a CPU quota the leases are returned, and I/O is not late",
          "[bridge][pool][quota]")
{
    quota_group group;
    if (const std::string reason = group.make(); !reason.empty())
    {
        SKIP("no cgroup with a quota can be made here: " << reason);
    }
    // The sum of some runs in turns: the machine does other things, too.
    figures with;
    figures without;
    for (int round = 0; round < 3; ++round)
    {
        const auto polite = measure_in(group, "on");
        if (!polite)
        {
            SKIP("no process can be moved to the cgroup that was made");
        }
        const auto rude = measure_in(group, "off");
        REQUIRE(rude);
        const auto add = [](figures& sum, const figures& one) {
            sum.late_ms += one.late_ms;
            sum.wakes += one.wakes;
            sum.leases += one.leases;
            sum.jobs += one.jobs;
            sum.throttled += one.throttled;
        };
        add(with, *polite);
        add(without, *rude);
        CHECK(polite->leases > 0);
        CHECK(rude->leases == 0);
        CHECK(polite->jobs > 0);
    }
    INFO("ms late per second, summed: "
         << with.late_ms << " with leases, " << without.late_ms << " without; wake-ups "
         << with.wakes << " and " << without.wakes << "; periods throttled " << with.throttled
         << " and " << without.throttled << "; jobs " << with.jobs << " and " << without.jobs);
    CHECK(with.late_ms < without.late_ms);
    CHECK(with.throttled < without.throttled);
    CHECK(with.wakes > without.wakes);
}
