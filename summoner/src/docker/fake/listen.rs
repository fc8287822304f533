//! Lets a program answer HTTP on a container's address: one request a connection.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;

use super::SharedProgram;

/// Far above any request of ours.
const MAX_REQUEST: usize = 1 << 20;

/// Ends with the container.
pub(super) struct Listener(AbortHandle);

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Answers on an address until dropped.
pub(super) fn listen(address: Ipv4Addr, port: u16, program: SharedProgram) -> io::Result<Listener> {
    let listener = TcpListener::bind((address, port))?;
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let task = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            // Who goes away in the middle gets no answer.
            if let Ok(Some((method, path))) = request(&mut stream).await {
                let (status, body) = program.answer(&method, &path);
                let text = format!("HTTP/1.1 {status} Fake\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
                if stream.write_all(text.as_bytes()).await.is_ok() && stream.shutdown().await.is_err() {
                    continue;
                }
            }
        }
    });
    Ok(Listener(task.abort_handle()))
}

/// Reads a whole request; gives its method and path.
async fn request(stream: &mut TcpStream) -> io::Result<Option<(String, String)>> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            if body.len() >= length.and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0) {
                let mut words = head.split_whitespace().map(str::to_owned);
                return Ok(words.next().zip(words.next()));
            }
        }
        if bytes.len() > MAX_REQUEST || stream.read_buf(&mut bytes).await? == 0 {
            return Ok(None);
        }
    }
}
