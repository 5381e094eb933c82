//! Timers: armed and withdrawn, around something that ends in time, and a hundred thousand at once.

use blitzio_compare_tokio::measure::{cost_of, print_line, run_spawned};
use blitzio_compare_tokio::Options;
use std::future::{poll_fn, Future};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::task::unconstrained;
use tokio::time::{sleep, timeout};

const LONG: Duration = Duration::from_secs(30);
const SLEEPERS: usize = 100_000;

/// A Sleep takes its place in the wheel when it is polled and leaves it when it is dropped.
/// Unconstrained, because with its budget used up a Sleep would not be armed.
pub async fn timer_cancel(count: u64) {
    unconstrained(async move {
        for _ in 0..count {
            let mut armed = pin!(sleep(LONG));
            let pending = poll_fn(|context| Poll::Ready(armed.as_mut().poll(context).is_pending()));
            assert!(pending.await);
        }
    })
    .await;
}

pub async fn timeout_yield(count: u64) {
    for _ in 0..count {
        timeout(LONG, tokio::task::yield_now())
            .await
            .expect("in time");
    }
}

async fn sleeper(duration: Duration) -> Duration {
    let begin = Instant::now();
    sleep(duration).await;
    begin
        .elapsed()
        .checked_sub(duration)
        .expect("a sleep ended early")
}

async fn all_sleepers() -> Vec<Duration> {
    let mut state: u64 = 0x2545_F491_4F6C_DD1D;
    let mut tasks = Vec::with_capacity(SLEEPERS);
    for _ in 0..SLEEPERS {
        state = state
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        tasks.push(tokio::spawn(sleeper(Duration::from_millis(
            1 + (state >> 33) % 100,
        ))));
    }
    let mut late = Vec::with_capacity(SLEEPERS);
    for task in tasks {
        late.push(task.await.expect("sleeper"));
    }
    late
}

pub fn sleeps(options: &Options, name: &str) {
    let runtime = options.runtime();
    let (_, cpu, mut late) = cost_of(|| run_spawned(&runtime, all_sleepers()));
    late.sort();
    let part = |thousandth: usize| late[SLEEPERS * thousandth / 1000].as_secs_f64() * 1e3;
    print_line(
        name,
        &[
            ("late_p50_ms", part(500)),
            ("late_p99_ms", part(990)),
            ("late_max_ms", late[SLEEPERS - 1].as_secs_f64() * 1e3),
            ("cpu_s", cpu * 1e-9),
        ],
    );
}
