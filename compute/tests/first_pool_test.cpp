// What can only be seen in a process that has no pool yet, or has one and forks: a pool that one of
// its jobs destroys, and the default pool of a forked child.
// Thread rule: one thread, whose children end at once. Other tests may have run before in the same
// process; then a case that comes too late is skipped.
#include <blitzio/compute/pool.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <string>
#include <system_error>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace
{

using blitzio::compute::job;
using blitzio::compute::pool;

struct child_end
{
    int status = 0;
    std::string text; // what it wrote to stderr
};

template <class Body>
child_end end_of_child(Body body)
{
    int fds[2];
    REQUIRE(::pipe(fds) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0)
    {
        std::signal(SIGABRT, SIG_DFL);
        const rlimit no_core{0, 0};
        static_cast<void>(::setrlimit(RLIMIT_CORE, &no_core));
        ::alarm(60);
        ::dup2(fds[1], STDERR_FILENO);
        ::close(fds[0]);
        ::close(fds[1]);
        ::_exit(body());
    }
    ::close(fds[1]);
    child_end end;
    char buffer[512];
    for (ssize_t count = 0; (count = ::read(fds[0], buffer, sizeof buffer)) > 0;)
    {
        end.text.append(buffer, static_cast<std::size_t>(count));
    }
    ::close(fds[0]);
    while (::waitpid(child, &end.status, 0) < 0 && errno == EINTR)
    {
    }
    return end;
}

/// Destroys the pool that it runs in.
struct destroying_job : job
{
    explicit destroying_job(pool* given) : victim(given)
    {
        run = [](job* self) noexcept { delete static_cast<destroying_job*>(self)->victim; };
    }

    pool* victim;
};

constexpr int too_late = 77;

} // namespace

TEST_CASE("a pool that one of its own jobs destroys ends the process with the reason",
          "[compute][pool][dying]")
{
    const auto end = end_of_child([] {
        auto made = pool::create({.threads = 2});
        if (!made)
        {
            return too_late; // this process has had a pool before it forked
        }
        auto* const owned = new pool(std::move(*made));
        destroying_job work(owned);
        static_cast<void>(owned->enqueue(work));
        for (;;)
        {
            ::pause();
        }
    });
    if (WIFEXITED(end.status) && WEXITSTATUS(end.status) == too_late)
    {
        SKIP("this process has had a pool already");
    }
    INFO(end.text);
    REQUIRE(WIFSIGNALED(end.status));
    CHECK(WTERMSIG(end.status) == SIGABRT);
    CHECK(end.text.find("a compute pool was destroyed by one of its own jobs") !=
          std::string::npos);
}

TEST_CASE("the default pool of a forked child is refused, by both ways to it",
          "[compute][pool][fork]")
{
    const pool own({.threads = 1}); // from here on this process has had one
    const auto end = end_of_child([] {
        const auto found = blitzio::compute::find_default_pool();
        if (found)
        {
            return too_late; // made before the fork
        }
        if (found.error() != std::errc::no_such_process)
        {
            return 1;
        }
        try
        {
            static_cast<void>(blitzio::compute::default_pool());
            return 2;
        }
        catch (const std::system_error& thrown)
        {
            const std::string what = thrown.what();
            return thrown.code() == found.error() &&
                           what.find("the default compute pool") != std::string::npos
                       ? 0
                       : 3;
        }
    });
    INFO(end.text);
    REQUIRE(WIFEXITED(end.status));
    if (WEXITSTATUS(end.status) == too_late)
    {
        SKIP("the default pool has been made already");
    }
    CHECK(WEXITSTATUS(end.status) == 0);
}
