// Runs something that is expected to end the process, in a child process.
// Thread rule: the test's thread, while the process has no other.
#pragma once

#include <catch2/catch_test_macros.hpp>

#include <csignal>
#include <string>
#include <utility>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace blitzio::test
{

struct process_end
{
    /// 0: it ended by itself.
    int signal = 0;
    int exit_code = 0;
    /// What it wrote to stderr.
    std::string text;

    [[nodiscard]] bool says(const std::string& part) const
    {
        return text.find(part) != std::string::npos;
    }
};

/// Calls `body` in a child process; a body that returns ends it with exit code 0.
template <class Body>
[[nodiscard]] process_end end_of(Body body)
{
    int fds[2];
    REQUIRE(::pipe(fds) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0)
    {
        // Catch2's handlers would tell the end as a failure of this test.
        std::signal(SIGABRT, SIG_DFL);
        const rlimit no_core{0, 0};
        static_cast<void>(::setrlimit(RLIMIT_CORE, &no_core));
        ::alarm(60); // a body that hangs ends by another signal
        ::dup2(fds[1], STDERR_FILENO);
        ::close(fds[0]);
        ::close(fds[1]);
        body();
        ::_exit(0);
    }
    ::close(fds[1]);
    process_end end;
    char buffer[512];
    for (ssize_t count = 0; (count = ::read(fds[0], buffer, sizeof buffer)) > 0;)
    {
        end.text.append(buffer, static_cast<std::size_t>(count));
    }
    ::close(fds[0]);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    end.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    end.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    return end;
}

} // namespace blitzio::test
