//! The variables that minion.yml and Compose files may use, and filling them in.
//!
//! Pure: whoever calls hands in the secrets and the configuration; nothing is read or generated here.

use std::collections::BTreeMap;
use std::fmt;

use super::Minion;
use crate::compose::interpolate;
use crate::layout::Layout;
use crate::name::{ContainerName, InstanceId, Role};

/// One variable and what it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Variable {
    /// The name between the braces.
    pub name: &'static str,
    /// What it stands for, in one line.
    pub meaning: &'static str,
    /// Only the proxy has it.
    pub proxy: bool,
}

const fn variable(name: &'static str, meaning: &'static str) -> Variable {
    Variable { name, meaning, proxy: false }
}

const fn of_proxy(name: &'static str, meaning: &'static str) -> Variable {
    Variable { name, meaning, proxy: true }
}

/// All variables; beside them each secret is `SECRET_<NAME>`, and several databases have `DATABASE_FILES_<SERVICE>`.
pub const VARIABLES: [Variable; 20] = [
    variable("INSTANCE", "the instance, `ghost-example.org`"),
    variable("APP", "the minion's name, `ghost`"),
    variable("DOMAIN", "the domain, `example.org`"),
    variable("HOST", "the main host name, `blog.example.org`"),
    variable("URL", "where people go, `https://blog.example.org`, with the port when it is not 443, without a slash at the end"),
    variable("EMAIL", "the e-mail address in config.yml"),
    variable("TZ", "the time zone in config.yml, `Europe/Paris`"),
    variable("FILES", "the host folder of the instance's files; bind mounts go below it"),
    variable("DATABASE_FILES", "the host folder of the database's files"),
    variable("SECRETS", "the host folder with one file for each secret"),
    variable("ADMIN_USER", "`administrator.user`"),
    variable("ADMIN_PASSWORD", "the secret that `administrator.password` names"),
    variable("ADMIN_EMAIL", "the first administrator's e-mail address"),
    variable("PROXY_SUBNET", "the network that the proxy's requests come from (CIDR): trust it for X-Forwarded-For"),
    of_proxy("HTTP_PORT", "the host's port for http"),
    of_proxy("HTTPS_PORT", "the host's port for https"),
    of_proxy("PROXY_ADDRESS", "the host's address that the ports are published on, `0.0.0.0` for all"),
    of_proxy("NGINX", "the host folder of the rendered nginx configuration"),
    of_proxy("CERTS", "the host folder of certificates and keys"),
    of_proxy("PROXY", "the host folder with the owner's `vhost.d`, `htpasswd`, `conf.d` and `html`"),
];

/// The variable that holds a secret.
#[must_use]
pub fn secret_variable(name: &str) -> String {
    format!("SECRET_{}", name.to_ascii_uppercase())
}

/// What the values of variables are made from.
#[derive(Debug, Clone)]
pub struct Inputs<'a> {
    /// The instance.
    pub id: &'a InstanceId,
    /// Its minion.
    pub minion: &'a Minion,
    /// Where things lie.
    pub layout: &'a Layout,
    /// The main host name; None where nothing is routed, then the domain stands in.
    pub host: Option<&'a str>,
    /// The host's port for https.
    pub https_port: u16,
    /// The host's port for http.
    pub http_port: u16,
    /// The host's address that the proxy's ports are published on; None is all.
    pub proxy_address: Option<std::net::IpAddr>,
    /// CIDR of the network that the proxy shares with routed services.
    pub proxy_subnet: &'a str,
    /// The person to write to.
    pub email: &'a str,
    /// IANA name of the time zone.
    pub timezone: &'a str,
}

/// Names and values; `Debug` shows the names only, for secrets are among the values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

/// Why a text could not be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// No such variable, or none for this instance.
    #[error("the variable `{0}` has no value here")]
    Unknown(String),
    /// The text itself is malformed.
    #[error("{0}")]
    Malformed(String),
}

impl Variables {
    /// All variables of an instance; `secrets` holds the values by the names of minion.yml.
    ///
    /// # Errors
    /// When `administrator.user` cannot be filled in.
    pub fn new(inputs: &Inputs<'_>, secrets: &BTreeMap<String, String>) -> Result<Self, TemplateError> {
        let mut all = Self::default();
        let host = inputs.host.unwrap_or(inputs.id.domain.as_str());
        all.set("INSTANCE", inputs.id.to_string());
        all.set("APP", inputs.id.app.as_str());
        all.set("DOMAIN", inputs.id.domain.as_str());
        all.set("HOST", host);
        all.set("URL", url(host, inputs.https_port));
        all.set("EMAIL", inputs.email);
        all.set("TZ", inputs.timezone);
        all.set("PROXY_SUBNET", inputs.proxy_subnet);
        all.set_paths(inputs);
        for (name, value) in secrets {
            all.set(&secret_variable(name), value.as_str());
        }
        if let Some(administrator) = &inputs.minion.administrator {
            all.set("ADMIN_EMAIL", inputs.email);
            if let Some(password) = secrets.get(&administrator.password) {
                all.set("ADMIN_PASSWORD", password.as_str());
            }
            all.set("ADMIN_USER", all.text(&administrator.user)?);
        }
        if inputs.minion.proxy {
            all.set("HTTP_PORT", inputs.http_port.to_string());
            all.set("HTTPS_PORT", inputs.https_port.to_string());
            all.set("PROXY_ADDRESS", address(inputs.proxy_address));
        }
        Ok(all)
    }

    fn set_paths(&mut self, inputs: &Inputs<'_>) {
        let layout = inputs.layout;
        self.set("FILES", layout.instance_files(inputs.id).display().to_string());
        self.set("SECRETS", layout.secrets(inputs.id).display().to_string());
        for database in &inputs.minion.databases {
            let name = ContainerName { role: Role::Database(database.kind), instance: inputs.id.clone() };
            let path = layout.database_files(&name).display().to_string();
            if inputs.minion.databases.len() == 1 {
                self.set("DATABASE_FILES", path);
            } else {
                self.set(&database_variable(&database.service), path);
            }
        }
        if inputs.minion.proxy {
            self.set("NGINX", layout.nginx().display().to_string());
            self.set("CERTS", layout.certs().display().to_string());
            self.set("PROXY", layout.proxy().display().to_string());
        }
    }

    fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// All names and values, secrets among them, for the Compose interpreter.
    #[must_use]
    pub fn all(&self) -> &BTreeMap<String, String> {
        &self.0
    }

    /// Fills in a text.
    ///
    /// # Errors
    /// When it names a variable that has no value, or is malformed.
    pub fn text(&self, text: &str) -> Result<String, TemplateError> {
        let unknown = std::cell::RefCell::new(None);
        let filled = interpolate(text, &|name| {
            let value = self.0.get(name).cloned();
            if value.is_none() {
                unknown.borrow_mut().get_or_insert_with(|| name.to_owned());
            }
            value
        });
        match (filled, unknown.into_inner()) {
            (_, Some(name)) => Err(TemplateError::Unknown(name)),
            (Err(error), None) => Err(TemplateError::Malformed(error.to_string())),
            (Ok(filled), None) => Ok(filled),
        }
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}

/// The variable with the files of one of several databases.
pub(super) fn database_variable(service: &str) -> String {
    format!("DATABASE_FILES_{}", service.to_ascii_uppercase())
}

fn url(host: &str, https_port: u16) -> String {
    if https_port == 443 { format!("https://{host}") } else { format!("https://{host}:{https_port}") }
}

fn address(address: Option<std::net::IpAddr>) -> String {
    match address {
        None => "0.0.0.0".into(),
        Some(std::net::IpAddr::V4(address)) => address.to_string(),
        Some(std::net::IpAddr::V6(address)) => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Source;
    use crate::minion::{Action, Body, Origin, read};

    fn filled(text: &str, https_port: u16) -> (Minion, Variables) {
        let minion = read("notes", Origin::Catalogue, &Source::new("minion.yml", text), &Source::new("c.yml", "")).unwrap();
        let layout = Layout { files: "/srv/files".into(), databases: "/srv/db".into() };
        let id: InstanceId = "notes-example.org".parse().unwrap();
        let inputs = Inputs {
            id: &id,
            minion: &minion,
            layout: &layout,
            host: Some("notes.example.org"),
            https_port,
            http_port: 80,
            proxy_address: Some("::1".parse().unwrap()),
            proxy_subnet: "10.0.0.0/24",
            email: "a@example.org",
            timezone: "UTC",
        };
        let secrets = [("key".to_owned(), "\"}$x".to_owned())].into();
        let variables = Variables::new(&inputs, &secrets).unwrap();
        (minion, variables)
    }

    const TOP: &str = "version: 1\nsummary: s\nversions: {tags: '1'}\nsecrets: {key: {}}\n";

    #[test]
    fn paths_and_addresses_follow_the_instance() {
        let (_, one) = filled(&format!("{TOP}databases: [{{kind: mysql, name: n, user: u, password: key}}]\n"), 443);
        assert_eq!(
            one.text("${URL} ${FILES} ${DATABASE_FILES} ${SECRETS}").unwrap(),
            "https://notes.example.org /srv/files/notes-example.org /srv/db/mysql-notes-example.org /srv/files/summoner/secrets/notes-example.org"
        );
        let (_, two) = filled(
            &format!(
                "{TOP}databases: [{{kind: mysql, name: n, user: u, password: key}}, {{service: docs, kind: mongodb, name: n, user: u, password: key}}]\n"
            ),
            8443,
        );
        assert_eq!(two.text("${URL} ${DATABASE_FILES_DOCS}").unwrap(), "https://notes.example.org:8443 /srv/db/mongodb-notes-example.org");
        assert_eq!(two.text("${DATABASE_FILES}"), Err(TemplateError::Unknown("DATABASE_FILES".into())));
        assert_eq!(two.text("${HTTP_PORT}"), Err(TemplateError::Unknown("HTTP_PORT".into())));
        let (_, proxy) = filled(&format!("{TOP}proxy: true\n"), 8443);
        assert_eq!(proxy.text("${PROXY_ADDRESS}:${HTTPS_PORT} ${NGINX}").unwrap(), "[::1]:8443 /srv/files/summoner/nginx");
    }

    #[test]
    fn no_value_breaks_out_of_its_place() {
        let (minion, variables) = filled(
            &format!(
                "{TOP}routes: [{{port: 80}}]\nadministrator:\n  user: ${{EMAIL}}\n  password: key\n  create: [{{request: {{path: /, json: {{a: ['${{ADMIN_PASSWORD}}', '$$x']}}}}}}]\n"
            ),
            443,
        );
        let administrator = variables.administrator(minion.administrator.as_ref().unwrap()).unwrap();
        assert_eq!(administrator.user, "a@example.org");
        let Action::Request(request) = &administrator.create[0] else { panic!("a request") };
        // A dollar sign in a value is not interpolated again.
        assert_eq!(request.body, Body::Json(serde_json::json!({"a": ["\"}$x", "$x"]})));
    }

    #[test]
    fn debug_shows_no_values() {
        let (_, variables) = filled(TOP, 443);
        let shown = format!("{variables:?}");
        assert!(shown.contains("SECRET_KEY") && !shown.contains("}$x"), "{shown}");
    }
}
