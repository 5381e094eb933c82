// Fetches many documents over TCP, hashes each on the compute pool, and writes one file with all the
// hashes: waiting, computing and writing at the same time, each where it belongs.
//
//     fetch_process_write ENDPOINT COUNT FILE
//
// For each number from 0 to COUNT - 1 it connects to ENDPOINT ("127.0.0.1:8080", "[::1]:8080"), sends
// the number and a newline, and reads until the end. FILE gets a line "number sha256" for each, in
// order, and replaces an old one only when everything has succeeded.
// Thread rule: a fixed number of tasks take the numbers one by one.
#include "support/arguments.hpp"

#include <blitzio/blitzio.hpp>

#include <openssl/evp.h>

#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <numeric>
#include <string>
#include <vector>

namespace bz = blitzio;
using namespace std::chrono_literals;

namespace
{

constexpr unsigned fetches_at_once = 64;
constexpr std::size_t document_bytes_max = 16 * 1024 * 1024;

std::string sha256(const std::vector<std::byte>& document)
{
    std::array<unsigned char, 32> digest{};
    EVP_Digest(document.data(), document.size(), digest.data(), nullptr, EVP_sha256(), nullptr);
    std::string text;
    for (const unsigned byte : digest)
    {
        text += {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]};
    }
    return text;
}

bz::task<bz::result<std::vector<std::byte>>> fetch(bz::net::endpoint from, std::string name)
{
    auto stream = co_await bz::try_(bz::net::tcp_stream::connect(from));
    co_await bz::try_(stream.write_all(name));
    std::vector<std::byte> document;
    for (std::size_t filled = 0; filled <= document_bytes_max;)
    {
        document.resize(filled + 32 * 1024);
        const std::size_t got =
            co_await bz::try_(stream.read_some(std::span(document).subspan(filled)));
        filled += got;
        if (got == 0)
        {
            document.resize(filled);
            co_return document;
        }
    }
    co_return bz::fail(std::errc::file_too_large);
}

/// One of the tasks: takes the next number until none is left. The first failure stops all.
bz::task<bz::result<void>> fetch_some(bz::net::endpoint from, std::atomic<std::size_t>& next,
                                      std::vector<std::string>& lines)
{
    for (std::size_t number; (number = next.fetch_add(1)) < lines.size();)
    {
        const std::string name = std::to_string(number);
        const auto document = co_await bz::try_(bz::timeout(30s, fetch(from, name + '\n')));
        const auto hash = co_await bz::try_(
            bz::compute_on(bz::compute::default_pool(), [&document] { return sha256(document); }));
        lines[number] = name + ' ' + hash + '\n';
    }
    co_return bz::result<void>();
}

bz::task<bz::result<std::string>> fetch_all(bz::net::endpoint from, std::size_t count)
{
    std::vector<std::string> lines(count);
    std::atomic<std::size_t> next{0};
    co_await bz::try_(bz::scope([&](bz::task_group& group) -> bz::task<bz::result<void>> {
        for (unsigned task = 0; task < fetches_at_once; ++task)
        {
            group.spawn(fetch_some(from, next, lines));
        }
        co_return bz::result<void>();
    }));
    co_return std::accumulate(lines.begin(), lines.end(), std::string());
}

} // namespace

int main(int argc, char** argv)
{
    const std::string_view text = argc == 4 ? argv[2] : "";
    unsigned count = 0;
    const auto [end, wrong] = std::from_chars(text.begin(), text.end(), count);
    if (text.empty() || wrong != std::errc() || end != text.end() || count > 1'000'000)
    {
        example::refuse("usage", "ENDPOINT COUNT FILE, COUNT up to 1000000, not '" +
                                     std::string(text) + '\'');
    }
    const auto from = bz::net::endpoint::parse(argv[1]);
    if (!from)
    {
        example::refuse("fetch_process_write", from.error().message());
    }
    bz::runtime runtime({.name = "fetch"});
    const auto lines = runtime.block_on(fetch_all(*from, count));
    if (!lines)
    {
        return example::exit_code(bz::fail(lines.error()), argv[1]);
    }
    const bz::fs::write_file_options options{.atomic = true};
    return example::exit_code(runtime.block_on(bz::fs::write_file(argv[3], *lines, options)),
                              argv[3]);
}
