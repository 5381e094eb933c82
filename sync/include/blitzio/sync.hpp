// All of blitzio::sync. Thread rule: see each header.
#pragma once

#include <blitzio/sync/channel.hpp>
#include <blitzio/sync/event.hpp>
#include <blitzio/sync/latch.hpp>
#include <blitzio/sync/mutex.hpp>
#include <blitzio/sync/oneshot.hpp>
#include <blitzio/sync/semaphore.hpp>
