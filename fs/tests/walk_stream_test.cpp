// A walk as the source of a stream. Thread rule: the test's thread.
#include "support.hpp"

#include <blitzio/fs.hpp>
#include <blitzio/io/stream_stages.hpp>

#include <catch2/catch_test_macros.hpp>

#include <string>
#include <vector>

using namespace fs_tests;

TEST_CASE("a walk is the source of a stream")
{
    namespace streams = bz::streams;
    on_every_runtime([](std::string root) -> bz::task<void> {
        const std::string top = root + "/tree";
        EXPECT((co_await fs::create_directory(top)).has_value());
        for (const char* name : {"/b", "/a", "/c"})
        {
            EXPECT((co_await fs::create_directory(top + name)).has_value());
            EXPECT((co_await fs::create_directory(top + name + "/deep")).has_value());
        }
        const auto is_deep = [](const fs::walk_entry& entry) { return entry.depth == 2; };
        const auto path = [](fs::walk_entry entry) { return entry.path; };
        const auto all = co_await (fs::walk(top) | streams::filter(is_deep) | streams::buffer(2) |
                                   streams::map(path) | streams::collect());
        EXPECT(all.has_value());
        const std::vector<std::string> expected{top + "/a/deep", top + "/b/deep", top + "/c/deep"};
        EXPECT(*all == expected);
        // Read on by hand where the stream has left off.
        fs::walk walker(top);
        const auto some = co_await (walker | streams::take(4) | streams::collect());
        EXPECT(some.has_value() && some->size() == 4);
        const auto next = co_await walker.next();
        EXPECT(next && next->path == top + "/c");
    });
}
