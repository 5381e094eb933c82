//! Mixed-workload server on Tokio: W = 0 is answered in the task, W > 0 goes to rayon and comes
//! back by a oneshot. Connection tasks run on Tokio's workers, heavy answers on rayon's threads.

use blitzio_compare_tokio::{announce, mixed_answer, Options, REQUEST_LENGTH_MAX};
use rayon::ThreadPool;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// One complete request at the head of `bytes`: its work factor and the end of its payload.
enum Head {
    Incomplete,
    Bad,
    Request { work: u32, end: usize },
}

fn parse(bytes: &[u8]) -> Head {
    if bytes.len() < 4 {
        return Head::Incomplete;
    }
    let length = u32::from_le_bytes(bytes[..4].try_into().unwrap()) as usize;
    if !(4..=REQUEST_LENGTH_MAX).contains(&length) {
        return Head::Bad;
    }
    if bytes.len() < 4 + length {
        return Head::Incomplete;
    }
    let work = u32::from_le_bytes(bytes[4..8].try_into().unwrap());
    Head::Request {
        work,
        end: 4 + length,
    }
}

async fn compute(pool: &'static ThreadPool, payload: Vec<u8>, work: u32) -> u64 {
    let (sender, receiver) = oneshot::channel();
    pool.spawn(move || {
        let _ = sender.send(mixed_answer(&payload, work));
    });
    receiver.await.expect("compute pool")
}

async fn serve(mut stream: TcpStream, pool: &'static ThreadPool) -> std::io::Result<()> {
    let mut input = Vec::with_capacity(16 * 1024);
    let mut output = Vec::with_capacity(1024);
    loop {
        let mut consumed = 0;
        let bad = loop {
            match parse(&input[consumed..]) {
                Head::Incomplete => break false,
                Head::Bad => break true,
                Head::Request { work: 0, end } => {
                    let answer = mixed_answer(&input[consumed + 8..consumed + end], 0);
                    output.extend_from_slice(&answer.to_le_bytes());
                    consumed += end;
                }
                Head::Request { work, end } => {
                    // Answers that are ready do not wait for the heavy one behind them.
                    if !output.is_empty() {
                        stream.write_all(&output).await?;
                        output.clear();
                    }
                    let payload = input[consumed + 8..consumed + end].to_vec();
                    let answer = compute(pool, payload, work).await;
                    output.extend_from_slice(&answer.to_le_bytes());
                    consumed += end;
                }
            }
        };
        input.drain(..consumed);
        if !output.is_empty() {
            stream.write_all(&output).await?;
            output.clear();
        }
        if bad || stream.read_buf(&mut input).await? == 0 {
            return Ok(());
        }
    }
}

async fn accept_all(port: u16, pool: &'static ThreadPool) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("bind");
    announce(listener.local_addr().expect("address"));
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).ok();
            tokio::spawn(async move {
                let _ = serve(stream, pool).await;
            });
        }
    }
}

fn main() {
    let options = Options::from_args();
    let pool = options.compute_pool();
    let runtime = options.runtime();
    runtime.block_on(async move {
        tokio::spawn(accept_all(options.port, pool))
            .await
            .expect("accept loop")
    });
}
