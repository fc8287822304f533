//! A dump that is checked while it is kept: every piece goes to the sink and to readers beside it.
//!
//! Bounded: a reader that falls behind holds the dump up. One that goes away is written to no more; what that means is
//! told by how its own tool ended, not here. Knows no tools and no formats.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// How many pieces may wait for a reader; the largest is what a FIFO gives at once.
const PIECES: usize = 4;

enum Piece {
    Bytes(Arc<[u8]>),
    End,
}

/// A sink that others read along with.
pub(super) struct Tee<W> {
    into: W,
    readers: Vec<SyncSender<Piece>>,
}

impl<W> Tee<W> {
    pub(super) fn new(into: W) -> Self {
        Self { into, readers: Vec::new() }
    }

    /// Everything that is written from now on. It ends well only when the writer said so.
    pub(super) fn reader(&mut self) -> Box<dyn Read + Send> {
        let (send, from) = sync_channel(PIECES);
        self.readers.push(send);
        Box::new(Along { from, piece: Arc::from([]), at: 0, ended: false })
    }

    /// Tells the readers that this was all, and gives the sink back. Dropped without it, they fail. Blocks.
    pub(super) fn end(mut self) -> W {
        self.readers.retain(|reader| reader.send(Piece::End).is_ok());
        self.into
    }
}

impl<W: Write> Write for Tee<W> {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.into.write_all(piece)?;
        if !piece.is_empty() && !self.readers.is_empty() {
            let shared: Arc<[u8]> = Arc::from(piece);
            self.readers.retain(|reader| reader.send(Piece::Bytes(Arc::clone(&shared))).is_ok());
        }
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

/// What one reader has of it.
struct Along {
    from: Receiver<Piece>,
    piece: Arc<[u8]>,
    at: usize,
    ended: bool,
}

impl Read for Along {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.at == self.piece.len() && !self.ended {
            match self.from.recv() {
                Ok(Piece::Bytes(piece)) => (self.piece, self.at) = (piece, 0),
                Ok(Piece::End) => self.ended = true,
                Err(_) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the dump was cut off")),
            }
        }
        let count = buffer.len().min(self.piece.len() - self.at);
        buffer[..count].copy_from_slice(&self.piece[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_get_everything_however_it_is_cut() {
        let data: Vec<u8> = (0..100_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let mut tee = Tee::new(Vec::new());
        let readers = [tee.reader(), tee.reader()];
        let kept = std::thread::scope(|scope| {
            for mut reader in readers {
                let data = &data;
                scope.spawn(move || {
                    let mut got = Vec::new();
                    reader.read_to_end(&mut got).unwrap();
                    assert!(got == *data);
                });
            }
            data.chunks(777).for_each(|piece| tee.write_all(piece).unwrap());
            tee.end()
        });
        assert!(kept == data);
    }

    #[test]
    fn one_that_goes_away_stops_nobody() {
        let mut tee = Tee::new(Vec::new());
        let (gone, mut stays) = (tee.reader(), tee.reader());
        drop(gone);
        let reading = std::thread::spawn(move || {
            let mut got = Vec::new();
            stays.read_to_end(&mut got).map(|_| got)
        });
        for _ in 0..10 * PIECES {
            tee.write_all(b"piece").unwrap();
        }
        assert_eq!(tee.end().len(), 50 * PIECES);
        assert_eq!(reading.join().unwrap().unwrap().len(), 50 * PIECES);
    }

    #[test]
    fn what_was_cut_off_does_not_end_well() {
        let mut tee = Tee::new(io::sink());
        let mut reader = tee.reader();
        tee.write_all(b"half").unwrap();
        drop(tee);
        let mut got = Vec::new();
        assert_eq!(reader.read_to_end(&mut got).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(got, b"half");
    }

    #[test]
    fn one_that_is_slow_holds_it_up() {
        let mut tee = Tee::new(io::sink());
        let mut reader = tee.reader();
        let wrote = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let count = Arc::clone(&wrote);
        let writing = std::thread::spawn(move || {
            for _ in 0..3 * PIECES {
                tee.write_all(&[7]).unwrap();
                count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
            tee.end();
        });
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert_eq!(wrote.load(std::sync::atomic::Ordering::SeqCst), PIECES);
        let mut got = Vec::new();
        assert_eq!(reader.read_to_end(&mut got).unwrap(), 3 * PIECES);
        writing.join().unwrap();
    }
}
