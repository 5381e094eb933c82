// The frame pool: classes, batches between threads, what is counted, and that memory goes back.
#include "support/allocation_counter.hpp"

#include "memory/frame_depot.hpp"

#include <blitzio/io/detail/frame_pool.hpp>

#include <catch2/catch_test_macros.hpp>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

using blitzio::detail::allocate_frame;
using blitzio::detail::deallocate_frame;
using blitzio::detail::frame_classes;
using blitzio::detail::frame_depot;
using blitzio::detail::live_frames;

TEST_CASE("a size class holds every size that maps to it", "[memory][frames]")
{
    for (std::size_t bytes = 1; bytes <= frame_classes::coarse_max; ++bytes)
    {
        const std::size_t index = frame_classes::of(bytes);
        REQUIRE(index < frame_classes::count);
        REQUIRE(frame_classes::bytes_of(index) >= bytes);
        REQUIRE((index == 0 || frame_classes::bytes_of(index - 1) < bytes));
        REQUIRE(frame_classes::bytes_of(index) % 16 == 0);
    }
    CHECK_FALSE(frame_classes::has(0));
    CHECK_FALSE(frame_classes::has(frame_classes::coarse_max + 1));
}

TEST_CASE("frames do not overlap and are counted while they live", "[memory][frames]")
{
    const auto before = live_frames();
    struct piece
    {
        unsigned char* memory;
        std::size_t bytes;
        unsigned char mark;
    };
    std::vector<piece> pieces;
    // Several batches of many sizes, and some that are not pooled.
    for (unsigned round = 0; round < 700; ++round)
    {
        for (const std::size_t bytes : {16u, 40u, 64u, 200u, 1024u, 1025u, 4096u, 5000u})
        {
            auto* const memory = static_cast<unsigned char*>(allocate_frame(bytes));
            REQUIRE(reinterpret_cast<std::uintptr_t>(memory) % 16 == 0);
            const auto mark = static_cast<unsigned char>(pieces.size() * 7 + 1);
            std::memset(memory, mark, bytes);
            pieces.push_back({memory, bytes, mark});
        }
    }
    REQUIRE(live_frames() == before + static_cast<std::int64_t>(pieces.size()));
    const bool intact = std::ranges::all_of(pieces, [](const piece& each) {
        return std::all_of(each.memory, each.memory + each.bytes,
                           [&](unsigned char byte) { return byte == each.mark; });
    });
    REQUIRE(intact);
    for (const piece& each : pieces)
    {
        deallocate_frame(each.memory, each.bytes);
    }
    REQUIRE(live_frames() == before);
}

TEST_CASE("frames that die on another thread are reused, and that thread's end loses none",
          "[memory][frames]")
{
    constexpr std::size_t bytes = 208;
    constexpr std::size_t count = 20'000;
    const auto before = live_frames();
    std::size_t held_after_first_round = 0;
    for (int round = 0; round < 20; ++round)
    {
        std::vector<void*> frames;
        frames.reserve(count);
        for (std::size_t index = 0; index < count; ++index)
        {
            frames.push_back(allocate_frame(bytes));
        }
        std::thread([&] {
            for (void* const frame : frames)
            {
                deallocate_frame(frame, bytes);
            }
        }).join();
        REQUIRE(live_frames() == before);
        if (round == 0)
        {
            held_after_first_round = frame_depot::instance().bytes_held();
        }
    }
    // Were they not reused, it would be twenty times as much.
    CHECK(frame_depot::instance().bytes_held() <= held_after_first_round + 1024 * 1024);
}

TEST_CASE("what a burst has needed goes back to the system, beyond a reserve", "[memory][frames]")
{
    constexpr std::size_t bytes = 1024;
    constexpr std::size_t count = 300'000; // 300 MB
    std::vector<void*> frames;
    frames.reserve(count);
    const std::size_t before = frame_depot::instance().bytes_held();
    for (std::size_t index = 0; index < count; ++index)
    {
        frames.push_back(allocate_frame(bytes));
    }
    const std::size_t peak = frame_depot::instance().bytes_held();
    for (void* const frame : frames)
    {
        deallocate_frame(frame, bytes);
    }
    if (blitzio::test::counts_allocations)
    {
        CHECK(peak >= before + count * bytes / 2);
        CHECK(frame_depot::instance().bytes_held() <= before + std::size_t{110} * 1024 * 1024);
    }
}

TEST_CASE("many threads exchange frames", "[memory][frames][stress]")
{
    const auto before = live_frames();
    constexpr int threads_max = 4;
    std::vector<std::thread> threads;
    for (int thread = 0; thread < threads_max; ++thread)
    {
        threads.emplace_back([thread] {
            std::vector<std::pair<void*, std::size_t>> mine;
            std::uint32_t state = static_cast<std::uint32_t>(thread) * 2654435761U + 1;
            for (int step = 0; step < 30'000; ++step)
            {
                state = state * 1664525U + 1013904223U;
                if ((state >> 16) % 3 != 0 || mine.empty())
                {
                    const std::size_t bytes = 16 + (state >> 8) % 600;
                    void* const frame = allocate_frame(bytes);
                    std::memset(frame, thread, bytes);
                    mine.emplace_back(frame, bytes);
                }
                else
                {
                    const std::size_t chosen = (state >> 20) % mine.size();
                    std::swap(mine[chosen], mine.back());
                    deallocate_frame(mine.back().first, mine.back().second);
                    mine.pop_back();
                }
            }
            for (const auto& [frame, bytes] : mine)
            {
                deallocate_frame(frame, bytes);
            }
        });
    }
    for (auto& each : threads)
    {
        each.join();
    }
    REQUIRE(live_frames() == before);
}
