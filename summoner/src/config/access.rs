//! `access:` of an app in config.yml: who may come to it at all, before it is asked.
//!
//! The same two keys as in `routes:`. Said of the proxy's doors, not of the application's own accounts.

use ipnet::IpNet;

use super::routes::{file_name, list, network};
use super::today::checked;
use crate::fault::Faults;
use crate::yaml::{Fields, Node};

/// Who may come to an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Only these networks; empty is everybody.
    pub allow: Vec<IpNet>,
    /// Name of a file in `proxy/htpasswd/`: who may come in.
    pub auth: Option<String>,
}

impl Access {
    /// Whether everybody may come.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.allow.is_empty() && self.auth.is_none()
    }
}

pub(super) fn read(node: Option<&Node>, at: &str, faults: &mut Faults) -> Access {
    let Some(mut fields) = node.and_then(|node| Fields::open(node, at, faults)) else { return Access::default() };
    let allow = list(fields.take("allow"), &format!("{at}.allow"), |node, what, faults| checked(node, what, network, faults), faults);
    let auth = fields.take("auth").and_then(|node| checked(node, &format!("{at}.auth"), file_name, faults));
    fields.finish(faults);
    Access { allow, auth }
}

#[cfg(test)]
mod tests {
    use super::super::load::tests::surroundings;
    use crate::config::{Config, load};
    use crate::fault::Source;

    fn read(access: &str) -> Result<Config, String> {
        let text = format!("version: 1\ndomain: a.org\nemail: you@a.org\napps:\n  ghost: {{access: {access}}}\n");
        let loaded = load(&Source::new("config.yml", text), &surroundings());
        loaded.map(|(config, _)| config).map_err(|faults| faults.iter().map(|f| f.message.clone()).collect::<Vec<_>>().join(" | "))
    }

    #[test]
    fn both_keys_are_read() {
        let access = read("{allow: [192.0.2.0/24, '2001:db8::1'], auth: team}").unwrap().instances[0].access.clone();
        assert_eq!((access.allow.len(), access.auth.as_deref(), access.is_open()), (2, Some("team"), false));
        assert!(read("").unwrap().instances[0].access.is_open());
    }

    #[test]
    fn faults_keep_nothing_half_open() {
        assert_eq!(read("{allow: all}").unwrap_err(), "apps.ghost.access.allow[0]: `all` is no network such as 192.0.2.0/24");
        assert!(read("{auth: ../team}").unwrap_err().starts_with("apps.ghost.access.auth: `../team` is no name of a file"));
        assert!(read("{alow: [192.0.2.1]}").unwrap_err().contains("alow"));
        assert!(read("[192.0.2.1]").is_err());
    }
}
