//! `metrics:`, `hooks:` and `ping:` as `config show` has them: addresses end with their host.

use std::path::Path;

use serde::Serialize;

use super::HIDDEN;
use crate::config::outside::{Address, Hook, Hooks};

/// The one key of `metrics:`.
#[derive(Serialize)]
pub(super) struct Metrics {
    pub(super) port: u16,
}

/// The three lists.
#[derive(Serialize)]
pub(super) struct ShownHooks<'a> {
    on_success: Vec<ShownHook<'a>>,
    on_failure: Vec<ShownHook<'a>>,
    on_recovered: Vec<ShownHook<'a>>,
}

/// A program or an address.
#[derive(Serialize)]
struct ShownHook<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header_file: Option<&'a Path>,
}

impl<'a> ShownHooks<'a> {
    /// None when there are none.
    pub(super) fn of(hooks: &'a Hooks) -> Option<Self> {
        if *hooks == Hooks::default() {
            return None;
        }
        let all = |hooks: &'a [Hook]| hooks.iter().map(shown).collect();
        Some(Self { on_success: all(&hooks.on_success), on_failure: all(&hooks.on_failure), on_recovered: all(&hooks.on_recovered) })
    }
}

fn shown(hook: &Hook) -> ShownHook<'_> {
    match hook {
        Hook::Command(words) => ShownHook { command: Some(words), url: None, header_file: None },
        Hook::Webhook { address, header_file } => {
            ShownHook { command: None, url: Some(hidden(address)), header_file: header_file.as_deref() }
        }
    }
}

/// An address without what may be a secret.
pub(super) fn hidden(address: &Address) -> String {
    format!("{address}/{HIDDEN}")
}

#[cfg(test)]
mod tests {
    use crate::config::load::tests::loaded;
    use crate::config::show;

    #[test]
    fn what_tells_others_is_shown_without_its_secrets() {
        let (config, _) = loaded(
            "version: 1\ndomain: a.org\nemail: you@a.org\nmetrics: {port: 9273}\nping: https://hc-ping.com/SECRET\nhooks: {on_failure: [[/bin/tell, me], {url: 'https://chat.a.org/SECRET', header_file: /etc/h}]}\napps:\n  ghost: {backup: {ping: 'https://hc-ping.com/SECRET2'}}\n",
        );
        let text = show(&config);
        assert!(!text.contains("SECRET"), "{text}");
        assert!(text.contains("metrics:\n  port: 9273\n"), "{text}");
        assert!(text.contains("\nping: https://hc-ping.com/***\n") && text.contains("\n    ping: https://hc-ping.com/***\n"), "{text}");
        assert!(
            text.contains(
                "  on_failure:\n  - command:\n    - /bin/tell\n    - me\n  - url: https://chat.a.org/***\n    header_file: /etc/h\n"
            ),
            "{text}"
        );
    }
}
