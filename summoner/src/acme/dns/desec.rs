//! deSEC's API: all values of a name are one set, written as a whole. So a change reads the set first, one at a time.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::sync::Mutex;

use super::api::Client;
use super::{Solver, TxtRecord};
use crate::config::dns::{Api, TTL};
use crate::error::{Error, Result};

const URL: &str = "https://desec.io/api/v1";

/// Two orders of this process may change the same set.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// An account there.
pub(super) struct Account {
    client: Client,
}

/// A domain of the account.
struct Home {
    domain: String,
    /// What stands before the domain; empty for the domain itself.
    below: String,
    least_ttl: u64,
}

impl Account {
    pub(super) fn open(settings: &Api) -> Result<Self> {
        Ok(Self { client: Client::open("deSEC", URL, "Token", settings)? })
    }

    /// Changes the set by what `change` makes of its values; None leaves it as it is.
    async fn change(&self, record: &TxtRecord, change: impl Fn(Vec<String>, String) -> Option<Vec<String>>) -> Result<()> {
        let _alone = ONE_AT_A_TIME.lock().await;
        let home = self.home(&record.name).await?;
        let set = if home.below.is_empty() { "@" } else { &home.below };
        let reply = self.client.call(Method::GET, &format!("/domains/{}/rrsets/{set}/TXT/", home.domain), None).await?;
        let values: Vec<String> = match reply.status {
            StatusCode::NOT_FOUND => Vec::new(),
            StatusCode::OK => {
                let values = reply.json["records"].as_array().ok_or_else(|| self.client.refused(&reply))?;
                values.iter().filter_map(|value| value.as_str().map(str::to_owned)).collect()
            }
            _ => return Err(self.client.refused(&reply)),
        };
        let Some(values) = change(values, format!("\"{}\"", record.value)) else { return Ok(()) };
        // An empty set is removed.
        let body = json!([{"subname": home.below, "type": "TXT", "ttl": home.least_ttl.max(u64::from(TTL)), "records": values}]);
        let reply = self.client.call(Method::PATCH, &format!("/domains/{}/rrsets/", home.domain), Some(&body)).await?;
        if reply.status.is_success() { Ok(()) } else { Err(self.client.refused(&reply)) }
    }

    async fn home(&self, name: &str) -> Result<Home> {
        let reply = self.client.call(Method::GET, &format!("/domains/?owns_qname={name}"), None).await?;
        if reply.status != StatusCode::OK {
            return Err(self.client.refused(&reply));
        }
        let found = &reply.json[0];
        let domain = found["name"].as_str().unwrap_or_default();
        let below = name.strip_suffix(domain).filter(|rest| !domain.is_empty() && (rest.is_empty() || rest.ends_with('.')));
        let below = below.ok_or_else(|| {
            Error::external(format!("deSEC shows this token no domain that holds {name}"))
                .next("see whether the domain is in that account, and whether the token may use it")
        })?;
        Ok(Home {
            domain: domain.to_owned(),
            below: below.trim_end_matches('.').to_owned(),
            least_ttl: found["minimum_ttl"].as_u64().unwrap_or(DEFAULT_LEAST_TTL),
        })
    }
}

/// What deSEC wants of an ordinary account.
const DEFAULT_LEAST_TTL: u64 = 3600;

impl Solver for Account {
    fn present<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<()>> {
        let with = |mut values: Vec<String>, value: String| {
            if values.contains(&value) {
                return None;
            }
            values.push(value);
            Some(values)
        };
        self.change(record, with).boxed()
    }

    fn remove<'a>(&'a self, record: &'a TxtRecord) -> BoxFuture<'a, Result<()>> {
        let without = |mut values: Vec<String>, value: String| {
            let before = values.len();
            values.retain(|found| *found != value);
            (values.len() < before).then_some(values)
        };
        self.change(record, without).boxed()
    }

    fn describe(&self) -> String {
        "deSEC".to_owned()
    }
}
