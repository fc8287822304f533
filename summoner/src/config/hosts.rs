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
    /// Notes that an app or a route (`apps.ghost`, `routes[0]`) answers on a host; a second one that would is a fault that names both.
    pub(super) fn claim(&mut self, host: &At<Domain>, who: &str, faults: &mut Faults) {
        let Some((other, span)) = self.0.get(&host.value) else {
            self.0.insert(host.value.clone(), (who.to_owned(), host.span.clone()));
            return;
        };
        let (line, _) = faults.source().position(span.start);
        let message = if other == who {
            format!("{who} answers on {} already (line {line})", host.value)
        } else {
            format!("{who} would answer on {}, and so does {other} (line {line})", host.value)
        };
        faults.error_with_help(&host.span, message, "give one of them another `subdomain:`, `domain:` or alias");
    }
}
