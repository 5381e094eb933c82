// All of blitzio::sync. Thread rule: see each header.
#pragma once

#include <blitzio/sync/barrier.hpp>
#include <blitzio/sync/broadcast.hpp>
#include <blitzio/sync/channel.hpp>
#include <blitzio/sync/condition_variable.hpp>
#include <blitzio/sync/event.hpp>
#include <blitzio/sync/latch.hpp>
#include <blitzio/sync/mutex.hpp>
#include <blitzio/sync/notify.hpp>
#include <blitzio/sync/once_cell.hpp>
#include <blitzio/sync/oneshot.hpp>
#include <blitzio/sync/semaphore.hpp>
#include <blitzio/sync/shared_mutex.hpp>
#include <blitzio/sync/spsc.hpp>
#include <blitzio/sync/watch.hpp>
