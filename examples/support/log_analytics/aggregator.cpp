// Parsing, and adding up what was parsed. Thread rule: see the header.
#include "log_analytics/aggregator.hpp"

#include <functional>
#include <thread>
#include <utility>

namespace log_analytics
{

std::unique_lock<std::mutex> aggregator::choose(part*& chosen)
{
    thread_local const std::size_t own = std::hash<std::thread::id>()(std::this_thread::get_id());
    for (std::size_t step = 0; step < parts_.size(); ++step)
    {
        chosen = &parts_[(own + step) % parts_.size()];
        std::unique_lock lock(chosen->mutex, std::try_to_lock);
        if (lock.owns_lock())
        {
            return lock;
        }
    }
    chosen = &parts_[own % parts_.size()];
    return std::unique_lock(chosen->mutex);
}

void aggregator::add(const block& lines)
{
    part* chosen = nullptr;
    const auto lock = choose(chosen);
    std::string_view rest(lines.text.get(), lines.length);
    while (!rest.empty())
    {
        const auto end = rest.find('\n');
        add_line(chosen->sum, *lines.sender, rest.substr(0, end));
        rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
    }
}

void aggregator::add_line(summary& to, std::string_view sender, std::string_view line) const
{
    if (line.ends_with('\r'))
    {
        line.remove_suffix(1);
    }
    if (line.size() > line_bytes_max_)
    {
        to.add_malformed(sender, "longer than allowed", line);
        return;
    }
    std::string_view reason;
    if (const auto parsed = parse_access_line(line, reason))
    {
        to.add(*parsed);
    }
    else
    {
        to.add_malformed(sender, reason, line);
    }
}

void aggregator::add_overlong(std::string_view sender, std::string_view beginning)
{
    part* chosen = nullptr;
    const auto lock = choose(chosen);
    chosen->sum.add_malformed(sender, "longer than allowed", beginning);
}

const summary& aggregator::collect()
{
    for (part& each : parts_)
    {
        summary taken;
        {
            const std::lock_guard lock(each.mutex);
            taken = std::exchange(each.sum, {});
        }
        total_.add(taken);
    }
    return total_;
}

} // namespace log_analytics
