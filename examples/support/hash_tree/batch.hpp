// A run of files, in output order, that is read and hashed by one task.
// Thread rule: one task at a time; hash() runs on the compute pool meanwhile, for the other stage.
#pragma once

#include "hash_tree/counters.hpp"
#include "hash_tree/ordered_output.hpp"
#include "hash_tree/sha256.hpp"

#include <blitzio/blitzio.hpp>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace hash_tree
{

/// Something the walk has found: a file to hash, or only a remark for stderr.
struct item
{
    std::string path;
    std::string remark;
    bool failed = false;
    std::string line;
};

/// "hash_tree: <path>: <reason>\n"
[[nodiscard]] std::string complaint(std::string_view path, std::string_view reason);

/// A piece of one file inside a stage.
struct piece
{
    std::size_t item;
    std::size_t offset;
    std::size_t length;
    bool first;
    bool last;
};

/// One half of the double buffer.
struct stage
{
    std::unique_ptr<std::byte[]> bytes;
    std::size_t used = 0;
    std::vector<piece> pieces;
};

/// What a batch needs while it is in progress; reused by the batches that follow.
struct workspace
{
    explicit workspace(std::size_t bytes_per_stage);

    std::size_t capacity;
    stage stages[2];
    sha256 hasher;
};

class batch
{
public:
    batch(std::vector<item> items, ordered_output::slot& out, counters& progress)
        : items_(std::move(items)), out_(&out), progress_(&progress)
    {
    }

    [[nodiscard]] ordered_output::slot& out() const noexcept
    {
        return *out_;
    }

    /// Reads the next stage while the one before is hashed, until all files are done. When a file
    /// turns out to be larger than a stage, the files behind it go to `split`, for another task.
    /// Errors: operation_canceled only; what is wrong with a file is a complaint in the output.
    [[nodiscard]] blitzio::task<blitzio::result<void>> run(
        workspace& space, blitzio::compute::pool& pool,
        std::function<void(std::vector<item>)> split);

private:
    /// Fills the stage from where the last one ended.
    [[nodiscard]] blitzio::task<blitzio::result<void>> fill(stage& into, std::size_t capacity);
    [[nodiscard]] blitzio::task<blitzio::result<void>> open_next();
    /// On the compute pool.
    void hash(const stage& from, sha256& hasher);
    void end_file(std::error_code error);
    void deliver();

    std::vector<item> items_;
    ordered_output::slot* out_;
    counters* progress_;
    std::size_t next_ = 0; // the file that is open, or the next to open
    blitzio::fs::file file_;
    std::uint64_t offset_ = 0;
};

} // namespace hash_tree
