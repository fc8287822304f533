//! When to apply what changed: at once where nothing else happens, else after a moment of quiet, and less and less often
//! while many containers start.
//!
//! Pure but for the type of its instants. A reload costs nginx a new generation of workers; three hundred of them at once
//! would cost more than the containers do.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// A change after so long without one is applied at once: nothing is known that could come with it.
const PEACE: Duration = Duration::from_millis(500);
/// Quiet before any other is: the events of one start come within this.
const QUIET: Duration = Duration::from_millis(25);
/// The same while many start, one after the other.
const BURST_QUIET: Duration = Duration::from_millis(150);
/// The longest wait for quiet.
const MOST: Duration = Duration::from_millis(250);
/// How much longer it gets with every level of a burst: 1.25, 6.25, 30 s. Three hundred that start within a minute are live
/// after five reloads, and nobody waits for longer than four fifths of the time that the burst has lasted.
const FACTOR: u32 = 5;
/// However many start: this often something is applied.
const MOST_IN_BURST: Duration = Duration::from_secs(30);
/// A container that joined a network starts within this, or it does not.
const STARTING: Duration = Duration::from_secs(3);
/// So many different containers that start within [`BURST_WINDOW`], or are about to, are a burst.
const BURST: usize = 3;
const BURST_WINDOW: Duration = Duration::from_millis(1500);

/// When what changed is due.
#[derive(Default)]
pub(super) struct Pace {
    /// The first and the last change that is not applied yet.
    changes: Option<(Instant, Instant)>,
    /// When something was applied last.
    applied: Option<Instant>,
    level: u32,
    /// Containers that are about to start.
    starting: BTreeMap<String, Instant>,
    started: VecDeque<(Instant, String)>,
}

impl Pace {
    /// Something changed.
    pub(super) fn touch(&mut self, now: Instant) {
        let first = self.changes.map_or(now, |(first, _)| first);
        self.changes = Some((first, now));
    }

    /// A container joined a network and does not run yet.
    pub(super) fn joins(&mut self, id: &str, now: Instant) {
        self.starting.insert(id.to_owned(), now + STARTING);
    }

    /// It runs, or does not any more.
    pub(super) fn arrived(&mut self, id: &str, started: bool, now: Instant) {
        self.starting.remove(id);
        if started && !self.started.iter().any(|(_, known)| known == id) {
            self.started.push_back((now, id.to_owned()));
        }
        self.forget(now);
    }

    fn forget(&mut self, now: Instant) {
        self.starting.retain(|_, end| *end > now);
        while self.started.front().is_some_and(|(at, _)| *at + BURST_WINDOW < now) {
            self.started.pop_front();
        }
    }

    /// When to apply; None while nothing changed.
    pub(super) fn due(&self) -> Option<Instant> {
        let (first, last) = self.changes?;
        if self.starting.is_empty() && self.level == 0 && self.applied.is_none_or(|at| at + PEACE < first) {
            return Some(first);
        }
        let most = first + MOST.saturating_mul(FACTOR.saturating_pow(self.level)).min(MOST_IN_BURST);
        let quiet = last + if self.level == 0 { QUIET } else { BURST_QUIET };
        let arriving = self.starting.values().max().copied();
        Some(arriving.map_or(quiet, |end| quiet.max(end)).min(most))
    }

    /// It is being applied; gives the moment of the first change.
    pub(super) fn applied(&mut self, now: Instant) -> Instant {
        let first = self.changes.take().map_or(now, |(first, _)| first);
        self.applied = Some(now);
        self.forget(now);
        let crowd = self.started.len() + self.starting.len();
        self.level = if crowd >= BURST { self.level.saturating_add(1) } else { 0 };
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_change_waits_for_nothing_the_next_for_quiet_and_a_stream_of_them_no_longer_than_most() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        assert_eq!(pace.due(), None);
        pace.touch(begin);
        assert_eq!(pace.due(), Some(begin));
        pace.applied(begin);
        pace.touch(begin);
        assert_eq!(pace.due(), Some(begin + QUIET));
        for step in 1..40 {
            pace.touch(begin + Duration::from_millis(20) * step);
        }
        assert_eq!(pace.due(), Some(begin + MOST));
        pace.applied(begin + MOST);
        assert_eq!(pace.due(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_about_to_start_is_waited_for_but_not_for_ever() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        pace.touch(begin);
        pace.joins("b", begin);
        assert_eq!(pace.due(), Some(begin + MOST), "its start is near");
        pace.arrived("b", true, begin + Duration::from_millis(100));
        pace.touch(begin + Duration::from_millis(100));
        assert_eq!(pace.due(), Some(begin), "it is here: nothing more to wait for");
    }

    #[tokio::test(start_paused = true)]
    async fn many_that_are_about_to_start_are_a_burst_too() {
        let (mut pace, begin) = (Pace::default(), Instant::now());
        ["a", "b", "c"].iter().for_each(|id| pace.joins(id, begin));
        pace.touch(begin);
        pace.applied(begin + MOST);
        assert_eq!(pace.level, 1, "a slow machine starts few within the window");
    }

    /// Three hundred that start one after the other, five a second: few applications, and a short wait at the end.
    #[tokio::test(start_paused = true)]
    async fn three_hundred_starts_are_applied_five_times() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        let mut applied = 0;
        for number in 0..300 {
            let id = number.to_string();
            pace.joins(&id, now);
            let started = now + Duration::from_millis(200);
            while pace.due().is_some_and(|due| due < started) {
                applied += 1;
                pace.applied(started);
            }
            now = started;
            pace.arrived(&id, true, now);
            pace.touch(now);
            // The next one joins its network a little later.
            now += Duration::from_millis(15);
        }
        let end = pace.due().expect("the last one");
        assert!(end <= now + BURST_QUIET, "the last one waits for quiet alone");
        assert!(applied < 6, "{applied} times");
        pace.applied(end + BURST_WINDOW * 2);
        assert_eq!(pace.level, 0, "and after it all is as before");
    }
}
