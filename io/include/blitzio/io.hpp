// Everything of the io module. Thread rule: see the headers.
#pragma once

#include <blitzio/io/blocking.hpp>
#include <blitzio/io/external_work.hpp>
#include <blitzio/io/interval.hpp>
#include <blitzio/io/metrics.hpp>
#include <blitzio/io/precise_sleep.hpp>
#include <blitzio/io/processors.hpp>
#include <blitzio/io/race.hpp>
#include <blitzio/io/result.hpp>
#include <blitzio/io/runtime.hpp>
#include <blitzio/io/runtime_config.hpp>
#include <blitzio/io/sleep.hpp>
#include <blitzio/io/spawn.hpp>
#include <blitzio/io/stop_token.hpp>
#include <blitzio/io/task.hpp>
#include <blitzio/io/task_group.hpp>
#include <blitzio/io/task_report.hpp>
#include <blitzio/io/this_task.hpp>
#include <blitzio/io/timeout.hpp>
#include <blitzio/io/try.hpp>
#include <blitzio/io/when_all.hpp>
#include <blitzio/io/yield.hpp>
