// Counting ahead and drawing. Thread rule: see the header.
#include "hash_tree/progress.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <sys/ioctl.h>
#include <unistd.h>

namespace hash_tree
{

namespace bz = blitzio;

namespace
{

using namespace std::chrono_literals;

constexpr auto frame_time = 100ms;
/// Of the rate's history: half is forgotten in about two seconds.
constexpr double smoothing = 0.03;
constexpr unsigned bar_columns_max = 30;
constexpr unsigned text_columns = 62;

std::string bytes_text(double bytes)
{
    constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    std::size_t unit = 0;
    while (bytes >= 1000 && unit + 1 < std::size(units))
    {
        bytes /= 1024;
        ++unit;
    }
    char text[32];
    std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", bytes, units[unit]);
    return text;
}

std::string duration_text(double seconds)
{
    const auto whole = static_cast<long>(std::min(std::ceil(seconds), 99.0 * 3600));
    char text[32];
    if (whole >= 3600)
    {
        std::snprintf(text, sizeof text, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60,
                      whole % 60);
    }
    else
    {
        std::snprintf(text, sizeof text, "%ld:%02ld", whole / 60, whole % 60);
    }
    return text;
}

unsigned terminal_columns()
{
    winsize size{};
    const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return known ? size.ws_col : 80;
}

} // namespace

std::string progress_text(const counters& progress, double rate, unsigned columns)
{
    const auto done = static_cast<double>(progress.bytes_done.load());
    const auto found = static_cast<double>(progress.bytes_found.load());
    const bool known = progress.all_found.load();
    const double part = found > 0 ? std::min(done / found, 1.0) : 0.0;
    std::string text;
    if (columns > text_columns + 10)
    {
        const unsigned width = std::min(bar_columns_max, columns - text_columns);
        const auto filled = static_cast<unsigned>(known ? part * width : 0);
        text += '[' + std::string(filled, '#') + std::string(width - filled, '.') + "] ";
    }
    if (known)
    {
        char percent[16];
        std::snprintf(percent, sizeof percent, "%3.0f%% ", 100 * part);
        text += percent;
    }
    text += std::to_string(progress.files_done.load()) + " files, " + bytes_text(done);
    if (known)
    {
        text += " of " + bytes_text(found);
    }
    text += ", " + bytes_text(rate) + "/s";
    if (known && rate > 0)
    {
        text += ", ETA " + duration_text((found - std::min(done, found)) / rate);
    }
    else if (!known)
    {
        text += ", counting";
    }
    return text.substr(0, columns - 1);
}

bz::task<bz::result<void>> count_tree(const options& wanted, counters& progress,
                                      bz::sync::event& ended)
{
    for (const std::string& root : wanted.roots)
    {
        bz::fs::walk_options how;
        how.follow_links = wanted.follow_links;
        how.sorted = false;
        how.directories = false;
        bz::fs::walk walker(root, how);
        while (auto entry = co_await walker.next())
        {
            if (ended.is_set() || entry->error == std::errc::operation_canceled)
            {
                co_return {};
            }
            const auto status = co_await bz::fs::stat(entry->path, wanted.follow_links);
            if (status && status->type == bz::fs::file_type::regular)
            {
                progress.bytes_found.fetch_add(status->size, std::memory_order_relaxed);
            }
        }
    }
    progress.all_found = true;
    co_return {};
}

bz::task<bz::result<void>> show_progress(status_line& status, const counters& progress,
                                         bz::sync::event& ended)
{
    double rate = 0;
    double before = 0;
    auto last_time = std::chrono::steady_clock::now();
    for (;;)
    {
        const auto waited = co_await bz::timeout(frame_time, ended.wait());
        if (waited || waited.error() != std::errc::timed_out)
        {
            break;
        }
        const auto now = std::chrono::steady_clock::now();
        const auto done = static_cast<double>(progress.bytes_done.load());
        const double seconds = std::chrono::duration<double>(now - last_time).count();
        const double current = seconds > 0 ? (done - before) / seconds : 0;
        rate = rate == 0 ? current : rate + smoothing * (current - rate);
        before = done;
        last_time = now;
        // A terminal may make the writer wait for as long as it likes.
        co_await bz::try_(bz::spawn_blocking(
            [&] { status.show(progress_text(progress, rate, terminal_columns())); }));
    }
    status.erase();
    co_return {};
}

} // namespace hash_tree
