//! A dead-man's switch: an address that expects to be called, and tells people when it is not. The forms are those of
//! healthchecks.io: `/start`, nothing for success, `/fail`, `/log`.

use super::http::{self, Post};
use crate::config::dns::Secret;
use crate::config::outside::Address;
use crate::name::InstanceId;

/// What the call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A run begins.
    Start,
    /// A run ended, what it stored was read back, and nothing else is wrong.
    Success,
    /// Something is wrong.
    Fail,
    /// A line for people, which changes nothing.
    Log,
}

/// One switch.
pub(super) struct Ping {
    /// Its place in config.yml and where it is; holds no secret.
    pub(super) name: String,
    /// Whose backups it waits for; none is everybody's.
    pub(super) of: Option<Vec<InstanceId>>,
    pub(super) address: Address,
}

impl Ping {
    /// Whether what happens to an instance, or to the server, concerns it.
    pub(super) fn concerns(&self, instance: Option<&InstanceId>) -> bool {
        self.of.as_ref().is_none_or(|of| instance.is_some_and(|id| of.contains(id)))
    }

    /// Calls it with a sentence, and gives what was answered.
    pub(super) async fn call(&self, form: Form, sentence: &str) -> Result<String, String> {
        let word = match form {
            Form::Success => None,
            Form::Start => Some("start"),
            Form::Fail => Some("fail"),
            Form::Log => Some("log"),
        };
        let below = word.map(|word| self.address.below(word));
        let url = below.as_ref().map_or_else(|| self.address.reveal(), Secret::reveal);
        http::send(&Post { url, content_type: "text/plain; charset=utf-8", header: None, body: sentence.to_owned() }).await
    }
}
