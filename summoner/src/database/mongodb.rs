//! MongoDB: one archive of the server, or of one database, walked and checked while it passes.
//!
//! A server that stands alone has no view of one moment: a dump is consistent only when nothing writes. Accounts are
//! in the archive, and are never loaded: they would replace the account that loads (facts: backup §3.4); the
//! application's account is made anew from the instance's secrets.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use serde::Deserialize;

use super::ask::{Question, ask, which};
use super::mongo_archive::{Archive, Walked, Walker};
use super::run::{self, Order};
use super::tally::{self, Tallies};
use super::{At, Driver, DumpOptions, Part, Secret, Source, Spool, View, explain};
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::plan::snapshot::{Content, DatabaseFacts};
use crate::repository::Sinks;

/// The file with the password: this and a connection string are all that the tools take from a file.
const FORM: &str = "password: \"%s\"\n";
/// Databases that are the server's own.
const OWN: [&str; 3] = ["admin", "config", "local"];
/// Names of the server's own collections begin so.
const SYSTEM: &str = "system.";
/// Connects as the tools do; the account stands before it.
const CONNECT: &str = "const at = user ? `${encodeURIComponent(user)}:${encodeURIComponent(password)}@` : '';\n\
    const admin = connect(`mongodb://${at}127.0.0.1:27017/admin?directConnection=true`);\n";
/// What the server holds.
const LIST: &str = "const tables = {};\n\
    for (const {name} of admin.adminCommand({listDatabases: 1, nameOnly: true}).databases) {\n\
      const all = admin.getSiblingDB(name).getCollectionInfos().filter((one) => one.type !== 'view');\n\
      tables[name] = all.filter((one) => !one.name.startsWith('system.')).length;\n\
    }\n\
    print(JSON.stringify({version: admin.version(), tables}));\n";

/// The answer.
#[derive(Deserialize)]
struct Listed {
    version: String,
    tables: BTreeMap<String, u64>,
}

/// The driver.
pub(super) struct Mongodb;

impl Driver for Mongodb {
    async fn has_view<E: Engine>(&self, at: &At<'_, E>) -> Result<bool> {
        super::running(at.engine, &at.target.container).await.map(|_| false)
    }

    async fn dump<E: Engine>(&self, at: &At<'_, E>, options: DumpOptions, sinks: &dyn Sinks, view: View) -> Result<Vec<Part>> {
        let (into, archive) = read(at, options, sinks.create("mongodb.archive")?).await?;
        let stored = super::finish(into).await?;
        if let Some(view) = view {
            super::fire(view);
        }
        let facts = told(at, archive);
        Ok(vec![Part { stored, content: Content::Dump, facts, notes: Vec::new() }])
    }

    async fn load<E: Engine>(&self, at: &At<'_, E>, parts: Vec<Source>, options: DumpOptions, _: Option<&Spool>) -> Result<()> {
        for (facts, content, from) in parts {
            if content != Content::Dump {
                return Err(Error::internal(format!("{content:?} of {} is no dump of a database", facts.container)));
            }
            empty(at, &facts).await?;
            let words = ["--archive", "--nsExclude=admin.*", "--nsExclude=config.*", "--drop", "--stopOnError", "--objcheck"];
            let order = order(at, options, "mongorestore", words.map(str::to_owned).into());
            let whole = Whole { from, walker: Some(Walker::new()) };
            let ending = run::push(at.engine, &order, Box::new(whole)).await?;
            if ending.code != 0 {
                return Err(explain::tool(at.target.kind, order.container, order.name(), ending.code, &ending.stderr));
            }
            let there = list(at).await?;
            let tables: u64 = databases(&facts).iter().filter_map(|name| there.tables.get(*name)).sum();
            if tables != facts.tables {
                return Err(Error::external(format!(
                    "{} holds {tables} collections after loading, {} were dumped",
                    order.container, facts.tables
                ))
                .next("choose another snapshot: summoner snapshots"));
            }
        }
        Ok(())
    }

    async fn facts<E: Engine>(&self, at: &At<'_, E>) -> Result<Vec<DatabaseFacts>> {
        let Listed { version, tables } = list(at).await?;
        let wanted = &at.target.databases;
        let is_wanted = |name: &str| if wanted.is_empty() { !OWN.contains(&name) } else { wanted.iter().any(|wanted| wanted == name) };
        let known = tables.into_iter().filter(|(name, _)| is_wanted(name));
        Ok(known.map(|(name, tables)| facts(at, name, version.clone(), tables)).collect())
    }

    async fn weigh<E: Engine>(&self, at: &At<'_, E>, options: DumpOptions) -> Result<Vec<DatabaseFacts>> {
        let (_, archive) = read(at, options, io::sink()).await?;
        Ok(vec![told(at, archive)])
    }
}

/// The one database that is meant; empty is the whole server, for the tool takes one or all.
fn name(at: &At<'_, impl Sized>) -> String {
    if let [name] = at.target.databases.as_slice() { name.clone() } else { String::new() }
}

/// Has everything dumped into a sink, to its end, and proves it on the way.
async fn read<E: Engine, W: Write + Send + 'static>(at: &At<'_, E>, options: DumpOptions, into: W) -> Result<(W, Archive)> {
    let mut words = vec!["--archive".to_owned()];
    let name = name(at);
    if !name.is_empty() {
        words.push(format!("--db={name}"));
    }
    let order = order(at, options, "mongodump", words);
    let (walked, ending) = run::pull(at.engine, &order, Walked { into, walker: Walker::new() }, &mut |_| {}).await?;
    if ending.code != 0 {
        return Err(explain::tool(at.target.kind, order.container, order.name(), ending.code, &ending.stderr));
    }
    let archive = walked.walker.end().map_err(|fault| explain::short(order.container, &fault))?;
    if archive.documents.is_empty() {
        // The tool calls it a success.
        return Err(Error::external(format!("{} has no database {name}", order.container)).next("summoner status"));
    }
    Ok((walked.into, archive))
}

fn told<E>(at: &At<'_, E>, archive: Archive) -> DatabaseFacts {
    let documents = of_users(archive.documents);
    let mut facts = facts(at, name(at), archive.server_version, documents.len() as u64);
    tally::tell(&documents, &mut facts);
    facts
}

/// Walks an archive to its end.
pub(super) fn walk(from: &mut dyn Read) -> Result<Archive, String> {
    let mut walked = Walked { into: io::sink(), walker: Walker::new() };
    io::copy(from, &mut walked).map_err(|error| error.to_string())?;
    walked.walker.end()
}

/// Documents by collection, without the server's own.
pub(super) fn of_users(documents: Tallies) -> Tallies {
    let own = |name: &String| {
        let (database, collection) = name.split_once('.').unwrap_or((name, ""));
        OWN.contains(&database) || collection.starts_with(SYSTEM)
    };
    documents.into_iter().filter(|(name, _)| !own(name)).collect()
}

fn facts<E>(at: &At<'_, E>, name: String, server_version: String, tables: u64) -> DatabaseFacts {
    let (container, rows) = (at.target.container.clone(), BTreeMap::new());
    DatabaseFacts { container, kind: at.target.kind, name, server_version, tables, rows, sample: None }
}

fn order<'a>(at: &At<'a, impl Sized>, options: DumpOptions, program: &str, words: Vec<String>) -> Order<'a> {
    let admin = &at.target.admin;
    let mut tool = vec![program.to_owned()];
    tool.extend(words);
    if admin.password.is_some() {
        tool.extend(["--config=/dev/fd/4".into(), "--authenticationDatabase=admin".into(), format!("--username={}", admin.user)]);
    }
    let secret = admin.password.as_ref();
    Order { container: &at.target.container, tool, form: FORM, secret, road: options.road, deadline: options.deadline }
}

/// The databases that an artefact holds.
fn databases(facts: &DatabaseFacts) -> Vec<&str> {
    let mut names: Vec<&str> = facts.rows.keys().filter_map(|name| Some(name.split_once('.')?.0)).collect();
    names.dedup();
    names
}

/// Drops what an artefact will make: its loader drops the collections that it knows, and would leave newer ones.
async fn empty<E: Engine>(at: &At<'_, E>, facts: &DatabaseFacts) -> Result<()> {
    let names = databases(facts);
    if names.is_empty() {
        return Ok(());
    }
    let names = serde_json::to_string(&names).map_err(|error| Error::internal("names are no JSON").cause(error))?;
    shell(at, &format!("for (const name of {names}) admin.getSiblingDB(name).dropDatabase();\n")).await.map(drop)
}

async fn list<E: Engine>(at: &At<'_, E>) -> Result<Listed> {
    let answer = shell(at, LIST).await?;
    let line = answer.lines().rfind(|line| line.starts_with('{')).unwrap_or(&answer);
    serde_json::from_str(line).map_err(|error| Error::external(format!("the server answers what is not understood: {line}")).cause(error))
}

/// Runs a program in the server's own shell; it and the password travel on standard input.
async fn shell<E: Engine>(at: &At<'_, E>, program: &str) -> Result<String> {
    let (container, kind) = (&at.target.container, at.target.kind);
    let found = which(at.engine, container, kind, &["mongosh"]).await?;
    let admin = &at.target.admin;
    let account = (admin.password.as_ref().map(|_| &admin.user), admin.password.as_ref().map(Secret::reveal));
    let account = serde_json::to_string(&account).map_err(|error| Error::internal("an account is no JSON").cause(error))?;
    let tool = [&found, "--quiet", "--norc", "--nodb", "--file", "/dev/stdin"].map(str::to_owned).into();
    let statement = format!("const [user, password] = {account};\n{CONNECT}{program}");
    ask(at.engine, &Question { container, kind, tool, form: "", secret: None, statement }).await
}

/// An archive that is read to be loaded: what the walk finds is a fault of the source.
struct Whole {
    from: Box<dyn Read + Send>,
    walker: Option<Walker>,
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        if let Some(walker) = &mut self.walker {
            walker.hear(&buffer[..count]);
        }
        if count == 0
            && !buffer.is_empty()
            && let Some(walker) = self.walker.take()
        {
            walker.end().map_err(|fault| io::Error::new(io::ErrorKind::InvalidData, fault))?;
        }
        Ok(count)
    }
}
