//! `metrics:`, `hooks:` and `ping:` in config.yml: who is told how backups went, and how programs see it.
//!
//! Values only; `crate::notify` calls them, `crate::metrics` serves. An address may hold a secret in its path, so only its
//! scheme and host are ever shown.

use std::fmt;
use std::path::PathBuf;

use super::dns::Secret;
use super::today::checked;
use crate::fault::Faults;
use crate::yaml::{Fields, Node, kind_of};

/// Hooks of one list; each is called for every event of its kind.
const MOST_HOOKS: usize = 16;
/// Words of one command.
const MOST_WORDS: usize = 100;
/// No address of a hook is longer.
const LONGEST_ADDRESS: usize = 2048;

/// How the server is seen from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outside {
    /// The port on loopback that metrics are served at; None serves none.
    pub metrics_port: Option<u16>,
    /// Whom to tell what.
    pub hooks: Hooks,
    /// The address that expects to hear of good backups of all apps.
    pub ping: Option<Address>,
}

/// Whom to tell what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// That a job did what it should.
    pub on_success: Vec<Hook>,
    /// That something is wrong: once, then daily.
    pub on_failure: Vec<Hook>,
    /// That it is over.
    pub on_recovered: Vec<Hook>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hook {
    /// A program and its arguments; no shell reads them.
    Command(Vec<String>),
    /// An address that takes JSON.
    Webhook {
        /// Where.
        address: Address,
        /// A file with one more header, `Name: value`.
        header_file: Option<PathBuf>,
    },
}

/// An address whose path may be a secret: shown as scheme and host.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    full: Secret,
    shown: String,
}

impl Address {
    /// An address of http or https, with nothing in front of its host.
    ///
    /// # Errors
    /// The sentence that says what would be right; it does not repeat the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("this is no address: {why}"));
        let Some((scheme, rest)) = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "http" | "https")) else {
            return wrong("write https://host/path");
        };
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if host.is_empty() || host.starts_with(':') || host.contains('\\') {
            return wrong("it names no host, write https://host/path");
        }
        if host.contains('@') {
            return wrong("a name and a password do not go into it: put `Authorization: …` into a file and name it with header_file");
        }
        if text.contains('#') {
            return wrong("what follows # never reaches a server");
        }
        if text.len() > LONGEST_ADDRESS || !text.chars().all(|c| c.is_ascii_graphic()) {
            return wrong("it is too long, or holds what no address holds");
        }
        // What it means is the client's to say: better now than at night.
        if url(text).is_none() {
            return wrong("its host or port cannot be read");
        }
        Ok(Self { full: Secret::new(text.to_owned()), shown: format!("{scheme}://{}", host.to_ascii_lowercase()) })
    }

    /// All of it, to be called and nothing else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        self.full.reveal()
    }

    /// With a word behind its path, as healthchecks.io has `/start` and `/fail`.
    #[must_use]
    pub fn below(&self, word: &str) -> Secret {
        let full = self.reveal();
        let (path, query) = full.split_once('?').map_or((full, ""), |(path, query)| (path, query));
        let mark = if query.is_empty() { "" } else { "?" };
        Secret::new(format!("{}/{word}{mark}{query}", path.trim_end_matches('/')))
    }
}

/// Host and port of an address, when they can be read.
fn url(text: &str) -> Option<()> {
    let uri: http::Uri = text.parse().ok()?;
    let authority = uri.authority()?;
    let port = authority.as_str().strip_prefix(authority.host())?;
    (port.is_empty() || port.strip_prefix(':')?.parse::<u16>().ok()? > 0).then_some(())
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/***", self.shown)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Command(words) => out.write_str(words.first().map_or("", String::as_str)),
            Self::Webhook { address, .. } => address.fmt(out),
        }
    }
}

/// Takes the three keys.
pub(super) fn read(fields: &mut Fields<'_>, faults: &mut Faults) -> Outside {
    Outside {
        metrics_port: fields.take("metrics").and_then(|node| metrics(node, faults)),
        hooks: fields.take("hooks").map(|node| hooks(node, faults)).unwrap_or_default(),
        ping: fields.take("ping").and_then(|node| checked(node, "ping", Address::parse, faults)),
    }
}

fn metrics(node: &Node, faults: &mut Faults) -> Option<u16> {
    if node.is_null() {
        return None;
    }
    let mut fields = Fields::open(node, "metrics", faults)?;
    let port = fields.require("port", faults).and_then(|node| checked(node, "metrics.port", port, faults));
    fields.finish(faults);
    port
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|port| *port > 0).ok_or_else(|| format!("`{}` is no port: 1 to 65535", super::values::short(text)))
}

fn hooks(node: &Node, faults: &mut Faults) -> Hooks {
    let Some(mut fields) = Fields::open(node, "hooks", faults) else { return Hooks::default() };
    let mut list = |key, faults: &mut Faults| fields.take(key).map(|node| each(node, &format!("hooks.{key}"), faults)).unwrap_or_default();
    let hooks = Hooks {
        on_success: list("on_success", faults),
        on_failure: list("on_failure", faults),
        on_recovered: list("on_recovered", faults),
    };
    fields.finish(faults);
    hooks
}

fn each(node: &Node, what: &str, faults: &mut Faults) -> Vec<Hook> {
    if node.is_null() {
        return Vec::new();
    }
    let Some(items) = node.as_list() else {
        let help = "begin each with a dash: `- [/usr/local/bin/tell, me]`, `- {url: https://…}`";
        faults.error_with_help(&node.span, format!("{what} must be a list, but {} stands here", kind_of(node)), help);
        return Vec::new();
    };
    if let Some(item) = items.get(MOST_HOOKS) {
        faults.error(&item.span, format!("{what} holds more than {MOST_HOOKS}"));
    }
    items.iter().take(MOST_HOOKS).enumerate().filter_map(|(at, item)| hook(item, &format!("{what}[{at}]"), faults)).collect()
}

fn hook(node: &Node, what: &str, faults: &mut Faults) -> Option<Hook> {
    if let Some(words) = node.as_list() {
        return command(node, words, what, faults);
    }
    if node.as_str().is_some_and(|text| !text.contains("://")) {
        let help = "a program is a list of its own, each argument a text: `- [/usr/local/bin/tell, me]`";
        faults.error_with_help(&node.span, format!("{what} is neither a list of words nor an address"), help);
        return None;
    }
    if node.as_map().is_none() {
        return Some(Hook::Webhook { address: checked(node, what, Address::parse, faults)?, header_file: None });
    }
    let mut fields = Fields::open(node, what, faults)?;
    let (url, file) = (fields.name("url"), fields.name("header_file"));
    let address = fields.require("url", faults).and_then(|node| checked(node, &url, Address::parse, faults));
    let header_file = fields.take("header_file").and_then(|node| checked(node, &file, path, faults));
    fields.finish(faults);
    Some(Hook::Webhook { address: address?, header_file })
}

fn command(node: &Node, items: &[Node], what: &str, faults: &mut Faults) -> Option<Hook> {
    let words: Vec<String> = items.iter().enumerate().map_while(|(at, item)| item.text(&format!("{what}[{at}]"), faults)).collect();
    if words.len() < items.len() {
        return None;
    }
    // Whoever runs jobs has another PATH and another folder than the person who tried it.
    let reason = match words.first() {
        None => "it names no program",
        Some(program) if !program.starts_with('/') => "write the whole path of the program, beginning with /",
        Some(_) if words.len() > MOST_WORDS => "it has too many arguments",
        Some(_) if words.iter().any(|word| word.contains('\0')) => "an argument holds a NUL",
        Some(_) => return Some(Hook::Command(words)),
    };
    faults.error_with_help(&node.span, format!("{what}: {reason}"), "such as [/usr/local/bin/tell, me]");
    None
}

fn path(text: &str) -> Result<PathBuf, String> {
    // What stands here may be the secret itself: it is not repeated.
    if text.starts_with('/') && !text.contains('\0') {
        Ok(PathBuf::from(text))
    } else {
        Err("write the whole path of a file that holds one header, beginning with /".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Source;
    use crate::yaml::{Limits, parse};

    fn said(text: &str) -> Result<Outside, String> {
        let mut faults = Faults::new(&Source::new("config.yml", text));
        let node = parse(Limits::CONFIG, &mut faults).unwrap();
        let mut fields = Fields::open(&node, "", &mut faults).unwrap();
        let outside = read(&mut fields, &mut faults);
        fields.finish(&mut faults);
        faults.finish(Some(outside)).map(|(found, _)| found).map_err(|faults| faults.iter().map(|fault| fault.line() + "\n").collect())
    }

    #[test]
    fn everything_is_off_until_somebody_asks() {
        assert_eq!(said("metrics:\nhooks:\n").unwrap(), Outside::default());
        let text = "metrics: {port: 9273}\nping: https://hc-ping.com/SECRET\nhooks:\n  on_failure:\n  - [/bin/tell, me]\n  - {url: 'https://Chat.a.org:8443/SECRET?k=SECRET', header_file: /etc/header}\n  - http://127.0.0.1:8065/SECRET\n";
        let found = said(text).unwrap();
        assert_eq!(found.metrics_port, Some(9273));
        let shown: Vec<String> = found.hooks.on_failure.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["/bin/tell", "https://chat.a.org:8443", "http://127.0.0.1:8065"]);
        assert!(!format!("{found:?}").contains("SECRET"), "{found:?}");
        let ping = found.ping.unwrap();
        assert_eq!(
            (ping.reveal(), ping.below("start").reveal(), ping.to_string().as_str()),
            ("https://hc-ping.com/SECRET", "https://hc-ping.com/SECRET/start", "https://hc-ping.com")
        );
        assert_eq!(Address::parse("https://a.org/x/?create=1").unwrap().below("fail").reveal(), "https://a.org/x/fail?create=1");
    }

    #[test]
    fn what_cannot_be_called_is_refused_without_repeating_it() {
        let text = "metrics: {port: 0}\nping: https://me:SECRET@hc-ping.com/x\nhooks:\n  on_success: /bin/tell\n  on_failure: [[tell, me], [], /bin/tell, 'ftp://a.org/SECRET', {url: 'https://', header_file: SECRET}, 'https://a.org:x/SECRET', 'https://a.org/#SECRET']\n  on_recovered: [{header_file: /x, colour: red}]\n";
        let said = said(text).unwrap_err();
        assert!(!said.contains("SECRET"), "{said}");
        insta::assert_snapshot!(said, @"
        config.yml:1:17: metrics.port: `0` is no port: 1 to 65535
        config.yml:2:7: ping: this is no address: a name and a password do not go into it: put `Authorization: …` into a file and name it with header_file
        config.yml:4:15: hooks.on_success must be a list, but text stands here
        config.yml:5:16: hooks.on_failure[0]: write the whole path of the program, beginning with /
        config.yml:5:28: hooks.on_failure[1]: it names no program
        config.yml:5:32: hooks.on_failure[2] is neither a list of words nor an address
        config.yml:5:43: hooks.on_failure[3]: this is no address: write https://host/path
        config.yml:5:71: hooks.on_failure[4].url: this is no address: it names no host, write https://host/path
        config.yml:5:96: hooks.on_failure[4].header_file: write the whole path of a file that holds one header, beginning with /
        config.yml:5:105: hooks.on_failure[5]: this is no address: its host or port cannot be read
        config.yml:5:131: hooks.on_failure[6]: this is no address: what follows # never reaches a server
        config.yml:6:18: `url` is missing in hooks.on_recovered[0]
        config.yml:6:36: unknown key `colour` in hooks.on_recovered[0]
        ");
    }
}
