//! The compute hand-off on Tokio + rayon: one JSON line each, nanoseconds of wall and CPU time per
//! operation. Every benchmark body is a spawned task, so that it runs on a worker and not on the
//! main thread.

use blitzio_compare_tokio::measure::measure;
use blitzio_compare_tokio::Options;
use rayon::ThreadPool;
use std::hint::black_box;
use tokio::sync::oneshot;

const IN_FLIGHT: u64 = 64;

async fn round_trip(pool: &'static ThreadPool, value: u64) -> u64 {
    let (sender, receiver) = oneshot::channel();
    pool.spawn(move || {
        let _ = sender.send(black_box(value) + 1);
    });
    receiver.await.expect("compute pool")
}

async fn round_trips(pool: &'static ThreadPool, count: u64) {
    for index in 0..count {
        assert_eq!(round_trip(pool, index).await, index + 1);
    }
}

async fn round_trips_in_flight(pool: &'static ThreadPool, count: u64) {
    let tasks: Vec<_> = (0..IN_FLIGHT)
        .map(|_| tokio::spawn(round_trips(pool, count / IN_FLIGHT)))
        .collect();
    for task in tasks {
        task.await.expect("task");
    }
}

async fn blocking_round_trips(count: u64) {
    for index in 0..count {
        let answer = tokio::task::spawn_blocking(move || black_box(index) + 1).await;
        assert_eq!(answer.expect("blocking pool"), index + 1);
    }
}

fn main() {
    let options = Options::from_args();
    let pool = options.compute_pool();
    let runtime = options.runtime();
    let (one, many) = ("compute_round_trip", "compute_round_trip_64");
    let blocking = "spawn_blocking_round_trip";
    if options.wants(one) {
        measure(&options, &runtime, one, 64, |count| {
            round_trips(pool, count)
        });
    }
    if options.wants(many) {
        measure(&options, &runtime, many, 64, |count| {
            round_trips_in_flight(pool, count)
        });
    }
    if options.wants(blocking) {
        measure(&options, &runtime, blocking, 64, blocking_round_trips);
    }
}
