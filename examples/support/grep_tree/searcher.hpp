// What a thread of the pool does with a job.
// Thread rule: any number of threads at a time.
#pragma once

#include "grep_tree/loader.hpp"
#include "grep_tree/patterns.hpp"
#include "grep_tree/search.hpp"

#include <vector>

namespace grep_tree
{

struct searched
{
    search work;
    findings found;
    /// Files of the job that have to be read another way, behind what was found.
    std::vector<subject> left;
};

class searcher
{
public:
    /// All three outlive it.
    searcher(const patterns& wanted, search_options how, loader& source) noexcept
        : wanted_(&wanted), how_(how), source_(&source)
    {
    }

    /// Until all is searched, something has to be read another way, or there is much to be printed:
    /// search::ended() says whether go_on() has to follow.
    [[nodiscard]] searched run(job work);

    [[nodiscard]] findings go_on(search& begun) const;

private:
    /// How far a file was searched.
    enum class progress : unsigned char
    {
        ended,
        behind,   // from its position on it has to be read another way
        uncached, // because it has to be waited for
    };

    [[nodiscard]] searched run_cached(std::vector<subject> files);
    [[nodiscard]] progress search_cached(subject& what, searched& into) const;

    const patterns* wanted_;
    search_options how_;
    loader* source_;
};

} // namespace grep_tree
