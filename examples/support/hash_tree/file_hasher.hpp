// Reads and hashes a run of files; what the threads of the pool do.
// Thread rule: hash() on several threads at once.
#pragma once

#include "hash_tree/counters.hpp"
#include "hash_tree/sha256.hpp"

#include <blitzio/io/stop_token.hpp>

#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hash_tree
{

/// Something the walk has found: a file to hash, or only a remark for stderr.
struct item
{
    std::string path;
    std::string remark;

    /// The memory that it and its result take while it is in flight.
    [[nodiscard]] std::size_t bytes() const noexcept
    {
        constexpr std::size_t digits = 70;
        return sizeof(item) + 2 * path.size() + remark.size() + digits;
    }
};

/// "hash_tree: <path>: <reason>\n"
[[nodiscard]] std::string complaint(std::string_view path, std::string_view reason);

struct hashed
{
    std::string lines;
    std::string complaints;
};

/// The files are read by plain calls on the thread that hashes them: the bytes are hashed where they
/// still lie in that processor's cache, and most files of a tree are smaller than what a way between
/// two threads costs. What is not in memory is asked of the disk for the whole run of files at once,
/// and only then waited for.
class file_hasher
{
public:
    file_hasher(std::size_t buffer_bytes, counters& progress);
    ~file_hasher();
    file_hasher(const file_hasher&) = delete;
    file_hasher& operator=(const file_hasher&) = delete;

    /// Once `stop` is requested the rest is left out.
    [[nodiscard]] hashed hash(std::span<item> items, blitzio::stop_token stop);

private:
    struct workspace;
    class loan;
    class run;

    std::size_t buffer_bytes_;
    counters& progress_;
    std::mutex mutex_;
    std::vector<std::unique_ptr<workspace>> idle_; // guarded by mutex_
};

} // namespace hash_tree
