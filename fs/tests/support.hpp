// What the tests of files share: runtimes to run on with an empty directory each, and checks that
// tasks may make.
// Thread rule: EXPECT on any thread; the rest on the test's thread.
#pragma once

#include <blitzio/fs.hpp>
#include <blitzio/io/runtime.hpp>
#include <blitzio/io/task.hpp>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fs_tests
{

namespace bz = blitzio;
namespace fs = blitzio::fs;

/// Notes a failed expectation; any thread.
void note_failure(const char* condition, const char* file, int line);
/// The test's thread, when no task runs: reports what was noted to Catch.
void report_failures(const std::string& where);

/// Catch's own macros are for one thread at a time only.
#define EXPECT(condition) \
    ((condition) ? static_cast<void>(0) : ::fs_tests::note_failure(#condition, __FILE__, __LINE__))

/// With a sanitizer memory figures are not the program's own.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FS_TESTS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FS_TESTS_SANITIZED 1
#endif
#ifdef FS_TESTS_SANITIZED
inline constexpr bool is_sanitized = true;
#else
inline constexpr bool is_sanitized = false;
#endif

/// Descriptors that the process has open.
[[nodiscard]] std::size_t open_descriptors();

/// A new directory of the real file system, removed with all its contents at the end.
class scratch_directory
{
public:
    scratch_directory();
    ~scratch_directory();
    scratch_directory(const scratch_directory&) = delete;
    scratch_directory& operator=(const scratch_directory&) = delete;

    [[nodiscard]] const std::string& path() const noexcept
    {
        return path_;
    }

private:
    std::string path_;
};

[[nodiscard]] std::string pattern(std::size_t size);

/// A braced list beside an await is too much for some releases of GCC; a call is not.
template <class... Names>
bool are(const std::vector<std::string>& found, Names... expected)
{
    return found == std::vector<std::string>{expected...};
}

template <class Outcome>
bool is(const Outcome& outcome, std::errc code)
{
    return !outcome && outcome.error() == code;
}

template <class Body>
void run_once(bz::runtime& runtime, Body& body, std::string root, const std::string& where)
{
    runtime.block_on([&]() -> bz::task<void> { return body(std::move(root)); });
    report_failures(where);
}

/// Runs a callable that takes the path of an empty directory and returns a task, on the kernel
/// backend that the environment chooses, with one worker and several.
template <class Body>
void on_kernel_runtimes(Body body)
{
    for (const unsigned workers : {1u, 3u})
    {
        const scratch_directory scratch;
        bz::runtime_config config;
        config.io_threads = workers;
        bz::runtime kernel(std::move(config));
        run_once(kernel, body, scratch.path(),
                 std::string(kernel.backend_name()) + ", workers " + std::to_string(workers));
    }
}

/// The same and, with the root directory of an empty world, on simulated ones of many seeds.
template <class Body>
void on_every_runtime(Body body, std::uint64_t seeds = 25)
{
    on_kernel_runtimes(body);
    for (std::uint64_t seed = 1; seed <= seeds; ++seed)
    {
        bz::runtime_config config;
        config.io_threads = static_cast<unsigned>(1 + seed % 3);
        config.backend = bz::backend_choice::sim;
        config.simulation.seed = seed;
        bz::runtime simulated(std::move(config));
        run_once(simulated, body, "", "simulation, seed " + std::to_string(seed));
    }
}

} // namespace fs_tests
