// All of blitzio's bridge between I/O and computing.
#pragma once

#include <blitzio/bridge/byte_size.hpp>
#include <blitzio/bridge/compute_on.hpp>
#include <blitzio/bridge/par_map.hpp>
#include <blitzio/bridge/parallel_map.hpp>
#include <blitzio/bridge/spawn_compute.hpp>
#include <blitzio/bridge/stream_progress.hpp>
