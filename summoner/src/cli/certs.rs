//! `summoner certs`

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::context::Context;
use super::show::{self, JSON_VERSION};
use crate::acme;
use crate::error::Result;
use crate::plan::cert;

/// Show the certificates of all hosts
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Json {
    version: u32,
    certificates: Vec<Certificate>,
}

#[derive(Serialize)]
struct Certificate {
    host: String,
    names: Vec<String>,
    issuer: String,
    not_after: String,
    renew_at: String,
    last_error: Option<String>,
    next_try_at: Option<String>,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    let mut certificates = Vec::new();
    for instance in &loaded.config.instances {
        for host in hosts(instance, &loaded)? {
            if let Some(found) = acme::observe(&loaded.config.layout, &host)? {
                certificates.push(Certificate {
                    host: host.to_string(),
                    renew_at: time(cert::renew_at(&found)),
                    not_after: time(found.not_after),
                    names: found.names,
                    issuer: found.issuer,
                    last_error: None,
                    next_try_at: None,
                });
            }
        }
    }
    if args.json {
        show::json(&Json { version: JSON_VERSION, certificates })?;
        return Ok(0);
    }
    if certificates.is_empty() {
        context.note("no certificates yet: summoner install");
        return Ok(0);
    }
    let rows: Vec<Vec<String>> = certificates
        .iter()
        .map(|found| vec![found.host.clone(), found.issuer.clone(), day(&found.not_after), day(&found.renew_at)])
        .collect();
    show::text(&show::table(&["HOST", "ISSUER", "UNTIL", "RENEWED FROM"], &rows))?;
    context.note(&format!("\ntrust them by importing {}", loaded.config.layout.authority().display()));
    Ok(0)
}

/// The instance's own host, and those of further routes.
fn hosts(instance: &crate::config::Instance, loaded: &super::context::Loaded) -> Result<Vec<crate::name::Domain>> {
    let Some(host) = &instance.host else { return Ok(Vec::new()) };
    let minion = loaded.catalogue.get(&instance.minion)?;
    let further =
        minion.routes.iter().filter_map(|route| route.subdomain.as_ref()).filter_map(|label| format!("{label}-{host}").parse().ok());
    Ok(std::iter::once(host.clone()).chain(further).collect())
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn day(time: &str) -> String {
    time.chars().take(10).collect()
}
