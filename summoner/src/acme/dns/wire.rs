//! One question to one name server, or one signed update; the answer as it came (RFC 1035, 2136, 8945).
//!
//! Knows no resolver and no zone: `resolve` and the drivers do. Every exchange is bounded in time and in bytes, and an
//! answer counts only when it carries the question's number and the question itself.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RecordType, TSigner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// A datagram may be lost: it is sent again.
const TRIES: u32 = 2;
const ANSWER: Duration = Duration::from_secs(3);
/// A stream loses nothing, but an update is written to disk before it is answered.
const STREAM_ANSWER: Duration = Duration::from_secs(10);
/// What fits everywhere without being cut (DNS flag day 2020).
const DATAGRAM: u16 = 1232;
/// Seconds that our clock and the server's may differ (RFC 8945, section 10).
pub(super) const FUDGE: u16 = 300;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Lost {
    /// Nobody answered in time.
    Silent,
    /// It could not be sent, or the connection broke.
    Unreachable(io::Error),
    /// What came is no answer to the question.
    Garbled(String),
}

impl fmt::Display for Lost {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => write!(out, "no answer"),
            Self::Unreachable(error) => write!(out, "{error}"),
            Self::Garbled(why) => write!(out, "its answer makes no sense: {why}"),
        }
    }
}

/// Asks one server; by TCP where the answer does not fit into a datagram.
pub(crate) async fn ask(server: SocketAddr, name: &Name, kind: RecordType, recursive: bool) -> Result<Message, Lost> {
    let mut question = Message::query();
    question.metadata.recursion_desired = recursive;
    question.add_query(Query::query(name.clone(), kind));
    let mut edns = Edns::new();
    edns.set_max_payload(DATAGRAM);
    question.set_edns(edns);
    let bytes = question.to_vec().map_err(|error| Lost::Garbled(error.to_string()))?;
    let mut last = Lost::Silent;
    for _ in 0..TRIES {
        match timeout(ANSWER, by_datagram(server, &question, &bytes)).await {
            Err(_) => last = Lost::Silent,
            Ok(Err(lost)) => last = lost,
            Ok(Ok(answer)) if answer.metadata.truncation => {
                let raw = by_stream(server, &bytes).await?;
                return parsed(&question, &raw);
            }
            Ok(Ok(answer)) => return Ok(answer),
        }
    }
    Err(last)
}

/// Sends a message signed with the key; the answer has proven that it knows the key too, or says why it does not.
pub(super) async fn update(server: SocketAddr, mut message: Message, signer: &TSigner, now: u64) -> Result<Message, Lost> {
    let garbled = |error: &dyn fmt::Display| Lost::Garbled(error.to_string());
    let verifier = message.finalize(signer, now).map_err(|error| garbled(&error))?;
    let bytes = message.to_vec().map_err(|error| garbled(&error))?;
    let raw = by_stream(server, &bytes).await?;
    let answer = parsed(&message, &raw)?;
    // A refusal is believed as it is: whoever forges it gains nothing. A success needs the server's own signature.
    if answer.metadata.response_code == hickory_proto::op::ResponseCode::NoError {
        let mut verifier = verifier.ok_or_else(|| Lost::Garbled("it cannot be verified".to_owned()))?;
        verifier.verify(&raw).map_err(|error| Lost::Garbled(format!("its signature is not the key's ({error})")))?;
    }
    Ok(answer)
}

async fn by_datagram(server: SocketAddr, question: &Message, bytes: &[u8]) -> Result<Message, Lost> {
    let any = if server.is_ipv4() { SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)) } else { SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)) };
    let socket = UdpSocket::bind(any).await.map_err(Lost::Unreachable)?;
    // Connected: the kernel drops what comes from anyone else, and tells when the port is closed.
    socket.connect(server).await.map_err(Lost::Unreachable)?;
    socket.send(bytes).await.map_err(Lost::Unreachable)?;
    let mut room = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut room).await.map_err(Lost::Unreachable)?;
        // A late answer to an earlier question is passed over; the caller's timeout ends the wait.
        if let Ok(answer) = parsed(question, &room[..length]) {
            return Ok(answer);
        }
    }
}

async fn by_stream(server: SocketAddr, bytes: &[u8]) -> Result<Vec<u8>, Lost> {
    let length = u16::try_from(bytes.len()).map_err(|_| Lost::Garbled("the message is too long".to_owned()))?;
    let exchange = async {
        let mut stream = TcpStream::connect(server).await?;
        let mut framed = length.to_be_bytes().to_vec();
        framed.extend_from_slice(bytes);
        stream.write_all(&framed).await?;
        let length = stream.read_u16().await?;
        let mut raw = vec![0; usize::from(length)];
        stream.read_exact(&mut raw).await?;
        Ok(raw)
    };
    match timeout(STREAM_ANSWER, exchange).await {
        Err(_) => Err(Lost::Silent),
        Ok(result) => result.map_err(Lost::Unreachable),
    }
}

fn parsed(question: &Message, raw: &[u8]) -> Result<Message, Lost> {
    let answer = Message::from_vec(raw).map_err(|error| Lost::Garbled(error.to_string()))?;
    if answer.metadata.id != question.metadata.id || answer.metadata.message_type != MessageType::Response {
        return Err(Lost::Garbled("it belongs to another question".to_owned()));
    }
    // A server may leave the zone out of its answer to an update (RFC 2136, section 3.8), and the question out of a refusal.
    let repeated = question.metadata.op_code == OpCode::Update || answer.queries.is_empty() || answer.queries == question.queries;
    if repeated { Ok(answer) } else { Err(Lost::Garbled("it answers another question".to_owned())) }
}
