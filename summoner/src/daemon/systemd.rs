//! What a service tells systemd: that it is ready, alive, busy, or ending. Elsewhere it tells nobody.

use std::time::Duration;

use sd_notify::NotifyState;

/// How often systemd wants to hear of it, at least; none when it does not watch.
#[must_use]
pub fn watchdog() -> Option<Duration> {
    // Twice as often as asked: one lost message is no death.
    sd_notify::watchdog_enabled().map(|period| period / 2)
}

/// The loop turns.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It still turns, and this is what it does.
pub fn alive(status: &str) {
    tell(&[NotifyState::Watchdog, NotifyState::Status(status)]);
}

/// It ends, when what runs has ended.
pub fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("ending what runs")]);
}

fn tell(state: &[NotifyState<'_>]) {
    // Nobody listens: the work is the same.
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "systemd does not listen");
    }
}
