//! Asks nginx which generation it runs. A request so small that a client library would be more than the thing itself.

use std::net::IpAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

const ONE_QUESTION: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(50);
/// Between two questions when one answer is enough.
const SHORT_PAUSE: Duration = Duration::from_millis(5);
/// nginx lets the old workers accept for 100 ms beside the new ones (`ngx_msleep(100)` in its master): one answer proves
/// that new workers live, these in a row that the old ones have gone.
const IN_A_ROW: u32 = 5;
const MAX_ANSWER_BYTES: u64 = 4096;

/// The generation that answers; None when nobody does.
pub(super) async fn ask(address: IpAddr, port: u16) -> Option<String> {
    timeout(ONE_QUESTION, question(address, port)).await.ok()?.ok()?
}

/// Asks until this generation answers; false when it did not in time. One answer proves that its workers live, and whoever
/// comes now is served by them or by the old ones; `strict` waits until the old ones have gone.
pub(super) async fn wait(address: IpAddr, port: u16, id: &str, within: Duration, strict: bool) -> bool {
    let end = Instant::now() + within;
    let (enough, pause) = if strict { (IN_A_ROW, PAUSE) } else { (1, SHORT_PAUSE) };
    let mut seen = 0;
    loop {
        seen = if ask(address, port).await.as_deref() == Some(id) { seen + 1 } else { 0 };
        if seen == enough {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        sleep(pause).await;
    }
}

async fn question(address: IpAddr, port: u16) -> std::io::Result<Option<String>> {
    let mut stream = TcpStream::connect((address, port)).await?;
    // HTTP/1.0: the answer ends with the connection, so it needs no parsing beyond its head.
    stream.write_all(b"GET / HTTP/1.0\r\nHost: marker\r\n\r\n").await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER_BYTES).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let ok = answer.starts_with("HTTP/1.0 200") || answer.starts_with("HTTP/1.1 200");
    Ok(answer.split_once("\r\n\r\n").filter(|_| ok).map(|(_, body)| body.trim().to_owned()))
}
