// All of blitzio::fs. Thread rule: as its parts.
#pragma once

#include <blitzio/fs/directory.hpp>
#include <blitzio/fs/file.hpp>
#include <blitzio/fs/path_operations.hpp>
#include <blitzio/fs/types.hpp>
#include <blitzio/fs/walk.hpp>
