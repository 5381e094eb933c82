// Garbage and hashes over the memory of operations in flight.
// Thread rule: the simulation's thread only.
#include "driver/sim/buffer_guard.hpp"

#include <algorithm>
#include <cstring>

namespace blitzio::detail::sim
{
namespace
{

/// Longer buffers are watched at both ends only: what reuses a buffer touches one of them.
constexpr std::size_t watched_end_bytes = 8 * 1024;

constexpr std::uint64_t mix(std::uint64_t value) noexcept
{
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
    return value ^ (value >> 31);
}

constexpr std::uint64_t golden = 0x9E3779B97F4A7C15u;

/// Calls `visit(offset, length)` for each part of [0, size) that is watched.
template <class Visit>
void for_each_watched(std::size_t size, const Visit& visit)
{
    if (size <= 2 * watched_end_bytes)
    {
        visit(std::size_t{0}, size);
        return;
    }
    visit(std::size_t{0}, watched_end_bytes);
    visit(size - watched_end_bytes, watched_end_bytes);
}

void fill_with_garbage(std::byte* data, std::size_t size, std::uint64_t key)
{
    for_each_watched(size, [&](std::size_t offset, std::size_t length) {
        for (std::size_t at = 0; at < length; at += sizeof(std::uint64_t))
        {
            const std::uint64_t word = mix(key + (offset + at) * golden);
            std::memcpy(data + offset + at, &word, std::min(sizeof word, length - at));
        }
    });
}

bool holds_garbage(const std::byte* data, std::size_t size, std::uint64_t key)
{
    bool same = true;
    for_each_watched(size, [&](std::size_t offset, std::size_t length) {
        for (std::size_t at = 0; at < length && same; at += sizeof(std::uint64_t))
        {
            const std::uint64_t word = mix(key + (offset + at) * golden);
            same = std::memcmp(data + offset + at, &word, std::min(sizeof word, length - at)) == 0;
        }
    });
    return same;
}

std::uint64_t hash_of(const std::byte* data, std::size_t size)
{
    std::uint64_t hash = golden ^ size;
    for_each_watched(size, [&](std::size_t offset, std::size_t length) {
        for (std::size_t at = 0; at < length; at += sizeof(std::uint64_t))
        {
            std::uint64_t word = 0;
            std::memcpy(&word, data + offset + at, std::min(sizeof word, length - at));
            hash = mix(hash ^ word) + golden;
        }
    });
    return hash;
}

/// Stands in a directory batch while its operation is in flight; no file can have this name.
constexpr std::string_view batch_in_flight{"/in flight/"};

} // namespace

std::string_view operation_name(op_kind kind) noexcept
{
    switch (kind)
    {
    case op_kind::nop: return "nop";
    case op_kind::accept: return "accept";
    case op_kind::connect: return "connect";
    case op_kind::recv: return "recv";
    case op_kind::recv_leased: return "recv_leased";
    case op_kind::send: return "send";
    case op_kind::read: return "read";
    case op_kind::write: return "write";
    case op_kind::read_at: return "read_at";
    case op_kind::write_at: return "write_at";
    case op_kind::sync: return "sync";
    case op_kind::open: return "open";
    case op_kind::close: return "close";
    case op_kind::stat: return "stat";
    case op_kind::read_directory: return "read_directory";
    case op_kind::rename: return "rename";
    case op_kind::unlink: return "unlink";
    case op_kind::make_directory: return "make_directory";
    case op_kind::poll: return "poll";
    }
    return "unknown operation";
}

void buffer_guard::add(range::purpose use, const void* data, std::size_t size)
{
    if (data != nullptr && size > 0)
    {
        // The kernel's view: what is only read is never written through this pointer.
        auto* const bytes = static_cast<std::byte*>(const_cast<void*>(data));
        ranges_[count_] = {use, bytes, size, hash_of(bytes, size)};
        ++count_;
    }
}

void buffer_guard::add_text(const char* text)
{
    if (text != nullptr)
    {
        add(range::purpose::argument_read_by_kernel, text, std::strlen(text) + 1);
    }
}

void buffer_guard::begin(op& operation, std::uint64_t key)
{
    count_ = 0;
    const auto& transfer = operation.args.transfer;
    switch (operation.kind)
    {
    case op_kind::recv:
    case op_kind::read:
    case op_kind::read_at:
        // Not hashed through add(): the buffer may hold anything, also nothing initialised.
        if (transfer.data != nullptr && transfer.length > 0)
        {
            ranges_[count_++] = {range::purpose::buffer_written_by_kernel,
                                 static_cast<std::byte*>(transfer.data), transfer.length, 0};
        }
        break;
    case op_kind::send:
    case op_kind::write:
    case op_kind::write_at:
        add(range::purpose::buffer_read_by_kernel, transfer.data, transfer.length);
        break;
    case op_kind::accept:
        add(range::purpose::result_written_by_kernel, operation.args.peer.address,
            sizeof(socket_address));
        break;
    case op_kind::recv_leased:
        add(range::purpose::result_written_by_kernel, operation.args.lease.out,
            sizeof(buffer_lease));
        break;
    case op_kind::connect:
        add(range::purpose::argument_read_by_kernel, operation.args.peer.address,
            sizeof(socket_address));
        break;
    case op_kind::open:
    case op_kind::unlink:
    case op_kind::make_directory: add_text(operation.args.open.path); break;
    case op_kind::rename:
        add_text(operation.args.paths.from);
        add_text(operation.args.paths.to);
        break;
    case op_kind::stat:
        add_text(operation.args.stat.path);
        add(range::purpose::result_written_by_kernel, operation.args.stat.out, sizeof(file_status));
        break;
    case op_kind::read_directory:
        operation.args.directory.out->entries.clear();
        operation.args.directory.out->names.assign(batch_in_flight);
        break;
    case op_kind::nop:
    case op_kind::sync:
    case op_kind::close:
    case op_kind::poll: break;
    }
    for (std::size_t i = 0; i < count_; ++i)
    {
        range& watched = ranges_[i];
        if (watched.use == range::purpose::buffer_written_by_kernel ||
            watched.use == range::purpose::result_written_by_kernel)
        {
            watched.expected = key + i;
            fill_with_garbage(watched.data, watched.size, watched.expected);
        }
    }
}

std::string_view buffer_guard::stir(op& operation, std::uint64_t key)
{
    const std::string_view problem = check(operation);
    if (!problem.empty() && operation.kind == op_kind::read_directory)
    {
        operation.args.directory.out->names.assign(batch_in_flight);
    }
    for (std::size_t i = 0; i < count_; ++i)
    {
        range& watched = ranges_[i];
        if (watched.use == range::purpose::buffer_written_by_kernel ||
            watched.use == range::purpose::result_written_by_kernel)
        {
            watched.expected = key + i;
            fill_with_garbage(watched.data, watched.size, watched.expected);
        }
        else if (!problem.empty())
        {
            // Reported once: from here on the memory as it is now is watched.
            watched.expected = hash_of(watched.data, watched.size);
        }
    }
    return problem;
}

std::string_view buffer_guard::check(const op& operation) const
{
    for (std::size_t i = 0; i < count_; ++i)
    {
        const range& watched = ranges_[i];
        switch (watched.use)
        {
        case range::purpose::none: break;
        case range::purpose::buffer_written_by_kernel:
            if (!holds_garbage(watched.data, watched.size, watched.expected))
            {
                return "the buffer to be filled was written to";
            }
            break;
        case range::purpose::result_written_by_kernel:
            if (!holds_garbage(watched.data, watched.size, watched.expected))
            {
                return "the place for the result was written to";
            }
            break;
        case range::purpose::buffer_read_by_kernel:
            if (hash_of(watched.data, watched.size) != watched.expected)
            {
                return "the bytes to be transferred were changed";
            }
            break;
        case range::purpose::argument_read_by_kernel:
            if (hash_of(watched.data, watched.size) != watched.expected)
            {
                return "an argument was changed";
            }
            break;
        }
    }
    if (operation.kind == op_kind::read_directory &&
        operation.args.directory.out->names != batch_in_flight)
    {
        return "the place for the result was written to";
    }
    return {};
}

} // namespace blitzio::detail::sim
