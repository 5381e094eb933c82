//! TCP echo server on Tokio: one task per connection, read then write_all.
//! Runs on the runtime's workers only; the main thread waits.

use blitzio_compare_tokio::{announce, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn serve(mut stream: TcpStream) {
    let mut buffer = vec![0u8; 16 * 1024];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => {
                if stream.write_all(&buffer[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn accept_all(port: u16) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("bind");
    announce(listener.local_addr().expect("address"));
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).ok();
            tokio::spawn(serve(stream));
        }
    }
}

fn main() {
    let options = Options::from_args();
    let runtime = options.runtime();
    // Spawned, because block_on would run the accept loop on the main thread, outside of the
    // workers.
    runtime.block_on(async move {
        tokio::spawn(accept_all(options.port))
            .await
            .expect("accept loop")
    });
}
