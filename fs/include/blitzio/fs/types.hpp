// What file operations tell about files. Thread rule: plain values.
#pragma once

#include <blitzio/io/detail/file_types.hpp>

namespace blitzio::fs
{

/// regular, directory, symlink, fifo, socket, character_device, block_device or unknown.
using file_type = blitzio::detail::file_type;

/// Size, type, permissions, owner, times and identity of a file.
using file_status = blitzio::detail::file_status;

/// One portion of a directory listing, reusable for the next: names in one string, entries into it.
using directory_batch = blitzio::detail::directory_batch;

} // namespace blitzio::fs
