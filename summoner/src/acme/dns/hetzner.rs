//! Hetzner's API (that of its cloud): values are added to the set of a name and taken from it one by one.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::api::Client;
use super::{Solver, TxtRecord};
use crate::config::dns::{Api, TTL};
use crate::error::{Error, Result};

const URL: &str = "https://api.hetzner.cloud/v1";

/// A project there.
pub(super) struct Account {
    client: Client,
}

impl Account {
    pub(super) fn open(settings: &Api) -> Result<Self> {
        Ok(Self { client: Client::open("Hetzner", URL, "Bearer", settings)? })
    }

    /// Adds the value, or takes it away, unless that is so already.
    async fn change(&self, record: &TxtRecord, add: bool) -> Result<()> {
        let set = self.set(&record.name).await?;
        let reply = self.client.call(Method::GET, &set, None).await?;
        let value = format!("\"{}\"", record.value);
        let there = match reply.status {
            StatusCode::NOT_FOUND => false,
            StatusCode::OK => {
                let values = reply.json["rrset"]["records"].as_array().ok_or_else(|| self.client.refused(&reply))?;
                values.iter().any(|found| found["value"] == json!(value))
            }
            _ => return Err(self.client.refused(&reply)),
        };
        if there == add {
            return Ok(());
        }
        let records: Value = json!([{"value": value}]);
        let (action, body) = if add { ("add", json!({"ttl": TTL, "records": records})) } else { ("remove", json!({"records": records})) };
        let reply = self.client.call(Method::POST, &format!("{set}/actions/{action}_records"), Some(&body)).await?;
        if reply.status.is_success() || !add && reply.status == StatusCode::NOT_FOUND { Ok(()) } else { Err(self.client.refused(&reply)) }
    }

    /// The path of a name's set of TXT records, in the longest zone of the project that it ends with.
    async fn set(&self, name: &str) -> Result<String> {
        let mut rest = name;
        // The last label alone is nobody's zone.
        while let Some((_, zone)) = rest.split_once('.').filter(|(_, zone)| zone.contains('.')) {
            rest = zone;
            let reply = self.client.call(Method::GET, &format!("/zones/{zone}"), None).await?;
            match reply.status {
                StatusCode::OK => {
                    let below = name.strip_suffix(zone).unwrap_or_default().trim_end_matches('.');
                    return Ok(format!("/zones/{zone}/rrsets/{below}/TXT"));
                }
                StatusCode::NOT_FOUND => {}
                _ => return Err(self.client.refused(&reply)),
            }
        }
        Err(Error::external(format!("Hetzner shows this token no zone that holds {name}"))
            .next("make the token in the project that holds the zone; zones of the old DNS console have to be moved there"))
    }
}

impl Solver for Account {
    fn present<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<()>> {
        self.change(record, true).boxed()
    }

    fn remove<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<()>> {
        self.change(record, false).boxed()
    }

    fn describe(&self) -> String {
        "Hetzner".to_owned()
    }
}
