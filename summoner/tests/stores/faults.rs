//! A proxy that breaks things: it cuts connections, answers in place of the server, and shortens what comes back.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What happens to one request.
#[derive(Debug, Clone)]
pub enum Act {
    /// It passes.
    Pass,
    /// The line breaks after so many bytes of what the client sends.
    CutUpload(u64),
    /// The line breaks after so many bytes of what the server sends.
    CutDownload(u64),
    /// It passes, and the answer is lost.
    LoseAnswer,
    /// This is the answer; the server hears nothing.
    Answer(&'static str, &'static str),
    /// The answer says that there is less, and gives less: what a broken store believes itself.
    Shorten(u64),
}

/// A request for HTTP.
pub struct Asked {
    /// The first one is 1.
    pub number: u64,
    pub method: String,
    /// With what follows the `?`.
    pub path: String,
}

type Rule = Box<dyn FnMut(&Asked) -> Act + Send>;

/// Listens in front of a server that speaks HTTP, for as long as the test runs.
pub fn http(server: u16, rule: impl FnMut(&Asked) -> Act + Send + 'static) -> u16 {
    let rule: Arc<Mutex<(u64, Rule)>> = Arc::new(Mutex::new((0, Box::new(rule))));
    listen(move |client| {
        let rule = rule.clone();
        // What breaks is what the test is about; nobody is to be told.
        let _ = pass(client, server, &rule);
    })
}

/// Listens in front of any server; the first connections are cut after so many bytes from the client, in their order.
pub fn cut(server: u16, after: Vec<u64>) -> u16 {
    let after = Arc::new(Mutex::new(after.into_iter()));
    listen(move |mut client| {
        let bound = after.lock().unwrap().next().unwrap_or(u64::MAX);
        let Ok(mut upstream) = connect(server) else { return };
        let (mut from, mut to) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
        });
        let _ = io::copy(&mut (&mut client).take(bound), &mut upstream);
        let _ = upstream.shutdown(Shutdown::Both);
        let _ = client.shutdown(Shutdown::Both);
    })
}

fn connect(server: u16) -> io::Result<TcpStream> {
    TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, server)))
}

fn listen(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its address").port();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || serve(client));
        }
    });
    port
}

/// One request, then the connection ends: so the client opens a new one for each, and each has its rule.
fn pass(mut client: TcpStream, server: u16, rule: &Mutex<(u64, Rule)>) -> io::Result<()> {
    let Some(head) = read_head(&mut client)? else { return Ok(()) };
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut words = text.split(' ');
    let (method, path) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let length = text.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok()).unwrap_or(0);
    let act = {
        let mut rule = rule.lock().unwrap();
        rule.0 += 1;
        let asked = Asked { number: rule.0, method, path };
        (rule.1)(&asked)
    };
    if let Act::Answer(status, body) = act {
        io::copy(&mut (&mut client).take(length), &mut io::sink())?;
        let (status, more) = status.split_once('|').unwrap_or((status, ""));
        write!(client, "HTTP/1.1 {status}\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())?;
        return client.shutdown(Shutdown::Write);
    }
    let mut upstream = connect(server)?;
    upstream.write_all(text.trim_end_matches("\r\n").as_bytes())?;
    upstream.write_all(b"\r\nConnection: close\r\n\r\n")?;
    let most = if let Act::CutUpload(bytes) = act { bytes.min(length) } else { length };
    io::copy(&mut (&mut client).take(most), &mut upstream)?;
    if most < length {
        return client.shutdown(Shutdown::Both);
    }
    match act {
        Act::LoseAnswer => {
            io::copy(&mut upstream, &mut io::sink())?;
        }
        Act::CutDownload(bytes) => {
            io::copy(&mut upstream.take(bytes), &mut client)?;
        }
        Act::Shorten(bytes) => {
            let head = read_head(&mut upstream)?.unwrap_or_default();
            let lines = String::from_utf8_lossy(&head).into_owned();
            let kept: Vec<&str> =
                lines.trim_end().lines().filter(|line| !line.to_ascii_lowercase().starts_with("content-length:")).collect();
            write!(client, "{}\r\nContent-Length: {bytes}\r\n\r\n", kept.join("\r\n"))?;
            io::copy(&mut upstream.take(bytes), &mut client)?;
        }
        _ => {
            io::copy(&mut upstream, &mut client)?;
        }
    }
    client.shutdown(Shutdown::Both)
}

/// Up to and with the empty line; None when the client only looked whether somebody listens.
fn read_head(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Ok(None);
        }
        head.push(byte[0]);
    }
    Ok(Some(head))
}
