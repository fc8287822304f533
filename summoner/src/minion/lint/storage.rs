//! Where data goes: nothing outside what a backup sees, nothing that a new container would lose.

use super::Lint;
use super::services::{repository, tag};
use crate::compose::{Mount, MountKind, Service};
use crate::minion::Database;
use crate::minion::template::{database_variable, secret_variable};
use crate::name::DatabaseKind;

pub(super) fn check(lint: &mut Lint<'_>) {
    let project = lint.project;
    for (name, service) in &project.services {
        for mount in &service.volumes {
            check_mount(lint, name, mount);
        }
    }
    for (name, secret) in &project.secrets {
        let place = format!("secrets.{name}");
        let folder = lint.variables.get("SECRETS").unwrap_or_default().to_owned();
        let file = secret.file.as_deref().and_then(|file| file.strip_prefix(&folder)?.strip_prefix('/'));
        if !file.is_some_and(|file| lint.minion.secrets.iter().any(|declared| declared.name == file)) {
            lint.find(place, "a secret is a file in ${SECRETS} and declared in minion.yml");
        }
    }
    for database in &lint.minion.databases {
        if let Some(service) = project.services.get(&database.service) {
            check_database(lint, database, service);
        }
    }
    used(lint);
}

fn check_mount(lint: &mut Lint<'_>, service: &str, mount: &Mount) {
    let place = format!("services.{service}.volumes");
    let source = mount.source.as_deref().unwrap_or_default();
    match mount.kind {
        MountKind::Tmpfs => {}
        MountKind::Volume => lint.find(place, format!("{}: no backup sees a volume: mount a folder below ${{FILES}}", mount.target)),
        MountKind::Bind if source.ends_with("docker.sock") => lint.find(place, "whoever has the engine's socket has the host"),
        MountKind::Bind => {
            if let Some(path) = below(source, lint.variables.get("FILES")) {
                let declared = lint.minion.folders.iter().any(|folder| folder.path == path || below(path, Some(&folder.path)).is_some());
                if !declared {
                    lint.find("folders", format!("`{path}` is mounted into {service} and not declared"));
                }
            } else if !elsewhere(lint, source) {
                lint.find(place, format!("{source}: a minion mounts folders below ${{FILES}}, ${{DATABASE_FILES}} and ${{SECRETS}} only"));
            }
        }
    }
}

/// Whether a path lies in another folder that minions may mount.
fn elsewhere(lint: &Lint<'_>, source: &str) -> bool {
    let own = ["DATABASE_FILES", "SECRETS", "NGINX", "CERTS", "PROXY"].map(str::to_owned);
    let databases = lint.minion.databases.iter().map(|database| database_variable(&database.service));
    own.into_iter().chain(databases).any(|name| {
        let root = lint.variables.get(&name);
        root == Some(source) || below(source, root).is_some()
    })
}

/// What follows a folder in a path that lies below it.
fn below<'p>(path: &'p str, folder: Option<&str>) -> Option<&'p str> {
    path.strip_prefix(folder?)?.strip_prefix('/')
}

fn check_database(lint: &mut Lint<'_>, database: &Database, service: &Service) {
    let place = format!("services.{}.volumes", database.service);
    let mounted = |target: &str| service.volumes.iter().find(|mount| mount.target == target);
    let image = repository(&service.image).rsplit('/').next().unwrap_or_default();
    let major = tag(&service.image).and_then(|tag| tag.split(['.', '-']).next()?.parse::<u32>().ok());
    // Where the official images keep their data. Another place is lost with the container, without a word.
    let target = match (database.kind, image) {
        (DatabaseKind::Mysql, "mysql") | (DatabaseKind::Mariadb, "mariadb") => "/var/lib/mysql",
        (DatabaseKind::Postgresql, "postgres") if major >= Some(18) => "/var/lib/postgresql",
        (DatabaseKind::Postgresql, "postgres") => "/var/lib/postgresql/data",
        (DatabaseKind::Mongodb, "mongo") => "/data/db",
        _ => return,
    };
    if mounted(target).is_none_or(|mount| mount.kind != MountKind::Bind) {
        lint.find(&place, format!("{}: the data lies in {target}: mount ${{DATABASE_FILES}} there", service.image));
    }
    if image == "mongo" && mounted("/data/configdb").is_none() {
        lint.find(
            &place,
            "mongo declares the volume /data/configdb too: name it, or each new container leaves one behind (tmpfs: [/data/configdb])",
        );
    }
}

/// A secret that goes nowhere protects nothing.
fn used(lint: &mut Lint<'_>) {
    let minion = lint.minion;
    let text = format!("{}\n{}", minion.compose.text, minion.source.text);
    for secret in &minion.secrets {
        let file = lint
            .project
            .secrets
            .values()
            .any(|found| found.file.as_deref().is_some_and(|path| path.ends_with(&format!("/{}", secret.name))));
        let administrator = minion.administrator.as_ref().is_some_and(|administrator| administrator.password == secret.name);
        let named =
            text.contains(&format!("${{{}}}", secret_variable(&secret.name))) || (administrator && text.contains("${ADMIN_PASSWORD}"));
        if !file && !named {
            lint.find(format!("secrets.{}", secret.name), "nothing uses it");
        }
    }
    for (name, grants) in lint.project.services.iter().map(|(name, service)| (name, &service.secrets)) {
        for grant in grants.iter().filter(|grant| !lint.project.secrets.contains_key(&grant.source)) {
            lint.findings.push(super::Finding {
                minion: minion.name.clone(),
                place: format!("services.{name}.secrets"),
                message: format!("no secret is named `{}`", grant.source),
            });
        }
    }
}
