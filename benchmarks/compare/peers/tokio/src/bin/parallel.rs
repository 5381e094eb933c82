//! The shapes of the parallel cells on Tokio and rayon: a task hands a loop to the pool and awaits a
//! oneshot, `--only NAME`. What each does is told in ../README.md of the comparison; blitzio's have
//! the same names.

use blitzio_compare_tokio::measure::{print_line, run_spawned};
use blitzio_compare_tokio::Options;
use rayon::prelude::*;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const MANY: usize = 100_000_000;
const MANY_TO_SORT: usize = 10_000_000;
const HANDED_OVER: usize = 200_000;
const REPETITIONS_MIN: usize = 3;
const HANDOVERS_MIN: usize = 200;

fn stir(value: u64) -> u64 {
    value
        .wrapping_mul(6364136223846793005)
        .wrapping_add(1442695040888963407)
}

fn weigh(value: u64) -> u64 {
    value ^ (value >> 33)
}

fn numbers(count: usize) -> Vec<u64> {
    let mut value = 1;
    (0..count)
        .map(|_| {
            value = stir(value);
            value
        })
        .collect()
}

fn median_of(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

struct Setup {
    options: Options,
    runtime: Runtime,
    pool: &'static rayon::ThreadPool,
}

/// Awaits `work` on the pool; gives it and how long the await took, in ns.
async fn handed_over<T, F>(pool: &'static rayon::ThreadPool, work: F) -> (T, f64)
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let begin = Instant::now();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    pool.spawn(move || {
        let _ = sender.send(work());
    });
    let value = receiver.await.expect("the pool");
    (value, begin.elapsed().as_nanos() as f64)
}

impl Setup {
    fn enough(&self, times: &[f64]) -> bool {
        let total: f64 = times.iter().sum();
        times.len() >= REPETITIONS_MIN
            && total >= Duration::from_secs_f64(self.options.seconds).as_nanos() as f64
    }

    /// The median time of `work`, which takes over the values and gives them back.
    fn print_median<F>(&self, name: &str, source: &[u64], renew: bool, work: F)
    where
        F: Fn(&mut Vec<u64>) + Clone + Send + 'static,
    {
        let mut values = source.to_vec();
        let mut times = Vec::new();
        let mut first = true;
        while first || !self.enough(&times) {
            if renew {
                values.copy_from_slice(source);
            }
            let work = work.clone();
            let pool = self.pool;
            let (back, time) = run_spawned(&self.runtime, async move {
                handed_over(pool, move || {
                    work(&mut values);
                    values
                })
                .await
            });
            values = back;
            if !first {
                times.push(time);
            }
            first = false;
        }
        print_line(name, &[("ms", median_of(&mut times) / 1e6)]);
    }

    fn map(&self, name: &str) {
        self.print_median(name, &numbers(MANY), false, |values| {
            values.par_iter_mut().for_each(|value| *value = stir(*value));
        });
    }

    fn reduce(&self, name: &str) {
        let source = numbers(MANY);
        let expected = source
            .iter()
            .fold(0u64, |sum, value| sum.wrapping_add(weigh(*value)));
        self.print_median(name, &source, false, move |values| {
            let sum = values
                .par_iter()
                .map(|value| weigh(*value))
                .reduce(|| 0, u64::wrapping_add);
            assert_eq!(sum, expected);
        });
    }

    fn sort(&self, name: &str) {
        self.print_median(name, &numbers(MANY_TO_SORT), true, |values| {
            values.par_sort_unstable();
        });
    }

    /// What it costs more to await a loop than to call it on a thread of the pool.
    fn handover(&self, name: &str) {
        let mut values = numbers(HANDED_OVER);
        let (mut direct, mut awaited) = (Vec::new(), Vec::new());
        while direct.len() < HANDOVERS_MIN || !self.enough(&awaited) {
            let pool = self.pool;
            let (back, inside, outside) = run_spawned(&self.runtime, async move {
                let ((mut values, inside), _) = handed_over(pool, move || {
                    let begin = Instant::now();
                    values.par_iter_mut().for_each(|value| *value = stir(*value));
                    (values, begin.elapsed().as_nanos() as f64)
                })
                .await;
                let (values, outside) = handed_over(pool, move || {
                    values.par_iter_mut().for_each(|value| *value = stir(*value));
                    values
                })
                .await;
                (values, inside, outside)
            });
            values = back;
            direct.push(inside);
            awaited.push(outside);
        }
        let inside = median_of(&mut direct);
        let more = (median_of(&mut awaited) - inside).max(0.0);
        print_line(name, &[("us", more / 1e3), ("loop_us", inside / 1e3)]);
    }
}

fn main() {
    let mut options = Options::from_args();
    options.compute = options.threads;
    let setup = Setup {
        runtime: options.runtime(),
        pool: options.compute_pool(),
        options,
    };
    let mut known = false;
    let shapes: [(&str, fn(&Setup, &str)); 4] = [
        ("parallel_map", Setup::map),
        ("parallel_reduce", Setup::reduce),
        ("parallel_sort", Setup::sort),
        ("loop_handover", Setup::handover),
    ];
    for (name, run) in shapes {
        if setup.options.wants(name) {
            known = true;
            run(&setup, name);
        }
    }
    assert!(known, "there is no shape of that name");
}
