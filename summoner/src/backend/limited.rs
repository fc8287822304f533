//! Sends no faster than it is told: for places behind a line that people work on too.

use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Backend, Blob, Held, Hold, Receipt};
use crate::error::{Error, Result};

/// Time that was not used is not made up for beyond this.
const CREDIT: Duration = Duration::from_secs(1);
/// Parts of a second's bytes that are let through at once.
const STEPS: u64 = 10;

/// A place that takes so many bytes a second, over all that is sent there at once.
pub struct Limited {
    inner: Arc<dyn Backend>,
    bytes_per_second: u64,
    /// When what was sent so far is paid for.
    paid_until: Mutex<Instant>,
}

impl Limited {
    /// Puts a limit in front of a place.
    #[must_use]
    pub fn new(inner: Arc<dyn Backend>, bytes_per_second: u64) -> Self {
        Self { inner, bytes_per_second: bytes_per_second.max(STEPS), paid_until: Mutex::new(Instant::now()) }
    }

    /// Notes what is to be sent, and how long to wait before it.
    fn pay(&self, bytes: u64, now: Instant) -> Duration {
        let mut paid = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(CREDIT).unwrap_or(now);
        *paid = (*paid).max(earliest) + Duration::from_secs_f64(bytes as f64 / self.bytes_per_second as f64);
        paid.saturating_duration_since(now)
    }
}

struct Paced<'a> {
    inner: &'a mut dyn Read,
    limit: &'a Limited,
}

impl Read for Paced<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.limit.bytes_per_second / STEPS).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.inner.read(&mut buffer[..most])?;
        std::thread::sleep(self.limit.pay(read as u64, Instant::now()));
        Ok(read)
    }
}

impl Backend for Limited {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn append_only(&self) -> bool {
        self.inner.append_only()
    }

    fn put(&self, name: &str, bytes: &mut dyn Read) -> Result<Receipt> {
        self.inner.put(name, &mut Paced { inner: bytes, limit: self })
    }

    fn take(&self, name: &str, file: &Path) -> Result<()> {
        let mut bytes = std::fs::File::open(file).map_err(|error| Error::io("open", file, &error))?;
        self.put(name, &mut bytes)?;
        std::fs::remove_file(file).map_err(|error| Error::io("remove", file, &error))
    }

    fn read_back(&self, name: &str) -> Result<Option<Receipt>> {
        self.inner.read_back(name)
    }

    fn get(&self, name: &str) -> Result<Option<Box<dyn Read + Send>>> {
        self.inner.get(name)
    }

    fn list(&self, prefix: &str) -> Result<Vec<Blob>> {
        self.inner.list(prefix)
    }

    fn delete(&self, name: &str) -> Result<()> {
        self.inner.delete(name)
    }

    fn link(&self, from: &str, to: &str) -> Result<()> {
        self.inner.link(from, to)
    }

    fn lock(&self, name: &str, hold: Hold) -> Result<Option<Box<dyn Held>>> {
        self.inner.lock(name, hold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::local::Local;

    #[test]
    fn what_is_sent_is_paid_for_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let limited = Limited::new(Arc::new(Local::new(folder.path())), 1 << 20);
        let since = Instant::now();
        // A second of credit is none at the start: the first bytes are paid for too.
        limited.put("a", &mut io::repeat(1).take(3 << 18)).unwrap();
        let took = since.elapsed();
        assert!(took > Duration::from_millis(700), "{took:?}");
        let receipt = limited.read_back("a").unwrap().unwrap();
        assert_eq!(receipt.bytes, 3 << 18);
    }

    #[test]
    fn a_pause_is_no_reason_to_send_faster_for_long() {
        let folder = tempfile::tempdir().unwrap();
        let limited = Limited::new(Arc::new(Local::new(folder.path())), 1000);
        let now = Instant::now();
        assert_eq!(limited.pay(1000, now + Duration::from_secs(3600)), Duration::ZERO);
        assert!(limited.pay(1000, now + Duration::from_secs(3600)) > Duration::from_millis(990));
    }
}
