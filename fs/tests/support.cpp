// Noting, counting and scratch directories for the tests of files. Thread rule: as the header says.
#include "support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cstdlib>
#include <mutex>
#include <stdexcept>
#include <vector>

namespace
{

std::mutex failures_mutex;
std::vector<std::string> failures;

} // namespace

namespace fs_tests
{

void note_failure(const char* condition, const char* file, int line)
{
    const std::lock_guard guard(failures_mutex);
    failures.push_back(std::string(file) + ':' + std::to_string(line) + ": " + condition);
}

void report_failures(const std::string& where)
{
    const std::lock_guard guard(failures_mutex);
    const auto noted = std::exchange(failures, {});
    for (const std::string& each : noted)
    {
        FAIL_CHECK(where << ": " << each);
    }
    if (noted.empty())
    {
        SUCCEED();
    }
}

std::size_t open_descriptors()
{
    std::size_t count = 0;
    for (const auto& each : std::filesystem::directory_iterator("/proc/self/fd"))
    {
        static_cast<void>(each);
        ++count;
    }
    return count;
}

scratch_directory::scratch_directory()
{
    std::string name = std::filesystem::temp_directory_path() / "blitzio-fs-test-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr)
    {
        throw std::runtime_error("mkdtemp: " + name);
    }
    path_ = name;
}

scratch_directory::~scratch_directory()
{
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string pattern(std::size_t size)
{
    std::string text(size, '\0');
    std::uint32_t state = 2463534242u;
    for (char& each : text)
    {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        each = static_cast<char>(state);
    }
    return text;
}

} // namespace fs_tests
