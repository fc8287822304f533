//! Tells people and programs outside of this server how it goes: programs, addresses, dead-man's switches.
//!
//! What is told, and when, is decided in `plan::told`; [`Desk`] asks it, sends what it says and remembers what came of
//! it. One way that fails stops neither another nor the job. Called by the daemon, `run-due` and commands; addresses are
//! shown as scheme and host alone.

mod command;
mod desk;
mod http;
mod ping;
#[cfg(test)]
mod tests;
mod webhook;

use futures_util::future::BoxFuture;

use crate::config::Config;
use crate::config::outside::Hook;
use crate::plan::told::{News, Notice};

pub use desk::{Answer, Desk, Ended};
pub use ping::Form;

/// A way to tell one piece of news.
pub trait Channel: Send + Sync {
    /// Its place in config.yml and what it is; holds no secret.
    fn name(&self) -> &str;

    /// Tells it, and says what was answered.
    ///
    /// # Errors
    /// Why it did not arrive, in words that fit behind the name and hold no secret.
    fn tell<'a>(&'a self, notice: &'a Notice) -> BoxFuture<'a, Result<String, String>>;
}

/// The hooks of config.yml for a kind of news; all of them for a test.
#[must_use]
pub fn channels(config: &Config, event: News) -> Vec<Box<dyn Channel>> {
    let hooks = &config.outside.hooks;
    let of = |key: &'static str, hooks: &[Hook]| {
        hooks.iter().enumerate().map(|(at, hook)| channel(format!("hooks.{key}[{at}] {hook}"), hook)).collect::<Vec<_>>()
    };
    match event {
        News::Success => of("on_success", &hooks.on_success),
        News::Failure => of("on_failure", &hooks.on_failure),
        News::Recovered => of("on_recovered", &hooks.on_recovered),
        News::Test => [News::Success, News::Failure, News::Recovered].into_iter().flat_map(|event| channels(config, event)).collect(),
    }
}

fn channel(name: String, hook: &Hook) -> Box<dyn Channel> {
    match hook {
        Hook::Command(words) => Box::new(command::Command::new(name, words.clone())),
        Hook::Webhook { address, header_file } => Box::new(webhook::Webhook::new(name, address.clone(), header_file.clone())),
    }
}
