// All of blitzio::compute.
#pragma once

#include <blitzio/compute/parallel.hpp>
#include <blitzio/compute/pool.hpp>
#include <blitzio/compute/this_compute.hpp>
