//! One page over HTTP/1.1 on loopback, and nothing else: GET and HEAD of `/metrics`, one answer a connection.
//!
//! By hand: a library would bring keep-alive, bodies and upgrades, each with limits of its own to set, for a page that
//! one program of this machine asks for every half minute. Everything is bounded: connections, bytes of a request, time.
//! Who is slow makes room for who comes.

use std::collections::VecDeque;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

use crate::error::{Error, Result};

/// Connections at once; one more pushes out the one that has been slow for longest.
const MOST: usize = 64;
/// For a request to arrive whole.
const REQUEST: Duration = Duration::from_secs(5);
/// For an answer to be made and taken.
const ANSWER: Duration = Duration::from_secs(30);
/// No request of a scraper is longer.
const MOST_BYTES: usize = 8 << 10;
/// A page is shown for so long before it is made anew.
const FRESH: Duration = Duration::from_secs(10);
/// After a connection that could not be taken: the process has too many files.
const PAUSE: Duration = Duration::from_millis(200);
/// The type of the format.
const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Makes the page.
pub type Page = Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<String>> + Send>> + Send + Sync>;

/// The page as it was made last, for everybody who asks soon after.
struct Made {
    page: Page,
    last: Mutex<Option<(Instant, Result<String, String>)>>,
}

impl Made {
    async fn get(&self) -> Result<String, String> {
        // Held while it is made: a hundred who ask at once have it made once.
        let mut last = self.last.lock().await;
        if let Some((at, page)) = &*last
            && at.elapsed() < FRESH
        {
            return page.clone();
        }
        let page = (self.page)().await.map_err(|error| error.message);
        *last = Some((Instant::now(), page.clone()));
        page
    }
}

/// A connection that is being answered.
struct Guest {
    task: AbortHandle,
    /// Its request arrived: it is not slow.
    asked: Arc<AtomicBool>,
}

/// Serves the page at a port of loopback until `stopped`.
///
/// # Errors
/// The port is taken.
pub async fn serve(port: u16, page: Page, stopped: impl Future<Output = ()>) -> Result<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Error::external(format!("cannot serve metrics at {address}"))
            .cause(error)
            .next("write another `metrics: {port: …}` into config.yml")
    })?;
    serve_on(&listener, page, stopped).await;
    Ok(())
}

async fn serve_on(listener: &TcpListener, page: Page, stopped: impl Future<Output = ()>) {
    let made = Arc::new(Made { page, last: Mutex::new(None) });
    let mut tasks = JoinSet::new();
    let mut guests: VecDeque<Guest> = VecDeque::new();
    tokio::pin!(stopped);
    loop {
        let accepted = tokio::select! {
            () = &mut stopped => break,
            Some(_) = tasks.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            sleep(PAUSE).await;
            continue;
        };
        guests.retain(|guest| !guest.task.is_finished());
        if guests.len() >= MOST {
            let slow = guests.iter().position(|guest| !guest.asked.load(Ordering::Relaxed));
            match slow.and_then(|at| guests.remove(at)) {
                Some(guest) => guest.task.abort(),
                // All of them wait for the page: this one comes again.
                None => continue,
            }
        }
        let asked = Arc::new(AtomicBool::new(false));
        let task = tasks.spawn(answer(stream, Arc::clone(&made), Arc::clone(&asked)));
        guests.push_back(Guest { task, asked });
    }
    tasks.shutdown().await;
}

/// Reads one request and answers it; whoever does not take the answer goes without.
async fn answer(mut stream: TcpStream, made: Arc<Made>, asked: Arc<AtomicBool>) {
    let reply = match timeout(REQUEST, head(&mut stream)).await {
        // Gone, or too slow: nobody to answer to.
        Ok(None) | Err(_) => return,
        Ok(Some(Err(status))) => reply(status, &[], "", true),
        Ok(Some(Ok(head))) => {
            asked.store(true, Ordering::Relaxed);
            match timeout(ANSWER, respond(&head, &made)).await {
                Ok(reply) => reply,
                Err(_) => reply("503 Service Unavailable", &[], "the numbers take too long\n", true),
            }
        }
    };
    let send = async {
        stream.write_all(reply.as_bytes()).await?;
        stream.shutdown().await
    };
    let _gone = timeout(REQUEST, send).await;
}

/// The head of a request; None when it never came whole.
async fn head(stream: &mut TcpStream) -> Option<Result<String, &'static str>> {
    let (mut bytes, mut part) = (Vec::new(), [0; 1024]);
    loop {
        let count = stream.read(&mut part).await.ok().filter(|count| *count > 0)?;
        bytes.extend_from_slice(&part[..count]);
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            bytes.truncate(end);
            return Some(String::from_utf8(bytes).map_err(|_| "400 Bad Request"));
        }
        if bytes.len() > MOST_BYTES {
            return Some(Err("431 Request Header Fields Too Large"));
        }
    }
}

async fn respond(head: &str, made: &Made) -> String {
    let mut lines = head.split("\r\n");
    let words: Vec<&str> = lines.next().unwrap_or_default().split(' ').collect();
    let [method, target, version] = words[..] else { return reply("400 Bad Request", &[], "", true) };
    if !version.starts_with("HTTP/1.") {
        return reply("505 HTTP Version Not Supported", &[], "", true);
    }
    // A page in a browser may ask under a name of its own that leads here (DNS rebinding): it does not get to read it.
    let host = lines.find_map(|line| line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("host")));
    if host.is_some_and(|(_, host)| !is_here(host.trim())) {
        return reply("421 Misdirected Request", &[], "ask for 127.0.0.1\n", true);
    }
    let body = match method {
        "GET" => true,
        "HEAD" => false,
        _ => return reply("405 Method Not Allowed", &["Allow: GET, HEAD"], "", true),
    };
    if target.split('?').next() != Some("/metrics") {
        return reply("404 Not Found", &[], "the numbers are at /metrics\n", body);
    }
    match made.get().await {
        Ok(page) => reply("200 OK", &[], &page, body),
        Err(why) => reply("500 Internal Server Error", &[], &format!("{why}\n"), body),
    }
}

/// Whether a host of a request is this machine's own.
fn is_here(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(name, _)| name);
    matches!(name.to_ascii_lowercase().as_str(), "localhost" | "[::1]")
        || name.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

fn reply(status: &str, more: &[&str], text: &str, body: bool) -> String {
    let more: String = more.iter().map(|line| format!("{line}\r\n")).collect();
    let kind = if status.starts_with("200") { TYPE } else { "text/plain; charset=utf-8" };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n{more}\r\n",
        text.len()
    );
    if body { head + text } else { head }
}

#[cfg(test)]
mod tests;
