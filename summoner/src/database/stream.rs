//! The road through the engine: the data travels in the exec's own stream. Works wherever an engine answers.
//!
//! The stream of a finished command may lack its tail and nothing says so; hence the script writes its token after the
//! data and lives until we have seen it. A slow disk then only slows the tool down.

use std::io::{self, Read, Write};

use tokio::sync::mpsc::{Receiver, Sender};

use super::fifo::Filled;

/// How much is sent at once.
const CHUNK: usize = 64 << 10;

/// What is sent to a tool: bytes, then the end. A channel that closes without the end is a source that failed.
pub(super) enum Sent {
    /// Data.
    Bytes(Vec<u8>),
    /// There is no more.
    End,
}

/// Writes what arrives until the token does, without the token. Blocks.
///
/// # Errors
/// The sink fails, or the stream ended before the token.
pub(super) fn drain(mut from: Receiver<Vec<u8>>, into: &mut impl Write, token: &str) -> io::Result<()> {
    let token = token.as_bytes();
    let mut held: Vec<u8> = Vec::with_capacity(2 * token.len());
    while let Some(piece) = from.blocking_recv() {
        if piece.len() >= token.len() {
            let cut = piece.len() - token.len();
            into.write_all(&held)?;
            into.write_all(&piece[..cut])?;
            held.clear();
            held.extend_from_slice(&piece[cut..]);
        } else {
            held.extend_from_slice(&piece);
            let over = held.len().saturating_sub(token.len());
            into.write_all(&held[..over])?;
            held.drain(..over);
        }
        if held == token {
            return Ok(());
        }
    }
    Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended early"))
}

/// Sends everything that a reader gives, then the end. Blocks.
///
/// # Errors
/// The source fails.
pub(super) fn fill(into: &Sender<Sent>, mut from: impl Read) -> io::Result<Filled> {
    loop {
        let mut buffer = vec![0; CHUNK];
        let count = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        buffer.truncate(count);
        let piece = if count == 0 { Sent::End } else { Sent::Bytes(buffer) };
        if into.blocking_send(piece).is_err() {
            return Ok(Filled::Refused);
        }
        if count == 0 {
            return Ok(Filled::All);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn drained(pieces: &[&[u8]]) -> (io::Result<()>, Vec<u8>) {
        let (send, receive) = tokio::sync::mpsc::channel(64);
        for piece in pieces {
            send.try_send(piece.to_vec()).unwrap();
        }
        drop(send);
        let mut got = Vec::new();
        (drain(receive, &mut got, TOKEN), got)
    }

    #[test]
    fn the_token_ends_the_data_however_it_is_cut() {
        let all = format!("some data, 0123 and more{TOKEN}");
        for first in 0..all.len() {
            for second in first..all.len() {
                let bytes = all.as_bytes();
                let (result, got) = drained(&[&bytes[..first], &bytes[first..second], &bytes[second..]]);
                assert!(result.is_ok());
                assert_eq!(got, b"some data, 0123 and more");
            }
        }
    }

    #[test]
    fn without_it_the_data_is_short() {
        assert!(drained(&[b"some data", b" and more 0123456789abcde"]).0.is_err());
        assert!(drained(&[]).0.is_err());
        assert!(drained(&[TOKEN.as_bytes()]).0.is_ok());
    }
}
