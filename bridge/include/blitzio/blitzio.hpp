// Everything of blitzio, for programs that do not care which module a name comes from.
#pragma once

#include <blitzio/bridge.hpp>
#include <blitzio/compute.hpp>
#include <blitzio/fs.hpp>
#include <blitzio/io.hpp>
#include <blitzio/net.hpp>
#include <blitzio/sync.hpp>
