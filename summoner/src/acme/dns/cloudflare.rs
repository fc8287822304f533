//! Cloudflare's API, version 4: a record is an object of its own, found again by its name and its text.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::api::{Client, Reply};
use super::{Solver, TxtRecord};
use crate::config::dns::{Cloudflare, TTL};
use crate::error::{Error, Result};

const URL: &str = "https://api.cloudflare.com/client/v4";
/// "an identical record already exists", in both of its numbers.
const EXISTS: [i64; 2] = [81057, 81058];
/// A page of records: more values at one name than these are not ours.
const PAGE: usize = 100;

/// An account there.
pub(super) struct Account {
    client: Client,
    zone: Option<String>,
}

impl Account {
    pub(super) fn open(settings: &Cloudflare) -> Result<Self> {
        Ok(Self { client: Client::open("Cloudflare", URL, "Bearer", &settings.api)?, zone: settings.zone_id.clone() })
    }

    async fn add(&self, record: &TxtRecord) -> Result<()> {
        let zone = self.zone_of(&record.name).await?;
        // In quotes, as the text of a zone file: without them the dashboard warns.
        let body = json!({"type": "TXT", "name": record.name, "content": format!("\"{}\"", record.value), "ttl": TTL});
        let reply = self.client.call(Method::POST, &format!("/zones/{zone}/dns_records"), Some(&body)).await?;
        if good(&reply) || codes(&reply).any(|code| EXISTS.contains(&code)) { Ok(()) } else { Err(self.refused(&reply, record)) }
    }

    async fn take(&self, record: &TxtRecord) -> Result<()> {
        let zone = self.zone_of(&record.name).await?;
        let path = format!("/zones/{zone}/dns_records?type=TXT&name={}&per_page={PAGE}", record.name);
        let reply = self.client.call(Method::GET, &path, None).await?;
        if !good(&reply) {
            return Err(self.refused(&reply, record));
        }
        let ours = |found: &&Value| found["content"].as_str().map(|text| text.trim_matches('"')) == Some(&record.value);
        for found in list(&reply).iter().filter(ours) {
            let id = identifier(found).ok_or_else(|| self.refused(&reply, record))?;
            let reply = self.client.call(Method::DELETE, &format!("/zones/{zone}/dns_records/{id}"), None).await?;
            if !good(&reply) && reply.status != StatusCode::NOT_FOUND {
                return Err(self.refused(&reply, record));
            }
        }
        Ok(())
    }

    /// The longest zone of the account that a name ends with.
    async fn zone_of(&self, name: &str) -> Result<String> {
        if let Some(zone) = &self.zone {
            return Ok(zone.clone());
        }
        let mut rest = name;
        // The last label alone is nobody's zone.
        while let Some((_, parent)) = rest.split_once('.').filter(|(_, parent)| parent.contains('.')) {
            rest = parent;
            let reply = self.client.call(Method::GET, &format!("/zones?name={rest}"), None).await?;
            if !good(&reply) {
                return Err(self.client.refused(&reply));
            }
            if let Some(id) = list(&reply).first().and_then(identifier) {
                return Ok(id.to_owned());
            }
        }
        Err(Error::external(format!("Cloudflare shows this token no zone that holds {name}"))
            .next("give the token the right to read zones (Zone: Zone: Read), or write `zone_id:` beside `token_file:`"))
    }

    fn refused(&self, reply: &Reply, record: &TxtRecord) -> Error {
        let error = self.client.refused(reply);
        Error { message: format!("{}: the TXT record of {}", error.message, record.name), ..error }
    }
}

fn good(reply: &Reply) -> bool {
    reply.status.is_success() && reply.json["success"] == json!(true)
}

fn list(reply: &Reply) -> &[Value] {
    reply.json["result"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// An identifier becomes a part of a path: nothing else may.
fn identifier(found: &Value) -> Option<&str> {
    found["id"].as_str().filter(|id| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric()))
}

fn codes(reply: &Reply) -> impl Iterator<Item = i64> {
    reply.json["errors"].as_array().into_iter().flatten().filter_map(|error| error["code"].as_i64())
}

impl Solver for Account {
    fn present<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<()>> {
        self.add(record).boxed()
    }

    fn remove<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<()>> {
        self.take(record).boxed()
    }

    fn describe(&self) -> String {
        "Cloudflare".to_owned()
    }
}
