//! Starting tasks, waiting for them, giving way.

use std::hint::black_box;

pub const FAN_OUT_WIDTH: u64 = 100_000;

async fn incremented(value: u64) -> u64 {
    black_box(value) + 1
}

pub async fn spawn_join(count: u64) {
    for index in 0..count {
        let answer = tokio::spawn(incremented(index)).await.expect("task");
        assert_eq!(answer, index + 1);
    }
}

pub async fn fan_out(count: u64) {
    let mut tasks = Vec::with_capacity(FAN_OUT_WIDTH as usize);
    for _ in 0..count / FAN_OUT_WIDTH {
        for index in 0..FAN_OUT_WIDTH {
            tasks.push(tokio::spawn(incremented(index)));
        }
        let mut sum = 0;
        for task in tasks.drain(..) {
            sum += task.await.expect("task");
        }
        assert_eq!(sum, FAN_OUT_WIDTH * (FAN_OUT_WIDTH + 1) / 2);
    }
}

pub async fn give_way(count: u64) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

/// An async function awaited where it is called: Rust makes it a part of the caller's future.
pub async fn await_in_place(count: u64) {
    for index in 0..count {
        assert_eq!(incremented(index).await, index + 1);
    }
}
