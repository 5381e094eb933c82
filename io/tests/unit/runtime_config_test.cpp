// Settings that cannot be used are errors that name them; the backend is chosen with a reason.
#include <blitzio/io/processors.hpp>
#include <blitzio/io/runtime.hpp>

#include <catch2/catch_test_macros.hpp>

#include <cstdlib>
#include <string>

using blitzio::backend_choice;
using blitzio::runtime;
using blitzio::runtime_config;

namespace
{

void require_rejected(runtime_config config, const std::string& field, const std::string& given)
{
    const auto outcome = runtime::create(std::move(config));
    REQUIRE_FALSE(outcome.has_value());
    REQUIRE(outcome.error().field == field);
    REQUIRE(outcome.error().message.find(given) != std::string::npos);
    REQUIRE(outcome.error().code == std::errc::invalid_argument);
}

/// Sets an environment variable for the duration of a test.
class environment_variable
{
public:
    environment_variable(const char* name, const char* value) : name_(name)
    {
        if (const char* const before = std::getenv(name))
        {
            before_ = before;
            was_set_ = true;
        }
        setenv(name, value, 1);
    }
    environment_variable(const environment_variable&) = delete;
    environment_variable& operator=(const environment_variable&) = delete;
    ~environment_variable()
    {
        if (was_set_)
        {
            setenv(name_, before_.c_str(), 1);
        }
        else
        {
            unsetenv(name_);
        }
    }

private:
    const char* name_;
    std::string before_;
    bool was_set_ = false;
};

} // namespace

TEST_CASE("nonsensical settings are refused by name", "[config]")
{
    require_rejected({.io_threads = 100'000}, "io_threads", "100000");
    require_rejected({.ring_entries = 100}, "ring_entries", "100");
    require_rejected({.ring_entries = 1u << 20}, "ring_entries", "1048576");
    require_rejected({.blocking_threads_max = 0}, "blocking_threads_max", "0");
    require_rejected({.file_threads_max = 0}, "file_threads_max", "0");
    require_rejected({.blocking_keep_alive = std::chrono::milliseconds(-3)}, "blocking_keep_alive",
                     "-3");
    require_rejected({.thread_stack_bytes = 17}, "thread_stack_bytes", "17");
    require_rejected({.name = std::string(200, 'x')}, "name", "xxx");
    require_rejected({.backend = static_cast<backend_choice>(99)}, "backend", "99");
    require_rejected({.strategy = static_cast<blitzio::scheduling_strategy>(77)}, "strategy", "77");
    require_rejected({.io_threads = 3, .strategy = blitzio::scheduling_strategy::single_threaded},
                     "io_threads", "3");
    require_rejected({.affinity = static_cast<blitzio::affinity_choice>(55)}, "affinity", "55");
    require_rejected({.read_buffer_bytes = 511}, "read_buffer_bytes", "511");
    require_rejected({.read_buffer_bytes = std::size_t{1} << 40}, "read_buffer_bytes",
                     "1099511627776");
    require_rejected({.read_buffers_max = 48}, "read_buffers_max", "48");
    require_rejected({.read_buffers_max = 1u << 20}, "read_buffers_max", "1048576");
    require_rejected({.blocking_threads_max = 100'000}, "blocking_threads_max", "100000");
    require_rejected({.simulation = {.delay_max = std::chrono::nanoseconds(-8)}},
                     "simulation.delay_max", "-8 ns");
    REQUIRE_THROWS_AS(runtime({.ring_entries = 3}), std::system_error);
}

TEST_CASE("backend names are parsed, unknown ones named", "[config]")
{
    for (const auto choice : {backend_choice::automatic, backend_choice::io_uring,
                              backend_choice::epoll, backend_choice::sim})
    {
        REQUIRE(blitzio::parse_backend(blitzio::to_string(choice)) == choice);
    }
    for (const char* const wrong : {"", "uring", "IO_URING", "epoll ", "kqueue"})
    {
        const auto parsed = blitzio::parse_backend(wrong);
        REQUIRE_FALSE(parsed.has_value());
        REQUIRE(parsed.error().message.find('"' + std::string(wrong) + '"') != std::string::npos);
    }
}

TEST_CASE("the message of a refusal says what would do", "[config]")
{
    const auto message_of = [](runtime_config config) {
        const auto outcome = runtime::create(std::move(config));
        REQUIRE_FALSE(outcome.has_value());
        return outcome.error().message;
    };
    CHECK(message_of({.io_threads = 1000}) == "io_threads = 1000: must be from 0 to 256");
    CHECK(message_of({.read_buffers_max = 3}) ==
          "read_buffers_max = 3: must be 0 or a power of two up to 32768");
    CHECK(message_of({.thread_stack_bytes = 1}) ==
          "thread_stack_bytes = 1: must be 0 or at least 65536");
    CHECK(message_of({.blocking_keep_alive = std::chrono::milliseconds(-1)}) ==
          "blocking_keep_alive = -1 ms: must not be negative");
    CHECK(blitzio::parse_backend("aio").error().message ==
          "backend = \"aio\": must be auto, io_uring, epoll or sim");
}

TEST_CASE("the number of workers is told with its reason", "[config]")
{
    const auto explained = [](runtime_config config) {
        config.backend = backend_choice::sim;
        return runtime(std::move(config)).explain();
    };
    const auto begins = [](const std::string& text, const std::string& with) {
        INFO(text);
        return text.starts_with(with);
    };
    CHECK(begins(explained({.io_threads = 3}), "workers: 3 (configured)\n"));
    CHECK(begins(explained({.strategy = blitzio::scheduling_strategy::single_threaded}),
                 "workers: 1 (single_threaded: on the thread that runs it)\n"));
    const auto budget = blitzio::usable_processors();
    CHECK(begins(explained({}), "workers: " + std::to_string(budget.count) + " (" +
                                    std::string(budget.reason) + ")\n"));
}

TEST_CASE("the environment decides for automatic, and is checked", "[config]")
{
    {
        const environment_variable forced("BLITZIO_BACKEND", "epoll");
        const runtime chosen({.io_threads = 1});
        REQUIRE(chosen.backend_name() == "epoll");
        REQUIRE(chosen.explain().find("epoll") != std::string::npos);
    }
    {
        const environment_variable wrong("BLITZIO_BACKEND", "upoll");
        const auto outcome = runtime::create({.io_threads = 1});
        REQUIRE_FALSE(outcome.has_value());
        REQUIRE(outcome.error().message.find("upoll") != std::string::npos);
        REQUIRE(outcome.error().message.find("BLITZIO_BACKEND") != std::string::npos);
        // An explicit choice does not ask the environment.
        const runtime explicit_choice({.io_threads = 1, .backend = backend_choice::epoll});
        REQUIRE(explicit_choice.backend_name() == "epoll");
    }
}

TEST_CASE("without io_uring automatic means epoll, with the reason", "[config]")
{
    const char* const leg = std::getenv("BLITZIO_TEST_BACKEND");
    if (leg == nullptr || std::string(leg) != "denied")
    {
        SKIP("only where io_uring is denied");
    }
    const runtime chosen({.io_threads = 1});
    REQUIRE(chosen.backend_name() == "epoll");
    REQUIRE(chosen.explain().find("io_uring refused: ") != std::string::npos);
    const auto insisted = runtime::create({.io_threads = 1, .backend = backend_choice::io_uring});
    REQUIRE_FALSE(insisted.has_value());
    REQUIRE(insisted.error().message.find("io_uring") != std::string::npos);
}
