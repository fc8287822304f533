//! Asks an nginx what it can: its version, its modules, and, by tiny files, what neither tells.
//!
//! Asked once for each container or binary, before anything is rendered; `plan::route` uses what is there and does
//! without the rest.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::docker::{Engine, ExecOutput, ExecSpec};
use crate::error::{Error, Result};
use crate::plan::route::features::Features;
use crate::plan::route::guard::PROBE;

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(20);
/// Tests a configuration that comes by standard input; nothing of it stays.
const TEST: &str = "f=$(mktemp) && cat >\"$f\" && nginx -t -c \"$f\"; s=$?; rm -f \"$f\"; exit $s";
/// Older libraries refuse a list that holds a group that they do not know.
const MLKEM: &str =
    "events {}\nhttp { ssl_ecdh_curve X25519MLKEM768:X25519; server { listen 127.0.0.1:8198 ssl; ssl_reject_handshake on; } }\n";
/// More containers than one proxy ever had; what was known before is asked again.
const MAX_KNOWN: usize = 16;

/// What was asked before.
#[derive(Debug, Default)]
pub struct Known(Mutex<BTreeMap<String, Features>>);

impl Known {
    /// What the nginx in this container can. `id` is the engine's of it: another container of the same name is asked anew.
    ///
    /// # Errors
    /// As [`in_container`].
    pub async fn of<E: Engine>(&self, engine: &E, container: &str, id: &str) -> Result<Features> {
        let mut known = self.0.lock().await;
        if let Some(features) = known.get(id) {
            return Ok(features.clone());
        }
        let features = in_container(engine, container).await?;
        if known.len() >= MAX_KNOWN {
            known.clear();
        }
        known.insert(id.to_owned(), features.clone());
        Ok(features)
    }
}

/// What the nginx in this container can.
///
/// # Errors
/// The engine does not answer, or there is no nginx.
pub async fn in_container<E: Engine>(engine: &E, container: &str) -> Result<Features> {
    let run = |command: Vec<String>, stdin: Option<&str>| {
        let stdin = stdin.map(|text| text.as_bytes().to_vec());
        async move { engine.exec(container, &ExecSpec { command, stdin, timeout: Some(ANSWER), ..ExecSpec::default() }).await }
    };
    let asked = run(words(&["nginx", "-V"]), None).await?;
    let mlkem = run(words(&["sh", "-c", TEST]), Some(MLKEM)).await?;
    let njs = run(words(&["sh", "-c", TEST]), Some(PROBE)).await?;
    together(container, &asked, &mlkem, &njs)
}

/// What the nginx of this machine can.
///
/// # Errors
/// There is none, or it does not answer.
pub async fn here() -> Result<Features> {
    let asked = local(&words(&["nginx", "-V"]), "").await?;
    let mlkem = local(&words(&["sh", "-c", TEST]), MLKEM).await?;
    let njs = local(&words(&["sh", "-c", TEST]), PROBE).await?;
    together("this machine", &asked, &mlkem, &njs)
}

fn words(command: &[&str]) -> Vec<String> {
    command.iter().map(|word| (*word).to_owned()).collect()
}

fn together(place: &str, asked: &ExecOutput, mlkem: &ExecOutput, njs: &ExecOutput) -> Result<Features> {
    let said = String::from_utf8_lossy(&asked.stderr);
    let features = Features::of(&said).ok_or_else(|| {
        Error::external(format!("cannot find out which nginx runs in {place}"))
            .cause(said.lines().next().unwrap_or_default())
            .next("nginx -V   says which one it is; 1.22 or newer is needed")
    })?;
    Ok(Features { mlkem: mlkem.exit_code == 0, njs: njs.exit_code == 0, ..features })
}

async fn local(command: &[String], stdin: &str) -> Result<ExecOutput> {
    let cannot = || Error::external("cannot ask nginx what it can").next("install nginx, or name its container");
    let [program, arguments @ ..] = command else { return Err(Error::internal("a command without words")) };
    let piped =
        Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true).spawn();
    let mut child = piped.map_err(|error| cannot().cause(error))?;
    let mut pipe = child.stdin.take();
    let work = async {
        if let Some(pipe) = &mut pipe {
            // A program that does not read closes its end: what it says counts, not that.
            let _ = pipe.write_all(stdin.as_bytes()).await;
        }
        drop(pipe.take());
        child.wait_with_output().await
    };
    let output = timeout(ANSWER, work).await.map_err(|_| cannot().cause("it does not end"))?.map_err(|error| cannot().cause(error))?;
    Ok(ExecOutput { exit_code: output.status.code().unwrap_or(-1).into(), stdout: Vec::new(), stderr: output.stderr })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(exit_code: i64, stderr: &str) -> ExecOutput {
        ExecOutput { exit_code, stdout: Vec::new(), stderr: stderr.as_bytes().to_vec() }
    }

    #[test]
    fn probes_complete_what_a_version_tells() {
        let version = said(0, "nginx version: nginx/1.30.6\n");
        let features = together("nginx-a.fr", &version, &said(0, ""), &said(1, "[emerg] dlopen()")).unwrap();
        assert_eq!(features, Features { version: (1, 30, 6), mlkem: true, ..Features::catalogue() });
        let error = together("nginx-a.fr", &said(127, "sh: nginx: not found"), &said(0, ""), &said(0, "")).unwrap_err();
        assert_eq!(error.message, "cannot find out which nginx runs in nginx-a.fr");
    }
}
