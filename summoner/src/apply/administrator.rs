//! The first administrator: made on the instance's own network before any route leads to it.

use std::time::Duration;

use super::command::{self, container, short};
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::minion::{Action, Administrator, Body, Request};
use crate::plan::wanted::InstanceWanted;

/// An application that is healthy may still refuse for a moment.
const ATTEMPTS: u32 = 5;
/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(2);
/// How much of an answer is read.
const MAX_ANSWER: usize = 1 << 20;

/// Makes the administrator unless the check says that there is one.
pub(super) async fn create<E: Engine>(engine: &E, instance: &InstanceWanted, administrator: &Administrator) -> Result<()> {
    if let Some(exists) = &administrator.exists
        && request(engine, instance, exists).await.is_ok()
    {
        return Ok(());
    }
    all(engine, instance, &administrator.create, "create the first administrator of").await
}

/// Makes the settings that no variable reaches.
pub(super) async fn configure<E: Engine>(engine: &E, instance: &InstanceWanted) -> Result<()> {
    all(engine, instance, &instance.configure, "configure").await
}

async fn all<E: Engine>(engine: &E, instance: &InstanceWanted, actions: &[Action], doing: &str) -> Result<()> {
    for action in actions {
        let mut attempt = 1;
        while let Err(error) = act(engine, instance, action).await {
            if attempt == ATTEMPTS {
                let mut failed = Error::external(format!("cannot {doing} {}", instance.id))
                    .next("summoner install   tries again; the route stays closed until then");
                failed.cause = Some(error.cause.map_or_else(|| error.message.clone(), |cause| format!("{}\n{cause}", error.message)));
                return Err(failed);
            }
            attempt += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

async fn act<E: Engine>(engine: &E, instance: &InstanceWanted, action: &Action) -> Result<()> {
    match action {
        Action::Exec(exec) => command::run(engine, instance, exec).await,
        Action::Request(wanted) => request(engine, instance, wanted).await,
    }
}

async fn request<E: Engine>(engine: &E, instance: &InstanceWanted, wanted: &Request) -> Result<()> {
    let container = container(instance, &wanted.service)?;
    let detail = engine.inspect(container).await?;
    let own = instance.network.as_ref().map(|network| network.name.as_str()).unwrap_or_default();
    let address = detail.as_ref().and_then(|detail| detail.networks.get(own)).filter(|address| !address.is_empty());
    let address = address.ok_or_else(|| Error::external(format!("{container} has no address on its network")))?;
    let url = format!("http://{address}:{}{}", wanted.port, wanted.path);
    let failed =
        |error: &dyn std::fmt::Display| Error::external(format!("{} {} of {container} failed", wanted.method, wanted.path)).cause(error);
    let client = reqwest::Client::builder()
        .timeout(wanted.timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .map_err(|error| failed(&error))?;
    let method = reqwest::Method::from_bytes(wanted.method.as_bytes()).map_err(|error| failed(&error))?;
    let mut builder = client.request(method, &url);
    for (name, value) in &wanted.headers {
        builder = builder.header(name, value);
    }
    builder = match &wanted.body {
        Body::Empty => builder,
        Body::Json(json) => builder.json(json),
        Body::Form(fields) => builder.header("content-type", "application/x-www-form-urlencoded").body(form(fields)),
    };
    let mut answer = builder.send().await.map_err(|error| failed(&chain(&error)))?;
    let status = answer.status();
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| failed(&error))? {
        body.extend_from_slice(&chunk[..chunk.len().min(MAX_ANSWER - body.len())]);
    }
    let body = String::from_utf8_lossy(&body);
    let expected = if wanted.expect.is_empty() { status.is_success() } else { wanted.expect.contains(&status.as_u16()) };
    if !expected {
        return Err(failed(&format!("it answered {status}: {}", short(&body))));
    }
    match &wanted.contains {
        Some(text) if !body.contains(text.as_str()) => Err(failed(&format!("its answer lacks `{text}`: {}", short(&body)))),
        _ => Ok(()),
    }
}

/// `application/x-www-form-urlencoded`, every byte encoded that could mean something.
fn form(fields: &std::collections::BTreeMap<String, String>) -> String {
    let encode = |text: &str| -> String {
        text.bytes().map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
    };
    let pairs: Vec<String> = fields.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
    pairs.join("&")
}

/// The client's errors hide their reason in their source.
pub(super) fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(at) = source {
        text = format!("{text}: {at}");
        source = at.source();
    }
    text
}
