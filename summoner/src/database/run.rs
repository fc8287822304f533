//! One run of a tool in a container, from the first word to the proof that it ended: the same for every kind of database
//! and for both roads.
//!
//! A run is whole when the script said the tool's exit code, all its data arrived, and the engine gives the same exit
//! code. Anything else is an error here; what the exit code means is the caller's matter.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::fifo::{self, Fifo, Filled};
use super::script::{self, Way};
use super::stream::{self, Sent};
use super::talk::Talk;
use super::{Road, Secret};
use crate::docker::{Engine, ExecPiece, ExecSession, ExecSpec};
use crate::error::{Error, Result};

/// How many pieces may wait between the engine's stream and the thread that works on them.
const PIECES: usize = 32;
/// How much of what a tool prints beside its data is kept.
const PRINTED: usize = 1 << 20;
/// How long a command's end may take to be seen by the engine, and how often it is asked.
const SEEN: (u32, Duration) = (200, Duration::from_millis(25));

/// What to run, and how.
pub(super) struct Order<'a> {
    /// The container's name.
    pub container: &'a str,
    /// The tool and its arguments; the password is the file `/dev/fd/4`.
    pub tool: Vec<String>,
    /// The form of that file: `%s` is the password between double quotes, escaped.
    pub form: &'static str,
    /// The password.
    pub secret: Option<&'a Secret>,
    /// The road to take; none takes the best.
    pub road: Option<Road>,
    /// How long it may take.
    pub deadline: Duration,
}

impl Order<'_> {
    /// The tool's name, for people.
    pub(super) fn name(&self) -> &str {
        self.tool.first().map_or("nothing", |tool| tool.rsplit('/').next().unwrap_or(tool))
    }

    fn failed(&self, what: &str) -> Error {
        Error::external(format!("{} in {} {what}", self.name(), self.container))
    }
}

/// How a tool ended.
#[derive(Debug)]
pub(super) struct Ending {
    /// Its exit code.
    pub code: i64,
    /// What it complained about, bounded.
    pub stderr: String,
    /// What it printed beside its data, bounded.
    pub printed: Vec<u8>,
}

/// A tool that was begun and waits for its data or gives it.
struct Begun {
    session: ExecSession,
    talk: Talk,
    token: String,
    fifo: Option<Fifo>,
    printed: Vec<u8>,
}

/// Where pieces of the engine's stream go, when they carry the data, and the thread that ends with the sink.
type Taking<W> = (Option<mpsc::Sender<Vec<u8>>>, JoinHandle<std::io::Result<W>>);

/// Set when a run is given up in any way, so that no thread waits for a partner that never comes.
struct Abort(Arc<AtomicBool>);

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs a tool and writes everything that it gives into a sink. `watch` hears each line of its stderr.
///
/// # Errors
/// The tool cannot be begun, is killed, takes too long; the sink fails. A tool that ends with another code than 0 is none.
pub(super) async fn pull<E: Engine, W: Write + Send + 'static>(
    engine: &E,
    order: &Order<'_>,
    sink: W,
    watch: &mut (dyn FnMut(&str) + Send),
) -> Result<(W, Ending)> {
    let mark = script::token();
    let work = async {
        let mut begun = begin(engine, order, Way::Out, &mark).await?;
        let abort = Abort(Arc::default());
        let (send, thread) = take(&mut begun, order, sink, &abort)?;
        finish_pull(engine, order, begun, send, thread, watch).await
    };
    guarded(engine, order, &mark, work).await
}

/// Runs a tool and gives it everything that a reader gives.
///
/// # Errors
/// The tool cannot be begun, is killed, takes too long; the reader fails. A tool that ends with another code than 0 is
/// none, nor one that stops reading.
pub(super) async fn push<E: Engine>(engine: &E, order: &Order<'_>, from: Box<dyn Read + Send>) -> Result<Ending> {
    let mark = script::token();
    let work = async {
        let mut begun = begin(engine, order, Way::In, &mark).await?;
        let abort = Abort(Arc::default());
        let end = abort.0.clone();
        let fifo = begun.fifo.take();
        let through = fifo.is_none();
        answer(&mut begun, order, through).await?;
        let (send, receive) = mpsc::channel(PIECES);
        let thread = tokio::task::spawn_blocking(move || match fifo {
            Some(fifo) => fifo.fill(from, &end),
            None => stream::fill(&send, from),
        });
        finish_push(engine, order, begun, through.then_some(receive), thread).await
    };
    guarded(engine, order, &mark, work).await
}

/// Whatever goes wrong, nothing that we began goes on.
async fn guarded<E: Engine, T>(engine: &E, order: &Order<'_>, mark: &str, work: impl Future<Output = Result<T>>) -> Result<T> {
    let result = match tokio::time::timeout(order.deadline, work).await {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(error)) => error,
        Err(_) => order
            .failed(&format!("did not end within {} s and was ended", order.deadline.as_secs()))
            .next(format!("summoner logs {}", order.container)),
    };
    let ended = super::orphans::end(engine, order.container, Some(mark)).await;
    tracing::debug!(?ended, "what was left of {}", order.name());
    Err(result)
}

async fn begin<E: Engine>(engine: &E, order: &Order<'_>, way: Way, mark: &str) -> Result<Begun> {
    let detail = super::running(engine, order.container).await?;
    let (token, name) = (script::token(), format!("summoner-{}", script::token()));
    let spec = ExecSpec {
        command: script::wrapped(way, order.form, &name, &order.tool),
        environment: [(script::MARK.to_owned(), mark.to_owned())].into(),
        ..ExecSpec::default()
    };
    let mut session = engine.open_exec(order.container, &spec).await?;
    let mut talk = Talk::new(&token);
    let mut printed = Vec::new();
    say(&mut session, order, &format!("{token}\n")).await?;
    while talk.fifo.is_none() {
        match session.output.next().await.transpose()? {
            Some(ExecPiece::Err(bytes)) => talk.hear(&bytes, &mut |_| {}),
            Some(ExecPiece::Out(bytes)) => keep(&mut printed, &bytes),
            // The engine's own words about a command that it could not start come as its output.
            None => {
                let cause = format!("{} {}", String::from_utf8_lossy(&printed), talk.words());
                return Err(order.failed("did not start").cause(cause.trim()).next(format!("summoner logs {}", order.container)));
            }
        }
    }
    let fifo = match (order.road, detail.pid) {
        (Some(Road::Stream), _) => None,
        (wish, Some(pid)) if talk.fifo == Some(true) => match Fifo::find(pid, &name) {
            Ok(fifo) => Some(fifo),
            Err(error) if wish.is_some() => return Err(order.failed("cannot use a FIFO").cause(error)),
            Err(error) => {
                tracing::debug!(%error, "no FIFO from here: the engine's stream carries the data");
                None
            }
        },
        (Some(Road::Fifo), _) => return Err(order.failed("cannot use a FIFO").cause("there is none in the container")),
        (None, _) => None,
    };
    Ok(Begun { session, talk, token, fifo, printed })
}

/// Opens our end and tells the script the road and the password.
fn take<W: Write + Send + 'static>(begun: &mut Begun, order: &Order<'_>, mut sink: W, abort: &Abort) -> Result<Taking<W>> {
    let end = abort.0.clone();
    if let Some(fifo) = &begun.fifo {
        // Before the writer is told to come.
        let reader = fifo.reader().map_err(|error| order.failed("cannot use a FIFO").cause(error))?;
        return Ok((None, tokio::task::spawn_blocking(move || fifo::drain(reader, &mut sink, &end).map(|()| sink))));
    }
    let (send, receive) = mpsc::channel(PIECES);
    let token = begun.token.clone();
    Ok((Some(send), tokio::task::spawn_blocking(move || stream::drain(receive, &mut sink, &token).map(|()| sink))))
}

async fn answer(begun: &mut Begun, order: &Order<'_>, through: bool) -> Result<()> {
    let road = if through { "stream" } else { "fifo" };
    say(&mut begun.session, order, &format!("{road}\n{}\n", script::quoted(order.secret))).await
}

async fn say(session: &mut ExecSession, order: &Order<'_>, words: &str) -> Result<()> {
    let sent = async {
        session.input.write_all(words.as_bytes()).await?;
        session.input.flush().await
    };
    sent.await.map_err(|error| order.failed("does not listen").cause(error))
}

async fn finish_pull<E: Engine, W>(
    engine: &E,
    order: &Order<'_>,
    mut begun: Begun,
    send: Option<mpsc::Sender<Vec<u8>>>,
    mut thread: JoinHandle<std::io::Result<W>>,
    watch: &mut (dyn FnMut(&str) + Send),
) -> Result<(W, Ending)> {
    answer(&mut begun, order, send.is_some()).await?;
    let (mut sink, mut told) = (None, false);
    loop {
        tokio::select! {
            joined = &mut thread, if sink.is_none() => sink = Some(received(order, joined)?),
            piece = begun.session.output.next() => match piece.transpose()? {
                None => break,
                Some(ExecPiece::Err(bytes)) => begun.talk.hear(&bytes, watch),
                Some(ExecPiece::Out(bytes)) => match &send {
                    // A thread that ended says why by itself.
                    Some(send) => drop(send.send(bytes).await),
                    None => keep(&mut begun.printed, &bytes),
                },
            },
        }
        if !told && sink.is_some() && begun.talk.code.is_some() {
            told = true;
            say(&mut begun.session, order, "\n").await?;
        }
    }
    let Begun { session, talk, printed, .. } = begun;
    let Some(sink) = sink else { return Err(cut(engine, order, talk.words()).await) };
    Ok((sink, ended(engine, order, &session.id, &talk, printed).await?))
}

async fn finish_push<E: Engine>(
    engine: &E,
    order: &Order<'_>,
    begun: Begun,
    receive: Option<mpsc::Receiver<Sent>>,
    mut thread: JoinHandle<std::io::Result<Filled>>,
) -> Result<Ending> {
    let Begun { mut session, mut talk, mut printed, .. } = begun;
    let (mut filled, through) = (false, receive.is_some());
    let mut input = session.input;
    let feed = async {
        let Some(mut receive) = receive else { return Some(input) };
        while let Some(piece) = receive.recv().await {
            let sent = match piece {
                Sent::Bytes(bytes) => input.write_all(&bytes).await,
                Sent::End => input.shutdown().await,
            };
            // A tool that ended closes its side; its exit code tells the story.
            if sent.is_err() {
                return None;
            }
        }
        None
    };
    tokio::pin!(feed);
    let (mut fed, mut listener) = (false, None);
    loop {
        tokio::select! {
            joined = &mut thread, if !filled => filled = given(order, joined)?,
            left = &mut feed, if !fed => { fed = true; listener = left; }
            piece = session.output.next() => match piece.transpose()? {
                None => break,
                Some(ExecPiece::Err(bytes)) => talk.hear(&bytes, &mut |_| {}),
                Some(ExecPiece::Out(bytes)) => keep(&mut printed, &bytes),
            },
        }
        if talk.code.is_some()
            && !through
            && let Some(mut input) = listener.take()
        {
            let told = async {
                input.write_all(b"\n").await?;
                input.flush().await
            };
            told.await.map_err(|error| order.failed("does not listen").cause(error))?;
        }
    }
    ended(engine, order, &session.id, &talk, printed).await
}

fn received<W>(order: &Order<'_>, joined: Result<std::io::Result<W>, tokio::task::JoinError>) -> Result<W> {
    let result = joined.map_err(|error| Error::internal(format!("a thread of {} ended", order.name())).cause(error))?;
    result.map_err(|error| {
        let failed = Error::external(format!("cannot keep what {} in {} gives", order.name(), order.container)).cause(&error);
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                failed.next("free space on the disk of the repository, then run the same command again: nothing was lost")
            }
            _ => failed,
        }
    })
}

fn given(order: &Order<'_>, joined: Result<std::io::Result<Filled>, tokio::task::JoinError>) -> Result<bool> {
    let result = joined.map_err(|error| Error::internal(format!("a thread of {} ended", order.name())).cause(error))?;
    let filled = result.map_err(|error| order.failed("cannot be given its data: the artefact does not read to its end").cause(error))?;
    tracing::debug!(all = matches!(filled, Filled::All), "{} was given its data", order.name());
    Ok(true)
}

fn keep(all: &mut Vec<u8>, more: &[u8]) {
    let room = PRINTED.saturating_sub(all.len());
    all.extend_from_slice(&more[..more.len().min(room)]);
}

/// A stream that ended before the script's last word.
async fn cut<E: Engine>(engine: &E, order: &Order<'_>, words: String) -> Error {
    let runs = super::running(engine, order.container).await;
    let failed = match runs {
        Ok(_) => order.failed("was killed in the middle, or the connection to it was cut"),
        Err(error) => order.failed("was cut off in the middle").cause(error.message),
    };
    let failed = if failed.cause.is_none() && !words.is_empty() { failed.cause(words) } else { failed };
    failed.next(format!("summoner logs {}   shows what happened; then run the same command again: nothing was lost", order.container))
}

async fn ended<E: Engine>(engine: &E, order: &Order<'_>, id: &str, talk: &Talk, printed: Vec<u8>) -> Result<Ending> {
    let Some(code) = talk.code else { return Err(cut(engine, order, talk.words()).await) };
    for _ in 0..SEEN.0 {
        let state = engine.exec_state(id).await?;
        if state.running || state.exit_code.is_none() {
            tokio::time::sleep(SEEN.1).await;
            continue;
        }
        if state.exit_code != Some(code) {
            return Err(cut(engine, order, talk.words()).await);
        }
        return Ok(Ending { code, stderr: talk.words(), printed });
    }
    Err(order.failed("ended, but the engine does not say so").next("summoner doctor"))
}
