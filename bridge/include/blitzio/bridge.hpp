// All of blitzio's bridge between I/O and computing.
#pragma once

#include <blitzio/bridge/await_in_compute.hpp>
#include <blitzio/bridge/byte_size.hpp>
#include <blitzio/bridge/call_site.hpp>
#include <blitzio/bridge/compute_local.hpp>
#include <blitzio/bridge/compute_on.hpp>
#include <blitzio/bridge/compute_options.hpp>
#include <blitzio/bridge/par_map.hpp>
#include <blitzio/bridge/parallel_for.hpp>
#include <blitzio/bridge/parallel_invoke.hpp>
#include <blitzio/bridge/parallel_map.hpp>
#include <blitzio/bridge/parallel_reduce.hpp>
#include <blitzio/bridge/parallel_scan.hpp>
#include <blitzio/bridge/parallel_sort.hpp>
#include <blitzio/bridge/spawn_compute.hpp>
#include <blitzio/bridge/stream_progress.hpp>
