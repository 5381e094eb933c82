// Counters, histograms, and their text, read back by a parser of the exposition format.
#include <blitzio/io.hpp>

#include "support/raw_operations.hpp"
#include "support/runtimes.hpp"

#include <catch2/catch_test_macros.hpp>

#include <cctype>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using blitzio::latency_histogram;
using blitzio::task;
using blitzio::test::on_every_runtime;

namespace
{

struct sample
{
    std::string name;
    std::map<std::string, std::string> labels;
    double value = 0;
};

struct family
{
    std::string type;
    bool has_help = false;
    std::vector<sample> samples;
};

/// The text exposition format, strictly: each family is described once, before its samples, which
/// come together; names and labels are well-formed; every line is one of these.
class exposition_parser
{
public:
    explicit exposition_parser(std::string_view text)
    {
        REQUIRE(text.ends_with('\n'));
        while (!text.empty())
        {
            const auto end = text.find('\n');
            line(text.substr(0, end));
            text.remove_prefix(end + 1);
        }
    }

    [[nodiscard]] const family& at(const std::string& name) const
    {
        INFO("family " << name);
        REQUIRE(families_.contains(name));
        return families_.at(name);
    }

    [[nodiscard]] double only(const std::string& name) const
    {
        REQUIRE(at(name).samples.size() == 1);
        return at(name).samples.front().value;
    }

    [[nodiscard]] double sum(const std::string& name) const
    {
        double total = 0;
        for (const auto& each : at(name).samples)
        {
            total += each.value;
        }
        return total;
    }

    [[nodiscard]] const std::map<std::string, family>& families() const
    {
        return families_;
    }

private:
    static std::string take_name(std::string_view& text)
    {
        std::size_t length = 0;
        while (length < text.size() &&
               (std::isalnum(static_cast<unsigned char>(text[length])) != 0 ||
                text[length] == '_' || text[length] == ':'))
        {
            ++length;
        }
        REQUIRE(length != 0);
        REQUIRE(std::isdigit(static_cast<unsigned char>(text.front())) == 0);
        const std::string name(text.substr(0, length));
        text.remove_prefix(length);
        return name;
    }

    void line(std::string_view text)
    {
        INFO("line: " << text);
        if (text.starts_with("# HELP "))
        {
            text.remove_prefix(7);
            current_ = take_name(text);
            REQUIRE_FALSE(families_.contains(current_));
            families_[current_].has_help = text.size() > 1;
            return;
        }
        if (text.starts_with("# TYPE "))
        {
            text.remove_prefix(7);
            REQUIRE(take_name(text) == current_);
            REQUIRE((text == " counter" || text == " gauge" || text == " histogram"));
            families_[current_].type = text.substr(1);
            return;
        }
        sample read;
        read.name = take_name(text);
        if (text.starts_with('{'))
        {
            text.remove_prefix(1);
            labels(text, read);
        }
        REQUIRE(text.starts_with(' '));
        read.value = number(std::string(text.substr(1)));
        REQUIRE(belongs(read.name));
        families_[current_].samples.push_back(std::move(read));
    }

    static void labels(std::string_view& text, sample& into)
    {
        while (!text.starts_with('}'))
        {
            const auto name = take_name(text);
            REQUIRE(text.starts_with("=\""));
            const auto end = text.find('"', 2);
            REQUIRE(end != std::string_view::npos);
            REQUIRE(into.labels.emplace(name, text.substr(2, end - 2)).second);
            text.remove_prefix(end + 1);
            if (text.starts_with(','))
            {
                text.remove_prefix(1);
            }
        }
        text.remove_prefix(1);
    }

    static double number(const std::string& text)
    {
        if (text == "+Inf")
        {
            return std::numeric_limits<double>::infinity();
        }
        char* end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        REQUIRE(end == text.c_str() + text.size());
        return value;
    }

    [[nodiscard]] bool belongs(const std::string& name) const
    {
        const auto& of = families_.at(current_);
        if (of.type != "histogram")
        {
            return name == current_;
        }
        return name == current_ + "_bucket" || name == current_ + "_sum" ||
               name == current_ + "_count";
    }

    std::map<std::string, family> families_;
    std::string current_;
};

task<void> some_work()
{
    co_await blitzio::scope([](blitzio::task_group& group) -> task<void> {
        for (int i = 0; i < 50; ++i)
        {
            group.spawn([]() -> task<void> {
                co_await blitzio::yield();
                static_cast<void>(co_await blitzio::sleep_for(1ms));
                static_cast<void>(co_await blitzio::test::raw_step());
            });
        }
        co_return;
    });
}

} // namespace

TEST_CASE("a histogram's buckets are bounded by powers of two", "[metrics]")
{
    REQUIRE(latency_histogram::bucket_of(-1ns) == 0);
    REQUIRE(latency_histogram::bucket_of(0ns) == 0);
    REQUIRE(latency_histogram::bucket_of(1us) == 0);
    REQUIRE(latency_histogram::bucket_of(1001ns) == 1);
    REQUIRE(latency_histogram::bucket_of(2us) == 1);
    for (std::size_t index = 0; index + 1 < latency_histogram::bucket_count; ++index)
    {
        const auto bound = latency_histogram::bound(index);
        REQUIRE(latency_histogram::bucket_of(bound) == index);
        REQUIRE(latency_histogram::bucket_of(bound + 1ns) == index + 1);
    }
    REQUIRE(latency_histogram::bucket_of(std::chrono::nanoseconds::max()) ==
            latency_histogram::bucket_count - 1);

    latency_histogram times;
    REQUIRE(times.quantile(0.5) == 0ns);
    times.counts[3] = 90;
    times.counts[7] = 9;
    times.counts[latency_histogram::bucket_count - 1] = 1;
    REQUIRE(times.count() == 100);
    REQUIRE(times.quantile(0.5) == 8us);
    REQUIRE(times.quantile(0.99) == 128us);
    REQUIRE(times.quantile(1.0) == std::chrono::nanoseconds::max());
}

TEST_CASE("counters count what was done", "[metrics]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        runtime.block_on(some_work());
        const auto pool = runtime.block_on(blitzio::spawn_blocking([] { return 3; }));
        REQUIRE(pool == 3);
        const auto metrics = runtime.metrics();
        REQUIRE(metrics.tasks_spawned == 52);
        REQUIRE(metrics.tasks_finished == 52);
        REQUIRE(metrics.live_tasks == 0);
        REQUIRE(metrics.timers_fired == 50);
        REQUIRE(metrics.timers_armed == 0);
        REQUIRE(metrics.operations_submitted == 50);
        REQUIRE(metrics.operations_completed == 50);
        REQUIRE(metrics.operations_in_flight == 0);
        REQUIRE(metrics.injected >= 2);
        REQUIRE(metrics.injection_queue_length == 0);
        REQUIRE(metrics.tasks_run >= 50 * 3);
        REQUIRE(metrics.per_worker.size() == metrics.workers);
        REQUIRE(metrics.blocking_pool.threads_max == 512);
        REQUIRE(metrics.backend == runtime.backend_name());
        if (metrics.backend != "sim")
        {
            REQUIRE(metrics.parks >= 1);
            // Counted by the pool's thread, after it has sent the result.
            while (runtime.metrics().blocking_pool.completed != 1)
            {
                std::this_thread::yield();
            }
        }
        if (metrics.backend == "io_uring")
        {
            REQUIRE(metrics.driver_entries >= 1);
        }
        std::uint64_t sum = 0;
        for (const auto& each : metrics.per_worker)
        {
            sum += each.tasks_run;
        }
        REQUIRE(sum == metrics.tasks_run);
    });
}

TEST_CASE("a wake-up from outside is counted, sleeping does not count", "[metrics]")
{
    blitzio::runtime runtime({.io_threads = 1});
    for (int i = 0; i < 5; ++i)
    {
        while (!runtime.dump().workers.at(0).parked)
        {
        }
        runtime.block_on([]() -> task<void> { co_return; });
    }
    REQUIRE(runtime.metrics().wake_ups >= 1);
    REQUIRE(runtime.metrics().wake_ups <= runtime.metrics().parks);
}

TEST_CASE("the scheduling delay of a busy queue is measured", "[metrics]")
{
    blitzio::runtime runtime({.io_threads = 1});
    const auto spins = []() -> task<void> {
        const auto until = std::chrono::steady_clock::now() + 100ms;
        while (std::chrono::steady_clock::now() < until)
        {
            co_await blitzio::yield();
        }
    };
    runtime.block_on(blitzio::when_all(spins(), spins(), spins()));
    const auto delay = runtime.metrics().scheduling_delay;
    REQUIRE(delay.count() >= 3);
    REQUIRE(delay.count() <= 1000); // once a millisecond at the most, on the slowest machine
    REQUIRE(delay.sum > 0ns);
    REQUIRE(delay.quantile(0.5) > 0ns);
}

TEST_CASE("the text for Prometheus can be read back", "[metrics]")
{
    on_every_runtime([](blitzio::runtime& runtime) {
        runtime.block_on(some_work());
        const auto metrics = runtime.metrics();
        const exposition_parser read(metrics.to_prometheus());
        for (const auto& [name, each] : read.families())
        {
            INFO("family " << name);
            REQUIRE(name.starts_with("blitzio_"));
            REQUIRE(each.has_help);
            REQUIRE_FALSE(each.samples.empty());
            REQUIRE((each.type != "counter" || name.ends_with("_total")));
        }
        const auto total = [&read](const char* name) {
            return static_cast<std::uint64_t>(read.sum(std::string("blitzio_") + name));
        };
        REQUIRE(total("workers") == metrics.workers);
        REQUIRE(total("tasks_live") == 0);
        REQUIRE(total("timers_fired_total") == 50);
        REQUIRE(total("operations_completed_total") == 50);
        REQUIRE(total("runnables_run_total") == metrics.tasks_run);
        REQUIRE(total("parks_total") == metrics.parks);
        REQUIRE(read.at("blitzio_info").samples.at(0).labels.at("backend") == metrics.backend);
        REQUIRE(read.at("blitzio_steals_total").samples.size() == metrics.workers);
        REQUIRE(read.at("blitzio_pool_threads").samples.size() == 2);
    });
}

TEST_CASE("a histogram in the text is cumulative and complete", "[metrics]")
{
    blitzio::runtime_metrics metrics;
    metrics.workers = 1;
    metrics.per_worker.resize(1);
    auto& times = metrics.per_worker[0].scheduling_delay;
    times.counts[0] = 4;
    times.counts[5] = 2;
    times.counts[latency_histogram::bucket_count - 1] = 1;
    times.sum = 1500ms;
    const exposition_parser read(metrics.to_prometheus("my"));
    double last = 0;
    double last_bound = 0;
    double buckets = 0;
    for (const auto& each : read.at("my_scheduling_delay_seconds").samples)
    {
        REQUIRE(each.labels.at("worker") == "0");
        if (each.name.ends_with("_bucket"))
        {
            const auto& le = each.labels.at("le");
            const double bound = le == "+Inf" ? std::numeric_limits<double>::infinity()
                                              : std::strtod(le.c_str(), nullptr);
            REQUIRE(bound > last_bound);
            REQUIRE(each.value >= last);
            last_bound = bound;
            last = each.value;
            ++buckets;
        }
        else if (each.name.ends_with("_sum"))
        {
            REQUIRE(std::abs(each.value - 1.5) < 1e-9);
        }
        else
        {
            REQUIRE(each.value == 7);
        }
    }
    REQUIRE(std::isinf(last_bound));
    REQUIRE(last == 7);
    REQUIRE(buckets == latency_histogram::bucket_count);
}

TEST_CASE("explain tells the choices, the sizes and what the machine allows", "[explain]")
{
    on_every_runtime(
        [](blitzio::runtime& runtime) {
            const auto text = runtime.explain();
            INFO(text);
            const auto backend = "backend: " + std::string(runtime.backend_name());
            for (const std::string& part :
                 {backend, std::string("workers: "), std::string("blocking pool: up to 512"),
                  std::string("file pool: up to 64"), std::string("timers per worker: unlimited"),
                  std::string("quota of the cgroups: "), std::string("locked memory: "),
                  std::string("open files: "), std::string("\nio_uring: ")})
            {
                INFO("part: " << part);
                REQUIRE(text.find(part) != std::string::npos);
            }
            if (runtime.backend_name() == "io_uring")
            {
                REQUIRE(text.find("operation codes known: nop") != std::string::npos);
                REQUIRE(text.find("needed by the driver") == std::string::npos);
                REQUIRE(text.find(" ext_arg") != std::string::npos);
            }
            REQUIRE(text.ends_with('\n'));
        },
        1);
}
