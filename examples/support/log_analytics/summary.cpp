// Adding up. Thread rule: see the header.
#include "log_analytics/summary.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <tuple>
#include <utility>

namespace log_analytics
{

namespace
{

/// What a path costs beside its text, roughly.
constexpr std::size_t path_bytes_each = 100;

/// For a message on a terminal: control characters as \xNN, and only the beginning.
std::string printable(std::string_view text)
{
    constexpr std::size_t shown_max = 100;
    constexpr std::string_view digits = "0123456789abcdef";
    std::string shown;
    for (const char c : text.substr(0, shown_max))
    {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte != 0x7f)
        {
            shown += c;
            continue;
        }
        shown += "\\x";
        shown += digits[byte >> 4];
        shown += digits[byte & 15];
    }
    return text.size() > shown_max ? shown + "..." : shown;
}

} // namespace

void durations::add(std::uint64_t microseconds) noexcept
{
    // Values below two times the steps have a slot each; above, the leading bits choose.
    const auto width = static_cast<unsigned>(std::bit_width(microseconds));
    const unsigned shift = width > steps_log2 + 1 ? width - (steps_log2 + 1) : 0;
    const std::size_t slot = (std::size_t{shift} << steps_log2) + (microseconds >> shift);
    ++slots_[slot];
    ++count_;
}

void durations::add(const durations& other) noexcept
{
    if (other.count_ == 0)
    {
        return;
    }
    for (std::size_t slot = 0; slot < slots; ++slot)
    {
        slots_[slot] += other.slots_[slot];
    }
    count_ += other.count_;
}

std::uint64_t durations::quantile(double share) const noexcept
{
    auto wanted = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_)));
    wanted = std::max<std::uint64_t>(wanted, 1);
    std::uint64_t seen = 0;
    for (std::size_t slot = 0; slot < slots && count_ != 0; ++slot)
    {
        seen += slots_[slot];
        if (seen >= wanted)
        {
            constexpr std::size_t steps = std::size_t{1} << steps_log2;
            const std::size_t shift = slot < 2 * steps ? 0 : (slot >> steps_log2) - 1;
            const std::uint64_t leading = slot - (shift << steps_log2);
            return ((leading + 1) << shift) - 1;
        }
    }
    return 0;
}

void summary::add(const access& line)
{
    ++requests;
    bytes += line.bytes;
    ++classes[line.status / 100];
    count_path(line.path, 1);
    if (line.microseconds)
    {
        times.add(*line.microseconds);
    }
}

void summary::count_path(std::string_view path, std::uint64_t times_seen)
{
    const auto known = paths_.find(path);
    if (known != paths_.end())
    {
        known->second += times_seen;
    }
    else if (path_bytes_ + path.size() <= path_bytes_max)
    {
        path_bytes_ += path.size() + path_bytes_each;
        paths_.emplace(path, times_seen);
    }
    else
    {
        other_paths += times_seen;
    }
}

void summary::add_malformed(std::string_view sender, std::string_view reason, std::string_view line)
{
    ++malformed;
    if (complaints.size() < complaints_max)
    {
        complaints.push_back(std::string(sender) + ": " + std::string(reason) + ": " +
                             printable(line));
    }
}

void summary::add(const summary& other)
{
    requests += other.requests;
    bytes += other.bytes;
    malformed += other.malformed;
    for (std::size_t index = 0; index < classes.size(); ++index)
    {
        classes[index] += other.classes[index];
    }
    other_paths += other.other_paths;
    times.add(other.times);
    for (const std::string& each : other.complaints)
    {
        if (complaints.size() < complaints_max)
        {
            complaints.push_back(each);
        }
    }
    for (const auto& [path, seen] : other.paths_)
    {
        count_path(path, seen);
    }
}

std::vector<std::pair<std::string, std::uint64_t>> summary::top_paths(std::size_t number) const
{
    std::vector<std::pair<std::string, std::uint64_t>> top(std::min(number, paths_.size()));
    const auto before = [](const auto& one, const auto& other) {
        return std::tuple(other.second, std::string_view(one.first)) <
               std::tuple(one.second, std::string_view(other.first));
    };
    std::partial_sort_copy(paths_.begin(), paths_.end(), top.begin(), top.end(), before);
    return top;
}

} // namespace log_analytics
