//! A minion is data: a folder with `docker-compose.yml` and `minion.yml`, which says what Compose cannot.
//!
//! This module reads and checks that folder and knows the catalogue: the one inside the binary, shadowed by the
//! person's own `$SUMMONER_HOME/minions`. It knows no minion by name, starts nothing and decides nothing.

mod actions;
mod administrator;
pub mod catalogue;
mod fill;
pub mod lint;
mod reader;
mod route;
mod schema;
mod sign_in;
mod storage;
pub mod template;
#[cfg(test)]
mod tests;
mod units;
mod versions;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

pub use actions::{Action, Body, Exec, Request};
pub use administrator::{Administrator, Smoke};
pub use catalogue::Catalogue;
pub use lint::{Finding, inspect, lint, placeholders};
pub use route::{PathTarget, Route, RoutePath};
pub use schema::read;
pub use sign_in::{ADDRESS, LogPlace, SignIn, SignInLog};
pub use storage::{Database, Folder, OwnDump, SecretFormat, SecretSpec};
pub use template::{Inputs, TemplateError, VARIABLES, Variable, Variables};
pub use versions::{Needs, RestorePolicy, VersionStep, Versions, Webhooks};

use crate::fault::Source;
use crate::name::Role;

/// One application of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Minion {
    /// The folder's name.
    pub name: String,
    /// Where it was found.
    pub origin: Origin,
    /// What it is, in one line.
    pub summary: String,
    /// `home`, `source`, `docs` … and their URLs.
    pub links: BTreeMap<String, String>,
    /// It is the reverse proxy that routes to all others; a host has exactly one.
    pub proxy: bool,
    /// Where it lives below the domain when config.yml does not say; `@` is the domain itself.
    pub subdomain: String,
    /// What the proxy routes to it; the first one is where people go.
    pub routes: Vec<Route>,
    /// Where people sign in, and how a failure looks from outside.
    pub sign_in: Vec<SignIn>,
    /// Secrets that are generated once for each instance.
    pub secrets: Vec<SecretSpec>,
    /// Databases inside the instance.
    pub databases: Vec<Database>,
    /// Folders below the instance's folder: made before the first start, kept by a backup unless regenerable.
    pub folders: Vec<Folder>,
    /// Services whose image brings its own HEALTHCHECK, which then needs no `test` in the Compose file.
    pub image_healthchecks: Vec<String>,
    /// Commands that make the application stand still, and those that let it go on.
    pub quiesce: Vec<Exec>,
    /// The undo of `quiesce`; run whatever happens.
    pub unquiesce: Vec<Exec>,
    /// How an application that bundles its database dumps itself while it runs.
    pub dump: Option<OwnDump>,
    /// Commands after a restore.
    pub after_restore: Vec<Exec>,
    /// Variables of the application that keep it from sending mail: a drill sets them, whatever else is set.
    pub mail: BTreeMap<String, String>,
    /// Settings that no variable reaches: idempotent, run when the administrator is there and the route is not yet
    /// open, again after an update and after a restore.
    pub configure: Vec<Action>,
    /// How the first administrator comes to be, before the route opens.
    pub administrator: Option<Administrator>,
    /// What proves, through the proxy, that a person could work.
    pub smoke: Option<Smoke>,
    /// What the machine must have.
    pub needs: Needs,
    /// Which versions there are and how to step between them.
    pub versions: Versions,
    /// Which webhooks it speaks.
    pub webhooks: Webhooks,
    /// `minion.yml`, as it was read.
    pub source: Arc<Source>,
    /// `docker-compose.yml`, not interpolated.
    pub compose: Arc<Source>,
}

/// Where a minion was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Inside the binary.
    Catalogue,
    /// A folder of the person's own.
    Folder(PathBuf),
}

impl Minion {
    /// The version that the catalogue names: the tag of the application's image.
    #[must_use]
    pub fn version(&self) -> Option<String> {
        // The Compose file is not interpolated here; tags in the catalogue hold no variables.
        let line =
            self.compose.text.lines().skip_while(|line| line.trim_end() != "  app:").find_map(|line| line.trim().strip_prefix("image:"))?;
        let image = line.trim().trim_matches(['"', '\'']);
        image.rsplit_once(':').map(|(_, tag)| tag.to_owned())
    }

    /// What a container of this service is: a database, a helper, or the application.
    ///
    /// # Errors
    /// When the service is neither `app`, nor a declared database, nor one of the reserved helper words.
    pub fn role(&self, service: &str) -> Result<Role, crate::name::NameError> {
        match self.databases.iter().find(|database| database.service == service) {
            Some(database) => Ok(Role::Database(database.kind)),
            None => service.parse(),
        }
    }
}
