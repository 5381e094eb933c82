// All of blitzio's bridge between I/O and computing.
#pragma once

#include <blitzio/bridge/call_site.hpp>
#include <blitzio/bridge/compute_on.hpp>
#include <blitzio/bridge/compute_options.hpp>
#include <blitzio/bridge/parallel_map.hpp>
#include <blitzio/bridge/spawn_compute.hpp>
