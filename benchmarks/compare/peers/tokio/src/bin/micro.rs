//! Micro benchmarks on Tokio + rayon: one JSON line each, nanoseconds of wall and CPU time per
//! operation. Every benchmark body is a spawned task, so that it runs on a worker and not on the
//! main thread.

use blitzio_compare_tokio::Options;
use rayon::ThreadPool;
use std::future::Future;
use std::hint::black_box;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

fn cpu_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Runs `body(iterations)` with growing counts until it lasts long enough, then prints the cost of
/// the last run.
fn measure<F, Fut>(options: &Options, runtime: &Runtime, name: &str, mut body: F)
where
    F: FnMut(u64) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    if options.only.as_deref().is_some_and(|only| only != name) {
        return;
    }
    let wanted = Duration::from_secs_f64(options.seconds);
    let mut iterations = 1024;
    loop {
        let (cpu_begin, begin) = (cpu_ns(), Instant::now());
        let future = body(iterations);
        runtime.block_on(async move { tokio::spawn(future).await.expect("benchmark") });
        let (elapsed, cpu) = (begin.elapsed(), cpu_ns() - cpu_begin);
        if elapsed >= wanted {
            let per_op = elapsed.as_nanos() as f64 / iterations as f64;
            let cpu_per_op = cpu as f64 / iterations as f64;
            println!(
                "{{\"name\": \"{name}\", \"ns_per_op\": {per_op:.1}, \
                  \"cpu_ns_per_op\": {cpu_per_op:.1}}}"
            );
            return;
        }
        let growth = wanted.as_secs_f64() * 1.2 / elapsed.as_secs_f64().max(1e-6);
        iterations = (iterations as f64 * growth.clamp(1.2, 20.0)) as u64 / 64 * 64;
    }
}

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

async fn round_trips_in_flight(pool: &'static ThreadPool, count: u64, in_flight: u64) {
    let tasks: Vec<_> = (0..in_flight)
        .map(|_| tokio::spawn(round_trips(pool, count / in_flight)))
        .collect();
    for task in tasks {
        task.await.expect("task");
    }
}

async fn spawn_join(count: u64) {
    for index in 0..count {
        let task = tokio::spawn(async move { black_box(index) + 1 });
        assert_eq!(task.await.expect("task"), index + 1);
    }
}

async fn ping_pong(count: u64) {
    let (to_echo, mut from_main) = mpsc::channel::<u64>(1);
    let (to_main, mut from_echo) = mpsc::channel::<u64>(1);
    let echo = tokio::spawn(async move {
        while let Some(value) = from_main.recv().await {
            to_main.send(value + 1).await.expect("send");
        }
    });
    for index in 0..count {
        to_echo.send(index).await.expect("send");
        assert_eq!(from_echo.recv().await, Some(index + 1));
    }
    drop(to_echo);
    echo.await.expect("echo");
}

fn main() {
    let options = Options::from_args();
    let pool = options.compute_pool();
    let runtime = options.runtime();
    measure(&options, &runtime, "compute_round_trip", move |count| {
        round_trips(pool, count)
    });
    measure(&options, &runtime, "compute_round_trip_64", move |count| {
        round_trips_in_flight(pool, count, 64)
    });
    measure(&options, &runtime, "spawn_join", spawn_join);
    measure(&options, &runtime, "channel_ping_pong", ping_pong);
}
