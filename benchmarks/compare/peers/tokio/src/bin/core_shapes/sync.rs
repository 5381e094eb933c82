//! Channels, oneshot, mutex, select. Bounded queues hold `CAPACITY` values, in every twin.

use std::hint::black_box;
use tokio::sync::{mpsc, oneshot, Mutex};

const CAPACITY: usize = 64;

fn sum_below(count: u64) -> u64 {
    count * count.saturating_sub(1) / 2
}

pub async fn ping_pong(count: u64) {
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

/// async-channel: Tokio itself has no queue with several consumers.
pub async fn mpmc(count: u64, pairs: u64) {
    let (sender, receiver) = async_channel::bounded::<u64>(CAPACITY);
    let mut producers = Vec::new();
    let mut consumers = Vec::new();
    for _ in 0..pairs {
        let sender = sender.clone();
        producers.push(tokio::spawn(async move {
            for index in 0..count / pairs {
                sender.send(index).await.expect("send");
            }
        }));
        let receiver = receiver.clone();
        consumers.push(tokio::spawn(async move {
            let mut sum = 0;
            while let Ok(value) = receiver.recv().await {
                sum += value;
            }
            sum
        }));
    }
    drop((sender, receiver));
    for producer in producers {
        producer.await.expect("producer");
    }
    let mut sum = 0;
    for consumer in consumers {
        sum += consumer.await.expect("consumer");
    }
    assert_eq!(sum, pairs * sum_below(count / pairs));
}

async fn produce(sender: mpsc::Sender<u64>, count: u64) {
    for index in 0..count {
        sender.send(index).await.expect("send");
    }
}

pub async fn mpsc_1p1c(count: u64) {
    let (sender, mut receiver) = mpsc::channel::<u64>(CAPACITY);
    let producer = tokio::spawn(produce(sender, count));
    let consumer = tokio::spawn(async move {
        let mut sum = 0;
        while let Some(value) = receiver.recv().await {
            sum += value;
        }
        sum
    });
    producer.await.expect("producer");
    assert_eq!(consumer.await.expect("consumer"), sum_below(count));
}

pub async fn oneshot(count: u64) {
    for index in 0..count {
        let (sender, receiver) = oneshot::channel();
        sender.send(black_box(index) + 1).expect("send");
        assert_eq!(receiver.await, Ok(index + 1));
    }
}

pub async fn mutex(count: u64) {
    let lock = Mutex::new(());
    let mut value = 0;
    for _ in 0..count {
        let _held = lock.lock().await;
        value = black_box(value) + 1;
    }
    assert_eq!(value, count);
}

pub async fn select_two(count: u64) {
    let (left_sender, mut left) = mpsc::channel::<u64>(CAPACITY);
    let (right_sender, mut right) = mpsc::channel::<u64>(CAPACITY);
    // Clones of the senders: the ends that stay here keep both channels open.
    let left_task = tokio::spawn(produce(left_sender.clone(), count / 2));
    let right_task = tokio::spawn(produce(right_sender.clone(), count / 2));
    let mut sum = 0;
    for _ in 0..count {
        sum += tokio::select! {
            value = left.recv() => value.expect("left"),
            value = right.recv() => value.expect("right"),
        };
    }
    left_task.await.expect("left");
    right_task.await.expect("right");
    assert_eq!(sum, 2 * sum_below(count / 2));
}
