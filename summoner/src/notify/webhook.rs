//! An address that takes events: one POST of the JSON object that programs get too. Its key `text` is what Mattermost,
//! Slack and Rocket.Chat show.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::header::{HeaderName, HeaderValue};
use zeroize::Zeroizing;

use super::Channel;
use super::http::{self, Post};
use crate::config::outside::Address;
use crate::disk;
use crate::error::{Error, Result};
use crate::plan::told::Notice;

/// No header is longer.
const MOST_BYTES: u64 = 8 << 10;
/// The permission bits of others than the owner.
const OTHERS: u32 = 0o077;

/// The address.
pub(super) struct Webhook {
    name: String,
    address: Address,
    header_file: Option<PathBuf>,
}

impl Webhook {
    pub(super) fn new(name: String, address: Address, header_file: Option<PathBuf>) -> Self {
        Self { name, address, header_file }
    }

    async fn send(&self, notice: &Notice) -> Result<String, String> {
        let body = serde_json::to_string(notice).map_err(|error| error.to_string())?;
        let header = self.header_file.as_deref().map(header).transpose().map_err(|error| error.message)?;
        http::send(&Post { url: self.address.reveal(), content_type: "application/json", header, body }).await
    }
}

/// `Name: value`, from a file that only its owner may read.
fn header(path: &Path) -> Result<(HeaderName, HeaderValue)> {
    let shown = path.display();
    let found = std::fs::metadata(path).map_err(|error| Error::io("read", path, &error))?;
    if found.mode() & OTHERS != 0 {
        return Err(Error::external(format!("{shown} may be read by others than its owner: chmod 600 {shown}")));
    }
    let bytes = Zeroizing::new(disk::read_bounded(path, MOST_BYTES)?);
    let wrong = || Error::external(format!("{shown} holds no header: it should be one line, `Authorization: Bearer …`"));
    let text = std::str::from_utf8(&bytes).map_err(|_| wrong())?;
    let (name, value) = text.trim().split_once(':').ok_or_else(wrong)?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
    let mut value = HeaderValue::from_str(value.trim()).map_err(|_| wrong())?;
    value.set_sensitive(true);
    Ok((name, value))
}

impl Channel for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    fn tell<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Result<String, String>> {
        self.send(notice).boxed()
    }
}
