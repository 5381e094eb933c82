//! Clocks, the growing loop and the JSON lines of the micro and core programs. Called on the main
//! thread.

use crate::Options;
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Nanoseconds of CPU time of the whole process.
pub fn cpu_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Wall and CPU nanoseconds of `body`.
pub fn cost_of<T>(body: impl FnOnce() -> T) -> (f64, f64, T) {
    let (cpu_begin, begin) = (cpu_ns(), Instant::now());
    let value = body();
    let elapsed = begin.elapsed().as_nanos() as f64;
    (elapsed, (cpu_ns() - cpu_begin) as f64, value)
}

pub fn print_line(name: &str, figures: &[(&str, f64)]) {
    let fields: String = figures
        .iter()
        .map(|(key, value)| format!(", \"{key}\": {value:.6}"))
        .collect();
    println!("{{\"name\": \"{name}\"{fields}}}");
}

/// Runs `future` as a task of its own, so that it runs on a worker and not on the main thread.
pub fn run_spawned<F>(runtime: &Runtime, future: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    runtime.block_on(async move { tokio::spawn(future).await.expect("benchmark") })
}

/// Runs `body(count)` with growing counts, multiples of `unit`, until it lasts long enough, then
/// prints the cost of the last run.
pub fn measure<F, Fut>(options: &Options, runtime: &Runtime, name: &str, unit: u64, mut body: F)
where
    F: FnMut(u64) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    let wanted = Duration::from_secs_f64(options.seconds).as_nanos() as f64;
    let mut iterations = (1024 / unit).max(1) * unit;
    loop {
        let (elapsed, cpu, ()) = cost_of(|| run_spawned(runtime, body(iterations)));
        let count = iterations as f64;
        if elapsed >= wanted {
            print_line(
                name,
                &[
                    ("ns_per_op", elapsed / count),
                    ("cpu_ns_per_op", cpu / count),
                ],
            );
            return;
        }
        let growth = (wanted * 1.2 / elapsed.max(1e3)).clamp(1.2, 20.0);
        let units = (count * growth) as u64 / unit;
        iterations = units.max(iterations / unit + 1) * unit;
    }
}
