//! What a runtime costs while its tasks wait, while it is idle, and when it begins and ends.

use blitzio_compare_tokio::measure::{cost_of, print_line, run_spawned};
use blitzio_compare_tokio::Options;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{oneshot, Notify};
use tokio::task::yield_now;
use tokio::time::sleep;

const PARKED_TASKS: u64 = 1_000_000;
const IDLE_TASKS: u64 = 1_000;
const LIVE_OPERATIONS: u64 = 10_000;
const CONNECTIONS: u64 = 200;
const HOUR: Duration = Duration::from_secs(3600);

fn resident_bytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/statm").expect("statm");
    let pages: f64 = status
        .split(' ')
        .nth(1)
        .expect("statm")
        .parse()
        .expect("statm");
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as f64
}

/// What tasks wait for, and how many of them have begun and ended.
#[derive(Default)]
struct Place {
    awaited: Notify,
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Place {
    fn new() -> &'static Place {
        Box::leak(Box::default())
    }
}

async fn park(place: &'static Place) {
    // A Notified that exists already hears of notify_waiters().
    let awaited = place.awaited.notified();
    place.begun.fetch_add(1, Relaxed);
    awaited.await;
    place.ended.fetch_add(1, Relaxed);
}

async fn park_all(place: &'static Place, count: u64) {
    for index in 0..count {
        tokio::spawn(park(place));
        if index % 64 == 0 {
            yield_now().await; // the queue of those that have not begun stays short
        }
    }
    while place.begun.load(Relaxed) != count {
        yield_now().await;
    }
}

async fn release_all(place: &'static Place) {
    place.awaited.notify_waiters();
    while place.ended.load(Relaxed) != place.begun.load(Relaxed) {
        yield_now().await;
    }
}

pub fn parked(options: &Options, name: &str) {
    let runtime = options.runtime();
    let warm_up = Place::new();
    run_spawned(&runtime, async move {
        park_all(warm_up, 1000).await;
        release_all(warm_up).await;
    });
    let place = Place::new();
    let before = resident_bytes();
    let (wall, _, ()) = cost_of(|| run_spawned(&runtime, park_all(place, PARKED_TASKS)));
    let tasks = PARKED_TASKS as f64;
    let bytes = (resident_bytes() - before) / tasks;
    run_spawned(&runtime, release_all(place));
    let locals = std::mem::size_of_val(&park(place)) as f64;
    print_line(
        name,
        &[
            ("bytes", bytes),
            ("locals_bytes", locals),
            ("beyond_locals_bytes", bytes - locals),
            ("ns_per_task", wall / tasks),
        ],
    );
}

fn switches() -> (f64, f64) {
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
    (usage.ru_nvcsw as f64, usage.ru_nivcsw as f64)
}

pub fn idle(options: &Options, name: &str) {
    let runtime = options.runtime();
    let place = Place::new();
    run_spawned(&runtime, park_all(place, IDLE_TASKS));
    runtime.spawn(async { sleep(HOUR).await });
    // The main thread waits inside the runtime, because one of the flavours has no other thread.
    runtime.block_on(async { sleep(Duration::from_millis(500)).await });
    let before = switches();
    let window = Duration::from_secs_f64(options.seconds);
    let (wall, cpu, ()) = cost_of(|| runtime.block_on(async { sleep(window).await }));
    let after = switches();
    print_line(
        name,
        &[
            ("cpu_percent", 100.0 * cpu / wall),
            ("voluntary", after.0 - before.0),
            ("involuntary", after.1 - before.1),
            ("seconds", wall * 1e-9),
        ],
    );
}

/// Counts when the future that holds it is dropped.
struct Ended(&'static Place);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Relaxed);
    }
}

async fn sleep_long(place: &'static Place) {
    let _ended = Ended(place);
    place.begun.fetch_add(1, Relaxed);
    sleep(HOUR).await;
}

async fn read_nothing(mut stream: TcpStream, place: &'static Place) {
    let _ended = Ended(place);
    let mut buffer = [0u8; 64];
    place.begun.fetch_add(1, Relaxed);
    let _ = stream.read(&mut buffer).await;
}

async fn load(place: &'static Place) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("local address");
    for _ in 0..CONNECTIONS {
        let here = TcpStream::connect(address).await.expect("connect");
        let (there, _) = listener.accept().await.expect("accept");
        tokio::spawn(read_nothing(here, place));
        tokio::spawn(read_nothing(there, place));
    }
    for _ in 2 * CONNECTIONS..LIVE_OPERATIONS {
        tokio::spawn(sleep_long(place));
    }
    while place.begun.load(Relaxed) != LIVE_OPERATIONS {
        yield_now().await;
    }
    sleep(Duration::from_millis(10)).await; // the last of them wait by now
}

pub fn shutdown(options: &Options, name: &str) {
    let runtime = options.runtime();
    let place = Place::new();
    run_spawned(&runtime, load(place));
    assert_eq!(
        place.ended.load(Relaxed),
        0,
        "an operation ended before the shutdown"
    );
    let (wall, cpu, ()) = cost_of(|| runtime.shutdown_timeout(Duration::from_secs(30)));
    assert_eq!(place.ended.load(Relaxed), LIVE_OPERATIONS);
    print_line(name, &[("ms", wall * 1e-6), ("cpu_ms", cpu * 1e-6)]);
}

fn start_and_stop(options: &Options, place: &'static Place) {
    let runtime: Runtime = options.runtime();
    for _ in 0..30 {
        runtime.spawn(sleep_long(place));
    }
    let (begun, has_begun) = oneshot::channel();
    runtime.spawn(async move {
        tokio::task::spawn_blocking(|| 1).await.expect("blocking");
        let _ = begun.send(());
        loop {
            yield_now().await;
        }
    });
    runtime.block_on(has_begun).expect("the busy task");
    drop(runtime);
    assert_eq!(place.ended.load(Relaxed), place.begun.load(Relaxed));
}

pub fn start_stop(options: &Options, name: &str) {
    let place = Place::new();
    let mut took: Vec<f64> = Vec::new();
    while took.len() < 20 || (took.iter().sum::<f64>() < options.seconds * 3e9 && took.len() < 500)
    {
        took.push(cost_of(|| start_and_stop(options, place)).0);
    }
    took.sort_by(f64::total_cmp);
    print_line(
        name,
        &[
            ("ms", took[took.len() / 2] * 1e-6),
            ("worst_ms", took[took.len() - 1] * 1e-6),
            ("cycles", took.len() as f64),
        ],
    );
}
