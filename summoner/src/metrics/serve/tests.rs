use std::sync::atomic::AtomicUsize;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

struct Served {
    address: SocketAddr,
    made: Arc<AtomicUsize>,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

async fn served(page: Result<String, &'static str>) -> Served {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let made = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&made);
    let page: Page = Box::new(move || {
        let page = page.clone().map_err(Error::external);
        count.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            sleep(Duration::from_millis(50)).await;
            page
        })
    });
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(async move { serve_on(&listener, page, async { stopped.await.unwrap_or_default() }).await });
    Served { address, made, stop, task }
}

impl Served {
    async fn ask(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        let _reset = timeout(Duration::from_secs(20), stream.read_to_string(&mut text)).await.unwrap();
        text
    }

    async fn status(&self, request: &str) -> String {
        self.ask(request).await.lines().next().unwrap_or_default().to_owned()
    }
}

#[tokio::test]
async fn only_the_page_is_there_and_only_for_this_machine() {
    let served = served(Ok("summoner_engine_up 1\n".to_owned())).await;
    let whole = served.ask("GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9273\r\n\r\n").await;
    assert!(
        whole.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: 21\r\n"),
        "{whole}"
    );
    assert!(whole.ends_with("\r\n\r\nsummoner_engine_up 1\n"), "{whole}");
    let head = served.ask("HEAD /metrics?x=1 HTTP/1.0\r\nHost: localhost\r\n\r\n").await;
    assert!(head.contains("Content-Length: 21\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert_eq!(served.made.load(Ordering::SeqCst), 1, "made once for both");
    for (request, status) in [
        ("GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("GET /metrics/../x HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("POST /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "405 Method Not Allowed"),
        ("GET /metrics HTTP/1.1\r\nHost: evil.example.org\r\n\r\n", "421 Misdirected Request"),
        ("GET /metrics HTTP/1.1\r\nhost: 127.0.0.1.evil.org:80\r\n\r\n", "421 Misdirected Request"),
        ("GET /metrics HTTP/1.1\r\nHost: [::1]:9273\r\n\r\n", "200 OK"),
        ("GET /metrics HTTP/2\r\n\r\n", "505 HTTP Version Not Supported"),
        ("nonsense\r\n\r\n", "400 Bad Request"),
        ("GET /\u{0} HTTP/1.1\r\n\r\n", "404 Not Found"),
    ] {
        assert_eq!(served.status(request).await, format!("HTTP/1.1 {status}"), "{request}");
    }
    assert!(served.status(&format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(9000))).await.contains("431"));
    served.stop.send(()).unwrap();
    timeout(Duration::from_secs(5), served.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_cannot_be_found_out_is_no_empty_page() {
    let served = served(Err("cannot read the repository")).await;
    let text = served.ask("GET /metrics HTTP/1.1\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 500 ") && text.ends_with("cannot read the repository\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_slow_ones_keep_nobody_out() {
    let served = served(Ok("summoner_engine_up 1\n".to_owned())).await;
    let mut slow = Vec::new();
    for number in 0..1000 {
        let mut stream = timeout(Duration::from_secs(5), TcpStream::connect(served.address)).await.unwrap().unwrap();
        let _pushed_out = stream.write_all(b"GET /metr").await;
        slow.push(stream);
        if number % 100 == 99 {
            let begun = Instant::now();
            assert_eq!(served.status("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await, "HTTP/1.1 200 OK", "after {number}");
            assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        }
    }
    // And those that ask and take no answer end by themselves.
    served.stop.send(()).unwrap();
    timeout(Duration::from_secs(5), served.task).await.unwrap().unwrap();
}
