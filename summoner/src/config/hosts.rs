//! Host names: each leads to one instance only.

use std::collections::BTreeMap;
use std::ops::Range;

use super::written::At;
use crate::fault::Faults;
use crate::name::Domain;

/// The host names asked for so far, and by whom.
#[derive(Default)]
pub(super) struct Hosts(BTreeMap<Domain, (String, Range<usize>)>);

impl Hosts {
    /// Notes that an app answers on a host; a second one that would is a fault that names both.
    pub(super) fn claim(&mut self, host: &At<Domain>, app: &str, faults: &mut Faults) {
        let Some((other, span)) = self.0.get(&host.value) else {
            self.0.insert(host.value.clone(), (app.to_owned(), host.span.clone()));
            return;
        };
        let (line, _) = faults.source().position(span.start);
        let message = if other == app {
            format!("apps.{app} answers on {} already (line {line})", host.value)
        } else {
            format!("apps.{app} would answer on {}, and so does apps.{other} (line {line})", host.value)
        };
        faults.error_with_help(&host.span, message, "give one of them another `subdomain:`, `domain:` or alias");
    }
}
