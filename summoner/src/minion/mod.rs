//! A minion is data: a folder with `docker-compose.yml` and `minion.yml`, which says what Compose cannot.
//!
//! This module reads and checks that folder and knows the catalogue: the one inside the binary, shadowed by the
//! person's own `$SUMMONER_HOME/minions`. It knows no minion by name, starts nothing and decides nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::fault::Source;
use crate::name::{DatabaseKind, Role};

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
    /// Secrets that are generated once for each instance.
    pub secrets: Vec<SecretSpec>,
    /// Databases inside the instance.
    pub databases: Vec<Database>,
    /// Folders below the instance's folder: made before the first start, kept by a backup unless regenerable.
    pub folders: Vec<Folder>,
    /// Commands that make the application stand still, and those that let it go on.
    pub quiesce: Vec<Exec>,
    /// The undo of `quiesce`; run whatever happens.
    pub unquiesce: Vec<Exec>,
    /// Commands after a restore.
    pub after_restore: Vec<Exec>,
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

/// One host name that the proxy sends to one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Service of the Compose file.
    pub service: String,
    /// Port inside.
    pub port: u16,
    /// Label of a further host (`registry` gives `registry-<subdomain>.<domain>`); None is the instance's own host.
    pub subdomain: Option<String>,
    /// Largest request body in bytes; 0 is without limit.
    pub body_bytes: u64,
    /// How long the application may be silent.
    pub read_timeout: Duration,
    /// Whether the proxy keeps answers before it sends them on.
    pub response_buffering: bool,
    /// Whether the proxy keeps requests before it sends them on.
    pub request_buffering: bool,
    /// Whether connections may be upgraded.
    pub websocket: bool,
    /// Paths that are answered with a redirect: from, to.
    pub redirects: Vec<(String, String)>,
    /// Headers added to every answer.
    pub headers: BTreeMap<String, String>,
}

/// A secret that is generated once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretSpec {
    /// `[a-z][a-z0-9_]*`; Compose and minion.yml see it as `${SECRET_<NAME>}` and the file `${SECRETS}/<name>`.
    pub name: String,
    /// Length in characters (alphanumeric, hex) or bytes before encoding (base64).
    pub length: usize,
    /// Which characters.
    pub format: SecretFormat,
    /// uid that must be able to read the file; None is root alone.
    pub owner: Option<u32>,
}

/// Which characters a secret is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretFormat {
    /// `[A-Za-z0-9]`: safe in URLs, YAML, SQL and shells.
    Alphanumeric,
    /// `[0-9a-f]`.
    Hex,
    /// Standard base64.
    Base64,
}

/// A folder below the instance's folder (`${FILES}`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// Relative path, no `..`.
    pub path: String,
    /// uid and gid that the application writes as; None leaves root.
    pub owner: Option<(u32, u32)>,
    /// Can be made again (caches, indices, previews): a backup leaves it out.
    pub regenerable: bool,
}

/// A database inside the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Service of the Compose file.
    pub service: String,
    /// Its kind.
    pub kind: DatabaseKind,
    /// The application's database.
    pub name: String,
    /// The application's user.
    pub user: String,
    /// The secret that holds the user's password.
    pub password: String,
    /// The user that may dump everything, and the secret with its password.
    pub root: Option<(String, String)>,
}

/// A command inside a container of the instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exec {
    /// Service of the Compose file.
    pub service: String,
    /// argv; never a line for a shell built from data. `${…}` is interpolated.
    pub command: Vec<String>,
    /// `uid[:gid]` or a name.
    pub user: Option<String>,
    /// Sent to the command: the place for secrets.
    pub stdin: Option<String>,
    /// Variables for the command: another place for secrets.
    pub environment: BTreeMap<String, String>,
    /// How long it may take.
    pub timeout: Duration,
}

/// An HTTP request to a service of the instance, on the instance's own network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Service of the Compose file.
    pub service: String,
    /// Port inside.
    pub port: u16,
    /// `GET`, `POST`, `PUT` …
    pub method: String,
    /// Path and query. `${…}` is interpolated here, in headers and in the body.
    pub path: String,
    /// Headers.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Body,
    /// Statuses that mean it worked; empty is any 2xx.
    pub expect: Vec<u16>,
    /// Text that the answer must hold.
    pub contains: Option<String>,
}

/// The body of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// None.
    Empty,
    /// JSON; texts in it are interpolated after parsing, so no value can break out.
    Json(serde_json::Value),
    /// A form, values encoded.
    Form(BTreeMap<String, String>),
}

impl Eq for Body {}

/// How the first administrator comes to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Administrator {
    /// Login name; `${EMAIL}` and other variables are interpolated.
    pub user: String,
    /// The secret with the password.
    pub password: String,
    /// Where to sign in, below the instance's URL.
    pub path: String,
    /// A check that passes when the administrator exists already: then nothing is done.
    pub exists: Option<Request>,
    /// What makes the administrator, in order. Empty: the application does it from its environment at first start.
    pub create: Vec<Action>,
}

/// One action on a running instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A command in a container.
    Exec(Exec),
    /// A request to a service.
    Request(Request),
}

/// What proves through the proxy that a person could work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smoke {
    /// Path and query on the instance's own host.
    pub path: String,
    /// Statuses that pass; empty is any 2xx.
    pub expect: Vec<u16>,
    /// Text that the answer must hold.
    pub contains: Option<String>,
}

/// What the machine must have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Memory in use by one small team.
    pub memory_bytes: u64,
    /// Disk for images and first data.
    pub disk_bytes: u64,
    /// CPU features such as `avx`.
    pub cpu: Vec<String>,
    /// Architectures that have images, `amd64`, `arm64`; empty is any.
    pub architectures: Vec<String>,
    /// Kernel settings and their least values.
    pub sysctls: BTreeMap<String, u64>,
}

/// Which versions there are and how to step between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions {
    /// Regular expression that the tags of stable versions match, whole.
    pub tags: String,
    /// How far an update may go in one step.
    pub step: VersionStep,
    /// Versions at which an upgrade must stop, in order.
    pub stops: Vec<String>,
    /// Which version may read the data of a snapshot.
    pub restore: RestorePolicy,
}

/// How far an update may go in one step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VersionStep {
    /// Within the first number.
    #[default]
    Minor,
    /// One first number further.
    Major,
    /// Any newer version.
    Any,
}

/// Which version may read the data of a snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RestorePolicy {
    /// The same only.
    #[default]
    Exact,
    /// The same first number, not older.
    SameMajor,
    /// Any that is not older.
    Newer,
}

/// Which webhooks a minion speaks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Webhooks {
    /// Formats that it sends: `slack`, `json` …
    pub sends: Vec<String>,
    /// Formats that it takes.
    pub takes: Vec<String>,
}

impl Minion {
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
