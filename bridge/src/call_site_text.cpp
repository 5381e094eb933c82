// What was measured at the call sites, as text. Thread rule: any thread.
#include <blitzio/bridge/call_site.hpp>
#include <blitzio/bridge/detail/call_site_record.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace blitzio
{

namespace
{

/// Without the locale, which may have a comma for the point.
std::string number(double value, std::chars_format format, int digits)
{
    char buffer[64];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, value, format, digits).ptr;
    return {buffer, end};
}

/// "0.4 us", "12 us", "2.0 ms"; what begins with two digits needs none behind the point.
std::string readable(std::chrono::nanoseconds time)
{
    constexpr std::array<std::pair<double, const char*>, 3> units{
        {{1e9, " s"}, {1e6, " ms"}, {1e3, " us"}}};
    const auto count = static_cast<double>(time.count());
    for (const auto& [size, name] : units)
    {
        if (count >= size || size == units.back().first)
        {
            const double value = count / size;
            return number(value, std::chars_format::fixed, value < 10 ? 1 : 0) + name;
        }
    }
    return {};
}

/// Those that were reached last come first.
std::vector<call_site_report> unsorted_call_sites()
{
    std::vector<call_site_report> sites;
    detail::call_site_record::for_each(
        [&sites](const detail::call_site_record& each) { sites.push_back(each.report()); });
    return sites;
}

double total_of(const call_site_report& site)
{
    return static_cast<double>(site.calls) * static_cast<double>(site.mean.count());
}

/// A label's value: backslash, quote and line feed are written with a backslash.
std::string escaped(std::string_view text)
{
    std::string out;
    for (const char each : text)
    {
        if (each == '\\' || each == '"' || each == '\n')
        {
            out += '\\';
        }
        out += each == '\n' ? 'n' : each;
    }
    return out;
}

} // namespace

std::string call_site_report::advice_text() const
{
    switch (advice)
    {
    case call_site_advice::unknown: return "too few calls measured";
    case call_site_advice::cheaper_inline: return "runs " + readable(mean) + ": cheaper inline";
    case call_site_advice::either:
        return "runs " + readable(mean) + ": about what handing it over costs";
    case call_site_advice::pool: return "runs " + readable(mean) + ": belongs on the pool";
    }
    return {};
}

std::vector<call_site_report> compute_call_sites()
{
    auto sites = unsorted_call_sites();
    std::ranges::sort(sites, [](const auto& left, const auto& right) {
        return total_of(left) != total_of(right) ? total_of(left) > total_of(right)
                                                 : left.where < right.where;
    });
    return sites;
}

std::string explain_call_sites()
{
    std::string text;
    for (const auto& each : compute_call_sites())
    {
        text += each.where + ": " + std::to_string(each.calls) + " calls";
        if (each.calls_inline != 0)
        {
            text += " (" + std::to_string(each.calls_inline) + " inline)";
        }
        if (each.refused != 0)
        {
            text += ", " + std::to_string(each.refused) + " refused";
        }
        text += ", longest " + readable(each.longest) + "; ";
        if (each.hand_off.count() != 0)
        {
            text += "handing over costs " + readable(each.hand_off) + "; ";
        }
        text += each.advice_text() + '\n';
    }
    return text;
}

std::string call_sites_to_prometheus(std::string_view prefix)
{
    // In the order in which they were reached first, so that their numbers stay.
    auto sites = unsorted_call_sites();
    std::ranges::reverse(sites);
    std::string text;
    const auto family = [&](std::string_view name, std::string_view type, std::string_view help,
                            auto value) {
        const auto full = std::string(prefix) + '_' + std::string(name);
        text += "# HELP " + full + ' ' + std::string(help) + '\n';
        text += "# TYPE " + full + ' ' + std::string(type) + '\n';
        for (std::size_t index = 0; index < sites.size(); ++index)
        {
            // Instances of a template share a place; the number keeps their samples apart.
            text += full + "{site=\"" + escaped(sites[index].where) + "\",index=\"" +
                    std::to_string(index) + "\"} " + value(sites[index]) + '\n';
        }
    };
    const auto seconds = [](std::chrono::nanoseconds time) {
        return number(static_cast<double>(time.count()) * 1e-9, std::chars_format::general, 6);
    };
    family("compute_calls_total", "counter", "Computations begun at a call site.",
           [](const auto& site) { return std::to_string(site.calls); });
    family("compute_calls_inline_total", "counter", "Those of them on the calling thread.",
           [](const auto& site) { return std::to_string(site.calls_inline); });
    family("compute_calls_refused_total", "counter", "Computations refused for their deadline.",
           [](const auto& site) { return std::to_string(site.refused); });
    family("compute_call_mean_seconds", "gauge", "Weighted mean of the measured calls.",
           [&](const auto& site) { return seconds(site.mean); });
    family("compute_call_longest_seconds", "gauge", "The longest measured call.",
           [&](const auto& site) { return seconds(site.longest); });
    family("compute_hand_off_seconds", "gauge", "What handing over costs there.",
           [&](const auto& site) { return seconds(site.hand_off); });
    return text;
}

} // namespace blitzio
