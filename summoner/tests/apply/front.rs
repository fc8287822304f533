//! The published https port of the proxy: real TLS with the certificates on disk, for the hosts that nginx serves.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::Acceptor;
use rustls::{ServerConfig, Stream};
use summoner::acme;
use summoner::docker::fake::Fake;
use summoner::layout::Layout;

use super::programs::Nginx;

/// The port of all fronts; each has an address of its own.
pub const PORT: u16 = 8443;

/// A host's page: the container behind it, and what it answers.
pub struct Page {
    pub container: String,
    pub status: u16,
    pub body: String,
}

/// Everything that an answer depends on.
pub struct Front {
    pub fake: Arc<Fake>,
    pub layout: Layout,
    pub nginx: Arc<Nginx>,
    pub proxy: String,
    pub pages: Mutex<BTreeMap<String, Page>>,
}

/// A listener on an address that nobody else has.
pub fn bind() -> (Ipv4Addr, TcpListener) {
    let try_one = || {
        let [a, b, c, _] = rand::random::<[u8; 4]>();
        let address = Ipv4Addr::new(127, a.clamp(1, 254), b, c.clamp(1, 254));
        Some((address, TcpListener::bind((address, PORT)).ok()?))
    };
    (0..20).find_map(|_| try_one()).unwrap()
}

impl Front {
    /// Answers in a thread of its own, which ends with the test.
    pub fn listen(self: Arc<Self>, listener: TcpListener) {
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away, or a host without a certificate, gets no answer.
                let _answered = self.answer(stream);
            }
        });
    }

    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut acceptor = Acceptor::default();
        let accepted = loop {
            acceptor.read_tls(&mut stream)?;
            if let Some(accepted) = acceptor.accept().map_err(|(error, _)| io::Error::other(error))? {
                break accepted;
            }
        };
        let host = accepted.client_hello().server_name().unwrap_or_default().to_owned();
        let (certificate, key) = acme::files(&self.layout, &host.parse().map_err(io::Error::other)?);
        let chain = CertificateDer::pem_file_iter(certificate).map_err(io::Error::other)?.collect::<Result<_, _>>();
        let key = PrivateKeyDer::from_pem_file(key).map_err(io::Error::other)?;
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain.map_err(io::Error::other)?, key);
        let config = Arc::new(config.map_err(io::Error::other)?);
        let mut connection = accepted.into_connection(config).map_err(|(error, _)| io::Error::other(error))?;
        let mut tls = Stream::new(&mut connection, &mut stream);
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            tls.read_exact(&mut byte)?;
            request.extend(byte);
        }
        let (status, body) = self.page(&host);
        write!(tls, "HTTP/1.1 {status} Front\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())?;
        connection.send_close_notify();
        connection.complete_io(&mut stream).map(drop)
    }

    fn page(&self, host: &str) -> (u16, String) {
        if !self.is_open(host) {
            return (421, String::new());
        }
        match self.pages.lock().unwrap().get(host) {
            Some(page) if self.fake.runs(&page.container) => (page.status, page.body.clone()),
            _ => (502, String::new()),
        }
    }

    /// Whether nginx runs and leads this host anywhere.
    pub fn is_open(&self, host: &str) -> bool {
        self.fake.runs(&self.proxy) && self.nginx.serves(host)
    }
}
