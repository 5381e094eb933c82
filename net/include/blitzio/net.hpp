// All of blitzio::net. Thread rule: as its parts.
#pragma once

#include <blitzio/net/address.hpp>
#include <blitzio/net/endpoint.hpp>
#include <blitzio/net/parse_error.hpp>
#include <blitzio/net/tcp_listener.hpp>
#include <blitzio/net/tcp_stream.hpp>
