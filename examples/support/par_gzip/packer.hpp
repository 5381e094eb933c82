// From one file to one compressed file: read | par_map(compress) | write.
// Thread rule: awaited by one task, one file at a time.
#pragma once

#include "par_gzip/gzip_member.hpp"
#include "par_gzip/options.hpp"

#include <blitzio/blitzio.hpp>

#include <cstddef>
#include <cstdint>
#include <string>

namespace par_gzip
{

/// What -v tells.
struct figures
{
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    /// Input that was in flight at the same time, at the most.
    std::size_t bytes_peak = 0;
};

class packer
{
public:
    packer(const options& wanted, blitzio::compute::pool& pool);

    /// Why a file was left alone or could not be compressed, for stderr; empty when all went well.
    /// Errors: operation_canceled only, and then nothing is left of a FILE.gz.
    [[nodiscard]] blitzio::task<blitzio::result<std::string>> pack(std::string path, figures& told);

private:
    class input;
    class output;

    [[nodiscard]] blitzio::task<blitzio::result<std::string>> to_file(std::string path,
                                                                      figures& told);
    [[nodiscard]] blitzio::task<blitzio::result<std::string>> to_stdout(std::string path,
                                                                        figures& told);
    /// The pipeline. What fails says in `where` whether it was the input or the output.
    [[nodiscard]] blitzio::task<blitzio::result<void>> run(input& from, output& to, figures& told);
    [[nodiscard]] blitzio::generator<buffer> pieces(input& from, figures& told);

    const options& options_;
    blitzio::compute::pool& pool_;
    member_maker maker_;
};

} // namespace par_gzip
