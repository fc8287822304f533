//! nginx as a child of this process: started, started again when it dies, and told to end.
//!
//! Its output is ours: the access log comes out where people look for it.

use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use crate::error::{Error, Result};
use crate::event::{Event, Listener};

/// The first pause before it is started again; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(10);
/// Whoever runs this long has recovered.
const RECOVERED: Duration = Duration::from_secs(30);
/// Connections have this long to end by themselves.
const QUIT: Duration = Duration::from_secs(30);

/// nginx's process.
pub struct Child {
    /// Its id; 0 when it does not run.
    process: AtomicI32,
    main: Option<String>,
}

impl Child {
    /// Nothing runs yet; `main` is its main file, None its own `nginx.conf`.
    #[must_use]
    pub fn new(main: Option<String>) -> Self {
        Self { process: AtomicI32::new(0), main }
    }

    /// Whether it runs.
    #[must_use]
    pub fn runs(&self) -> bool {
        self.pid().is_some()
    }

    fn pid(&self) -> Option<Pid> {
        Pid::from_raw(self.process.load(Ordering::SeqCst))
    }

    /// Makes it load its configuration.
    ///
    /// # Errors
    /// It does not run.
    pub fn hang_up(&self) -> Result<()> {
        let gone = || Error::external("nginx does not run just now");
        kill_process(self.pid().ok_or_else(gone)?, Signal::HUP).map_err(|error| gone().cause(error))
    }

    /// Runs it, and again whenever it ends, until dropped; `ended` hears of each end.
    pub async fn keep(&self, listener: &dyn Listener, ended: impl Fn()) {
        let mut pause = PAUSE;
        loop {
            let begun = Instant::now();
            let how = match self.once().await {
                Ok(status) => format!("nginx ended with {status}"),
                Err(error) => error.to_string(),
            };
            ended();
            if begun.elapsed() > RECOVERED {
                pause = PAUSE;
            }
            listener.hear(&Event::Note { message: format!("{how}; it is started again in {} ms", pause.as_millis()) });
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST);
        }
    }

    async fn once(&self) -> Result<ExitStatus> {
        let mut command = Command::new("nginx");
        command.args(["-g", "daemon off;"]).args(self.main.iter().flat_map(|main| ["-c", main]));
        // It gets its own QUIT at the end: Ctrl-C must not end it before its connections have ended.
        command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        let fail = |error: std::io::Error| Error::external("cannot run nginx").cause(error);
        let mut child = command.spawn().map_err(fail)?;
        self.process.store(child.id().and_then(|id| i32::try_from(id).ok()).unwrap_or(0), Ordering::SeqCst);
        let status = child.wait().await;
        self.process.store(0, Ordering::SeqCst);
        status.map_err(fail)
    }

    /// Tells it to end once its connections have; call while [`Self::keep`] is still polled.
    pub async fn quit(&self) {
        let Some(pid) = self.pid() else { return };
        if kill_process(pid, Signal::QUIT).is_ok() {
            let gone = async {
                while self.runs() {
                    sleep(Duration::from_millis(20)).await;
                }
            };
            // The drop of the one who keeps it kills what is left.
            if timeout(QUIT, gone).await.is_err() {
                tracing::debug!("nginx did not end in time");
            }
        }
    }
}
