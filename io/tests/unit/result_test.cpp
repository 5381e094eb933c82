// The error vocabulary: each code has a text of its own, errors compare as callers expect.
// Thread rule: the test's thread.
#include <blitzio/io/result.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cerrno>
#include <set>
#include <string>

using blitzio::io_errc;
using blitzio::result;

TEST_CASE("each of the library's errors has a text of its own", "[result]")
{
    std::set<std::string> texts;
    int count = 0;
    for (auto code = static_cast<int>(io_errc::end_of_stream);
         code <= static_cast<int>(io_errc::invalid_format); ++code)
    {
        const std::error_code error = static_cast<io_errc>(code);
        CHECK(error.category() == blitzio::io_category());
        CHECK(error.message().find("unknown") == std::string::npos);
        texts.insert(error.message());
        ++count;
    }
    CHECK(texts.size() == static_cast<std::size_t>(count));
    CHECK(std::string(blitzio::io_category().name()) == "blitzio");
    CHECK(blitzio::io_category().message(4711) == "unknown blitzio error 4711");
    CHECK(blitzio::io_category().message(0) == "unknown blitzio error 0");
}

TEST_CASE("errors raised by the library equal those of the kernel", "[result]")
{
    const result<int> raised = blitzio::fail(std::errc::timed_out);
    REQUIRE_FALSE(raised.has_value());
    CHECK(raised.error() == blitzio::detail::error_from_kernel(-ETIMEDOUT));
    CHECK(raised.error() == std::errc::timed_out);
    const result<int> own = blitzio::fail(io_errc::closed);
    CHECK(own.error() == io_errc::closed);
    CHECK(own.error() !=
          std::error_code(static_cast<int>(io_errc::closed), std::system_category()));
}

TEST_CASE("describe names what the error is about", "[result]")
{
    CHECK(blitzio::describe(io_errc::closed, "the log") == "the log: closed");
    CHECK(blitzio::describe(io_errc::closed, "") == "closed");
}

TEST_CASE("or_throw gives the value or throws with the subject", "[result]")
{
    CHECK(blitzio::or_throw(result<int>(7)) == 7);
    CHECK_NOTHROW(blitzio::or_throw(result<void>()));
    try
    {
        blitzio::or_throw(result<void>(blitzio::fail(io_errc::shutting_down)), "the listener");
        FAIL("did not throw");
    }
    catch (const std::system_error& thrown)
    {
        CHECK(thrown.code() == io_errc::shutting_down);
        CHECK(std::string(thrown.what()).find("the listener") != std::string::npos);
        CHECK(std::string(thrown.what()).find("shutting down") != std::string::npos);
    }
}
