//! What the Tokio twins share: the command line, the choice of runtime flavour and the mixed
//! protocol's answer. Plain functions without shared state; any thread may call them.

pub mod measure;

use std::io::Write;
use std::net::SocketAddr;
use tokio::runtime::{Builder, Runtime};

/// Options common to all twins; `flavor` and `nice` exist only here.
#[derive(Clone, Debug)]
pub struct Options {
    pub port: u16,
    pub threads: usize,
    pub compute: usize,
    pub seconds: f64,
    pub current_thread: bool,
    pub nice: i32,
    pub only: Option<String>,
}

fn usage(message: &str) -> ! {
    eprintln!("{message}");
    eprintln!(
        "options: --port P --threads N --compute C --flavor multi|current --nice N \
         --seconds S --only NAME"
    );
    std::process::exit(2);
}

impl Options {
    pub fn from_args() -> Options {
        let mut options = Options {
            port: 0,
            threads: 1,
            compute: 1,
            seconds: 0.3,
            current_thread: false,
            nice: 0,
            only: None,
        };
        let mut args = std::env::args().skip(1);
        while let Some(name) = args.next() {
            let Some(value) = args.next() else {
                usage(&format!("{name} lacks a value"));
            };
            options.set(&name, &value);
        }
        options
    }

    fn set(&mut self, name: &str, value: &str) {
        let bad = || -> ! { usage(&format!("bad value for {name}: {value}")) };
        match name {
            "--port" => self.port = value.parse().unwrap_or_else(|_| bad()),
            "--threads" => self.threads = value.parse().unwrap_or_else(|_| bad()),
            "--compute" => self.compute = value.parse().unwrap_or_else(|_| bad()),
            "--seconds" => self.seconds = value.parse().unwrap_or_else(|_| bad()),
            "--nice" => self.nice = value.parse().unwrap_or_else(|_| bad()),
            "--only" => self.only = Some(value.to_owned()),
            "--flavor" => {
                self.current_thread = match value {
                    "current" => true,
                    "multi" => false,
                    _ => bad(),
                }
            }
            _ => usage(&format!("unknown option {name}")),
        }
        if self.threads == 0 || self.compute == 0 || (self.current_thread && self.threads != 1) {
            bad();
        }
    }

    pub fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| only == name)
    }

    pub fn runtime(&self) -> Runtime {
        let mut builder = if self.current_thread {
            Builder::new_current_thread()
        } else {
            Builder::new_multi_thread()
        };
        if !self.current_thread {
            builder.worker_threads(self.threads);
        }
        builder.enable_all().build().expect("runtime")
    }

    /// A rayon pool whose threads may be given a nice value, to tell a scheduling trick from a
    /// better runtime.
    pub fn compute_pool(&self) -> &'static rayon::ThreadPool {
        let nice = self.nice;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(self.compute)
            .start_handler(move |_| {
                if nice != 0 {
                    // On Linux the value belongs to the calling thread, not to the process.
                    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
                }
            })
            .build()
            .expect("compute pool");
        Box::leak(Box::new(pool))
    }
}

/// The first line of every server: how the caller learns the port.
pub fn announce(address: SocketAddr) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on {address}").expect("stdout");
    out.flush().expect("stdout");
}

pub const REQUEST_LENGTH_MAX: usize = 1 << 20;

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(h: u64, word: u64, round: u64) -> u64 {
    let h = (h ^ word.wrapping_add(round)).wrapping_add(GOLDEN);
    let h = (h ^ (h >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let h = (h ^ (h >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    h ^ (h >> 31)
}

/// The answer of the mixed-workload protocol for a payload and a work factor.
pub fn mixed_answer(payload: &[u8], work: u32) -> u64 {
    let chunks = payload.chunks_exact(8);
    let rest = chunks.remainder();
    let mut last = [0u8; 8];
    last[..rest.len()].copy_from_slice(rest);
    let last = u64::from_le_bytes(last);
    let mut h = GOLDEN ^ payload.len() as u64;
    for round in 0..=u64::from(work) {
        for chunk in chunks.clone() {
            h = mix(h, u64::from_le_bytes(chunk.try_into().unwrap()), round);
        }
        if !rest.is_empty() {
            h = mix(h, last, round);
        }
    }
    h
}
