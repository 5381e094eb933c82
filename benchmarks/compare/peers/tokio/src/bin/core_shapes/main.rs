//! The shapes of the core cells on Tokio, each measured in a process of its own: `--only NAME`. What
//! each does is told in ../README.md of the comparison; blitzio's and Go's have the same names.

mod lifecycle;
mod sync;
mod tasks;
mod time;

use blitzio_compare_tokio::measure::measure;
use blitzio_compare_tokio::Options;
use std::future::Future;

struct Shapes {
    options: Options,
    known: bool,
}

impl Shapes {
    fn wants(&mut self, name: &str) -> bool {
        let wanted = self.options.wants(name);
        self.known |= wanted;
        wanted
    }

    /// Measures the cost per operation of `body(count)`, in a runtime of its own.
    fn rate<Fut>(&mut self, name: &str, unit: u64, body: fn(u64) -> Fut)
    where
        Fut: Future<Output = ()> + Send + 'static,
    {
        if self.wants(name) {
            measure(&self.options, &self.options.runtime(), name, unit, body);
        }
    }

    fn special(&mut self, name: &str, run: fn(&Options, &str)) {
        if self.wants(name) {
            run(&self.options, name);
        }
    }
}

fn main() {
    let mut shapes = Shapes {
        options: Options::from_args(),
        known: false,
    };
    shapes.rate("spawn_join", 1, tasks::spawn_join);
    shapes.rate("fan_out", tasks::FAN_OUT_WIDTH, tasks::fan_out);
    shapes.rate("fan_out_handles", tasks::FAN_OUT_WIDTH, tasks::fan_out);
    shapes.rate("yield", 1, tasks::give_way);
    shapes.rate("await_in_place", 1, tasks::await_in_place);
    shapes.rate("ping_pong", 1, sync::ping_pong);
    shapes.rate("mpmc_1p1c", 1, |count| sync::mpmc(count, 1));
    shapes.rate("mpmc_4p4c", 4, |count| sync::mpmc(count, 4));
    shapes.rate("mpsc_1p1c", 1, sync::mpsc_1p1c);
    shapes.rate("oneshot", 1, sync::oneshot);
    shapes.rate("mutex", 1, sync::mutex);
    shapes.rate("select_two", 2, sync::select_two);
    shapes.rate("timer_cancel", 1, time::timer_cancel);
    shapes.rate("timeout_yield", 1, time::timeout_yield);
    shapes.special("sleeps", time::sleeps);
    shapes.special("parked", lifecycle::parked);
    shapes.special("idle", lifecycle::idle);
    shapes.special("shutdown", lifecycle::shutdown);
    shapes.special("start_stop", lifecycle::start_stop);
    assert!(shapes.known, "there is no shape of that name");
}
