//! Databases dumped and loaded inside their own running containers, with the engine's own tools.
//!
//! Knows containers, accounts and formats; knows neither repositories (artefacts go through [`Sinks`]) nor schedules. A dump
//! counts when the tool ended with 0, its script said so, the format's own end was found and the counts agree; any doubt
//! is an error. Called by backup, restore and the commands `dump` and `verify`.

mod access;
mod ask;
mod bson;
mod explain;
mod fifo;
mod foreign;
mod mongo_archive;
mod mongodb;
mod mysql;
mod orphans;
mod postgresql;
mod run;
mod script;
mod sql_end;
mod sql_rows;
mod stream;
mod talk;
mod tally;
mod tee;

use std::io::{self, Read};
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

pub use access::{Access, Secret};
pub use explain::is_invalidated;
pub use foreign::foreign_target;

use crate::docker::{ContainerDetail, Engine, Running};
use crate::error::{Error, Result};
pub use crate::name::DatabaseKind;
use crate::plan::snapshot::{Content, DatabaseFacts};
use crate::repository::{Sink, Sinks, Stored};

/// A database server in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The container's name.
    pub container: String,
    /// The server's kind.
    pub kind: DatabaseKind,
    /// An account that may read everything, and for a restore make databases.
    pub admin: Access,
    /// What to dump; all databases of users when empty.
    pub databases: Vec<String>,
}

/// How the data travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Road {
    /// Past the engine, through a FIFO in the container's memory: engine on this host, and root.
    Fifo,
    /// Through the engine's own stream.
    Stream,
}

/// How to dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DumpOptions {
    /// How long each tool may take.
    pub deadline: Duration,
    /// The road; none takes the FIFO where it can be had.
    pub road: Option<Road>,
}

/// An artefact of a dump: whole on disk, and proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The file.
    pub stored: Stored,
    /// What it is.
    pub content: Content,
    /// What it came from.
    pub facts: DatabaseFacts,
    /// What a person should know of it.
    pub notes: Vec<String>,
}

/// A folder that the host and a container share, the container for reading only: what cannot be loaded from a pipe at its best
/// waits there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spool {
    /// Where it is on the host.
    pub host: PathBuf,
    /// Where it is inside.
    pub inside: String,
}

/// An artefact to load: what it came from, what it is, and its uncompressed bytes.
pub type Source = (DatabaseFacts, Content, Box<dyn Read + Send>);

/// Heard when the moment that a dump shows is fixed.
pub type View = Option<oneshot::Sender<()>>;

/// Where a driver works.
pub(crate) struct At<'a, E> {
    engine: &'a E,
    target: &'a Target,
}

/// What each kind of database can do.
pub(crate) trait Driver: Sync {
    /// Whether a dump can fix its moment before it ends.
    fn has_view<E: Engine>(&self, at: &At<'_, E>) -> impl Future<Output = Result<bool>> + Send;
    /// Dumps.
    fn dump<E: Engine>(
        &self,
        at: &At<'_, E>,
        options: DumpOptions,
        sinks: &dyn Sinks,
        view: View,
    ) -> impl Future<Output = Result<Vec<Part>>> + Send;
    /// Loads.
    fn load<E: Engine>(
        &self,
        at: &At<'_, E>,
        parts: Vec<Source>,
        options: DumpOptions,
        spool: Option<&Spool>,
    ) -> impl Future<Output = Result<()>> + Send;
    /// What the server holds.
    fn facts<E: Engine>(&self, at: &At<'_, E>) -> impl Future<Output = Result<Vec<DatabaseFacts>>> + Send;
    /// What the server holds, counted and summed up as a dump does it.
    fn weigh<E: Engine>(&self, at: &At<'_, E>, options: DumpOptions) -> impl Future<Output = Result<Vec<DatabaseFacts>>> + Send;
}

/// Dumps a server's databases. `view` is fired when all consistent views are provably open: what is written after that is
/// not in the dump, and the application may go on. Where there is no such view it is fired when the dump ended.
///
/// # Errors
/// Anything that leaves a doubt: the tool, the container, the sink, an end that is missing, counts that differ.
pub async fn dump<E: Engine>(engine: &E, target: &Target, options: &DumpOptions, sinks: &dyn Sinks, view: View) -> Result<Vec<Part>> {
    running(engine, &target.container).await?;
    let at = At { engine, target };
    crate::apply::crash::point();
    match target.kind {
        DatabaseKind::Mysql | DatabaseKind::Mariadb => mysql::Mysql.dump(&at, *options, sinks, view).await,
        DatabaseKind::Postgresql => postgresql::Postgresql.dump(&at, *options, sinks, view).await,
        DatabaseKind::Mongodb => mongodb::Mongodb.dump(&at, *options, sinks, view).await,
    }
}

/// Whether a dump can fix its moment before it ends, so that the application needs to stand still for an instant only.
///
/// # Errors
/// The server does not answer.
pub async fn has_view<E: Engine>(engine: &E, target: &Target) -> Result<bool> {
    let at = At { engine, target };
    match target.kind {
        DatabaseKind::Mysql | DatabaseKind::Mariadb => mysql::Mysql.has_view(&at).await,
        DatabaseKind::Postgresql => postgresql::Postgresql.has_view(&at).await,
        DatabaseKind::Mongodb => mongodb::Mongodb.has_view(&at).await,
    }
}

/// Loads artefacts into a server; every database in them is made anew, so that nothing of an earlier content is left. With a
/// spool, which must have room for the largest of them uncompressed, PostgreSQL loads several tables at once.
///
/// # Errors
/// The first fault ends it, and leaves the server half filled: load into one that is not yet used.
pub async fn load<E: Engine>(engine: &E, target: &Target, parts: Vec<Source>, deadline: Duration, spool: Option<&Spool>) -> Result<()> {
    load_with(engine, target, parts, DumpOptions { deadline, road: None }, spool).await
}

/// [`load`] on a road of choice.
///
/// # Errors
/// As [`load`].
pub async fn load_with<E: Engine>(
    engine: &E,
    target: &Target,
    parts: Vec<Source>,
    options: DumpOptions,
    spool: Option<&Spool>,
) -> Result<()> {
    running(engine, &target.container).await?;
    let at = At { engine, target };
    crate::apply::crash::point();
    match target.kind {
        DatabaseKind::Mysql | DatabaseKind::Mariadb => mysql::Mysql.load(&at, parts, options, spool).await,
        DatabaseKind::Postgresql => postgresql::Postgresql.load(&at, parts, options, spool).await,
        DatabaseKind::Mongodb => mongodb::Mongodb.load(&at, parts, options, spool).await,
    }
}

/// What a server holds, by database.
///
/// # Errors
/// The server does not answer.
pub async fn facts<E: Engine>(engine: &E, target: &Target) -> Result<Vec<DatabaseFacts>> {
    let at = At { engine, target };
    match target.kind {
        DatabaseKind::Mysql | DatabaseKind::Mariadb => mysql::Mysql.facts(&at).await,
        DatabaseKind::Postgresql => postgresql::Postgresql.facts(&at).await,
        DatabaseKind::Mongodb => mongodb::Mongodb.facts(&at).await,
    }
}

/// The facts that a dump of this server would have, with nothing dumped: rows and content, to compare with those of an
/// artefact that was loaded into it.
///
/// # Errors
/// The server does not answer, or something in it cannot be read.
pub async fn weigh<E: Engine>(engine: &E, target: &Target, deadline: Duration) -> Result<Vec<DatabaseFacts>> {
    running(engine, &target.container).await?;
    let (at, options) = (At { engine, target }, DumpOptions { deadline, road: None });
    match target.kind {
        DatabaseKind::Mysql | DatabaseKind::Mariadb => mysql::Mysql.weigh(&at, options).await,
        DatabaseKind::Postgresql => postgresql::Postgresql.weigh(&at, options).await,
        DatabaseKind::Mongodb => mongodb::Mongodb.weigh(&at, options).await,
    }
}

/// The cheap check of an artefact without a server: its own end, read through; PostgreSQL's archives tell that to their
/// own tool only, here just that they are one. Gives how many tables or collections it holds where that can be seen.
///
/// # Errors
/// It does not read, or is not whole.
pub fn check(kind: DatabaseKind, content: Content, from: &mut dyn Read) -> Result<Option<u64>> {
    let refuse = |cause: String| Error::external(format!("the {} dump is not whole", kind.as_str())).cause(cause);
    match (kind, content) {
        (DatabaseKind::Mysql | DatabaseKind::Mariadb, Content::Dump) => {
            let mut heard = sql_end::Heard { into: io::sink(), end: sql_end::SqlEnd::default() };
            io::copy(from, &mut heard).map_err(|error| refuse(error.to_string()))?;
            if heard.end.is_complete() { Ok(Some(heard.end.tables)) } else { Err(refuse("its last line is missing".into())) }
        }
        (DatabaseKind::Postgresql, Content::Dump) => {
            let mut first = Vec::new();
            from.take(5).read_to_end(&mut first).map_err(|error| refuse(error.to_string()))?;
            if first == postgresql::MAGIC { Ok(None) } else { Err(refuse("it does not begin as an archive does".into())) }
        }
        (DatabaseKind::Postgresql, Content::Globals) => {
            let mut text = String::new();
            from.take(postgresql::GLOBALS_LIMIT).read_to_string(&mut text).map_err(|error| refuse(error.to_string()))?;
            if sql_end::globals_complete(&text) { Ok(None) } else { Err(refuse("its last line is missing".into())) }
        }
        (DatabaseKind::Mongodb, Content::Dump) => {
            let archive = mongodb::walk(from).map_err(refuse)?;
            Ok(Some(mongodb::of_users(archive.documents).len() as u64))
        }
        _ => Err(Error::internal(format!("{content:?} is no artefact of a database"))),
    }
}

/// Ends what an earlier Summoner left in a container when it was killed; gives how many processes that were. The caller holds
/// the instance's lock: tools of a run that is alive bear the same mark.
///
/// # Errors
/// The container does not answer.
pub async fn end_orphans<E: Engine>(engine: &E, container: &str) -> Result<usize> {
    orphans::end(engine, container, None).await
}

/// Flushes an artefact to disk.
async fn finish(sink: Box<dyn Sink>) -> Result<Stored> {
    crate::apply::crash::point();
    tokio::task::spawn_blocking(move || sink.finish()).await.map_err(|error| Error::internal("a thread ended").cause(error))?
}

/// What the artefact of a database is called: names of databases may hold anything, names of files may not. Two that look
/// alike after that differ by a part of their hash.
fn file_name(kind: DatabaseKind, database: &str, ending: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let plain: String = database.chars().map(|c| if fits(c) { c } else { '_' }).take(100).collect();
    if plain == database {
        return format!("{}-{plain}.{ending}", kind.as_str());
    }
    let hash = hex::encode(Sha256::digest(database));
    format!("{}-{plain}.{}.{ending}", kind.as_str(), &hash[..8])
}

/// Says that the moment is fixed; that nobody waits for it any more is fine.
fn fire(view: oneshot::Sender<()>) {
    let heard = view.send(());
    tracing::debug!(?heard, "consistent views are open");
}

/// A container that runs.
async fn running<E: Engine>(engine: &E, container: &str) -> Result<ContainerDetail> {
    let next = || format!("summoner logs {container}   and then summoner start, with the instance's name");
    let Some(detail) = engine.inspect(container).await? else {
        return Err(Error::external(format!("there is no container {container}")).next("summoner status"));
    };
    let what = match detail.running {
        Running::Running => return Ok(detail),
        Running::Restarting => "is restarting again and again",
        Running::Paused => "is paused",
        Running::Created => "was never started",
        Running::Exited | Running::Dead => "does not run",
    };
    Err(Error::external(format!("the container {container} {what}")).next(next()))
}
