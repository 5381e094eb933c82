// Counting and noting for the tests of sockets. Thread rule: as the header says.
#include "support.hpp"

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <new>
#include <vector>

namespace
{

std::atomic<std::uint64_t> allocation_count{0};
std::mutex failures_mutex;
std::vector<std::string> failures;
std::string current_runtime;

} // namespace

#if BLITZIO_TESTS_COUNT_ALLOCATIONS

namespace
{

void* counted_allocation(std::size_t bytes)
{
    allocation_count.fetch_add(1, std::memory_order_relaxed);
    if (void* const memory = std::malloc(bytes == 0 ? 1 : bytes))
    {
        return memory;
    }
    throw std::bad_alloc();
}

} // namespace

void* operator new(std::size_t bytes)
{
    return counted_allocation(bytes);
}

void operator delete(void* memory) noexcept
{
    std::free(memory);
}

void operator delete(void* memory, std::size_t) noexcept
{
    std::free(memory);
}

#endif

namespace net_tests
{

void note_failure(const char* condition, const char* file, int line)
{
    const std::lock_guard guard(failures_mutex);
    failures.push_back(std::string(file) + ':' + std::to_string(line) + ": " + condition);
}

void report_failures()
{
    const std::lock_guard guard(failures_mutex);
    const auto noted = std::exchange(failures, {});
    for (const std::string& each : noted)
    {
        UNSCOPED_INFO(current_runtime);
        FAIL_CHECK(each);
    }
    if (noted.empty())
    {
        SUCCEED();
    }
}

runtime_note::runtime_note(std::string text)
{
    current_runtime = std::move(text);
}

runtime_note::~runtime_note()
{
    if (std::uncaught_exceptions() > 0)
    {
        UNSCOPED_INFO("on " << current_runtime);
    }
}

std::uint64_t allocations() noexcept
{
    return allocation_count.load(std::memory_order_relaxed);
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

std::string pattern(std::size_t size, unsigned salt)
{
    std::string text(size, '\0');
    std::uint32_t state = 2463534242u + salt;
    for (char& each : text)
    {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        each = static_cast<char>(state);
    }
    return text;
}

bz::task<void> echo(net::tcp_stream stream)
{
    std::array<std::byte, 4096> buffer;
    for (;;)
    {
        const auto received = co_await stream.read_some(buffer);
        if (!received || *received == 0)
        {
            co_return;
        }
        if (!co_await stream.write_all(std::span(buffer).first(*received)))
        {
            co_return;
        }
    }
}

} // namespace net_tests
