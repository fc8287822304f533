//! What needs a person, found by the commands that people find it with: `status` and `certs`, each a process of its own.
//!
//! Gives what they say, one piece for each instance; what is told of it, and when, is decided elsewhere.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::clock;
use super::program::message;
use super::runner::{Cancel, Setup};
use crate::error::{Error, Kind, Result};
use crate::plan::told::{About, Seen};

/// A thousand instances say less.
const MOST_BYTES: u64 = 8 << 20;
/// Of what goes wrong the end is enough.
const MOST_STORY: u64 = 64 << 10;
/// Problems and hosts that one piece of news names; the rest is counted.
const NAMED: usize = 5;
/// `status` ended well: nothing, or something, needs a person.
const LOOKED: [u8; 2] = [0, 3];
/// Told by `certs`, with the reason.
const ELSEWHERE: [&str; 1] = ["certificate-missing"];

#[derive(Deserialize)]
struct Status {
    problems: Vec<Problem>,
}

#[derive(Deserialize)]
struct Problem {
    id: String,
    instance: Option<String>,
    message: String,
}

#[derive(Deserialize)]
struct Certificates {
    certificates: Vec<Certificate>,
}

#[derive(Deserialize)]
struct Certificate {
    host: String,
    last_error: Option<String>,
}

/// Looks at everything.
///
/// # Errors
/// A command failed: then nobody knows how it is.
pub(super) async fn at(program: &Path, setup: &Setup, cancel: &Cancel) -> Result<Vec<Seen>> {
    let status: Status = ask(program, setup, "status", cancel).await?;
    let certificates: Certificates = ask(program, setup, "certs", cancel).await?;
    Ok(seen(status, &certificates))
}

async fn ask<T: serde::de::DeserializeOwned>(program: &Path, setup: &Setup, word: &str, cancel: &Cancel) -> Result<T> {
    let mut command = Command::new(program);
    command.arg("--config").arg(&setup.config.path).args(["--yes", word, "--json"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC");
    if let Some(now) = clock::moved() {
        command.env(clock::VARIABLE, now.to_rfc3339());
    }
    let mut child = command.spawn().map_err(|error| Error::io("start", program, &error))?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let all = async { tokio::join!(read(out, MOST_BYTES), read(err, MOST_STORY), child.wait()) };
    let (out, err, status) = tokio::select! {
        all = all => all,
        () = cancel.cancelled() => return Err(Error::new(Kind::Interrupted, "the look was ended")),
    };
    let status = status.map_err(|error| Error::io("wait for", program, &error))?;
    let looked = status.code().is_some_and(|code| LOOKED.iter().any(|known| i32::from(*known) == code));
    if !looked {
        let why = message(&String::from_utf8_lossy(&err)).unwrap_or_else(|| format!("it ended with {status}"));
        return Err(Error::external(format!("summoner {word}: {why}")));
    }
    serde_json::from_slice(&out).map_err(|error| Error::internal(format!("summoner {word} --json cannot be read")).cause(error))
}

async fn read(stream: Option<impl AsyncRead + Unpin>, most: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        // What breaks off does not parse.
        let _broken = stream.take(most).read_to_end(&mut bytes).await;
    }
    bytes
}

fn seen(status: Status, certificates: &Certificates) -> Vec<Seen> {
    let mut found: BTreeMap<String, (About, Option<String>, Vec<String>)> = BTreeMap::new();
    for problem in status.problems.into_iter().filter(|problem| !ELSEWHERE.contains(&problem.id.as_str())) {
        let (about, word) = if problem.id.starts_with("backup") { (About::Backups, "backups") } else { (About::Status, "status") };
        let subject = problem.instance.as_ref().map_or_else(|| word.to_owned(), |id| format!("{word} {id}"));
        found.entry(subject).or_insert_with(|| (about, problem.instance, Vec::new())).2.push(problem.message);
    }
    let failed = |found: &Certificate| Some(format!("{}: {}", found.host, found.last_error.as_ref()?));
    let failed: Vec<String> = certificates.certificates.iter().filter_map(failed).collect();
    if !failed.is_empty() {
        found.insert("certificates".to_owned(), (About::Certificates, None, failed));
    }
    let seen = |(subject, (about, instance, messages)): (String, (About, Option<String>, Vec<String>))| {
        let more = messages.len().saturating_sub(NAMED);
        let named = messages.into_iter().take(NAMED).collect::<Vec<_>>().join("; ");
        let message = if more == 0 { named } else { format!("{named}; and {more} more") };
        Seen { subject, about, instance, message }
    };
    found.into_iter().map(seen).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_piece_of_news_for_each_instance() {
        let problem = |id: &str, instance: Option<&str>, message: &str| Problem {
            id: id.into(),
            instance: instance.map(str::to_owned),
            message: message.into(),
        };
        let status = Status {
            problems: vec![
                problem("stopped", Some("ghost-a.fr"), "it is stopped"),
                problem("backup-overdue", Some("ghost-a.fr"), "no backup since Monday"),
                problem("unhealthy", Some("ghost-a.fr"), "mysql is unhealthy"),
                problem("certificate-missing", None, "told elsewhere"),
                problem("bans", None, "nobody can be locked out"),
            ],
        };
        let certificate = |host: usize| Certificate { host: format!("h{host}.a.fr"), last_error: (host > 0).then(|| "refused".to_owned()) };
        let seen = seen(status, &Certificates { certificates: (0..8).map(certificate).collect() });
        let lines: Vec<String> = seen.iter().map(|seen| format!("{} ({:?}): {}", seen.subject, seen.about, seen.message)).collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        backups ghost-a.fr (Backups): no backup since Monday
        certificates (Certificates): h1.a.fr: refused; h2.a.fr: refused; h3.a.fr: refused; h4.a.fr: refused; h5.a.fr: refused; and 2 more
        status (Status): nobody can be locked out
        status ghost-a.fr (Status): it is stopped; mysql is unhealthy
        ");
    }
}
