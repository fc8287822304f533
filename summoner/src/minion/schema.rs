//! The top of minion.yml: every key, its type and its default.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::actions::{Action, actions, execs};
use super::reader::Reader;
use super::template::database_variable;
use super::{Database, Minion, Origin, Request, administrator, route, sign_in, storage, versions};
use crate::fault::{Fault, Faults, Source};
use crate::name::App;
use crate::yaml::{Fields, Limits, Node, parse};

/// The form of minion.yml that this program reads.
const VERSION: u64 = 1;

/// Reads one minion from its two files, or gives every fault of minion.yml.
///
/// The Compose file is carried along as text: the Compose interpreter reads it once variables are known.
///
/// # Errors
/// All faults at once, in the order of the file.
pub fn read(name: &str, origin: Origin, minion_yml: &Arc<Source>, compose: &Arc<Source>) -> Result<Minion, Vec<Fault>> {
    let mut faults = Faults::new(minion_yml);
    if let Err(error) = name.parse::<App>() {
        faults.error(&(0..0), error.to_string());
    }
    let Some(node) = parse(Limits::COMPOSE, &mut faults) else { return Err(faults.errors) };
    let mut reader = Reader::new(faults);
    let minion = top(&node, name, origin, compose, &mut reader);
    let declared: BTreeSet<String> = minion.iter().flat_map(|minion| &minion.secrets).map(|secret| secret.name.clone()).collect();
    let databases: Vec<String> =
        minion.iter().flat_map(|minion| &minion.databases).map(|database| database_variable(&database.service)).collect();
    reader.finish(&declared, &databases).finish(minion).map(|(minion, _)| minion)
}

fn top(node: &Node, name: &str, origin: Origin, compose: &Arc<Source>, reader: &mut Reader) -> Option<Minion> {
    let mut fields = Fields::open(node, "", &mut reader.faults)?;
    version(&mut fields, reader);
    let summary = reader.required(&mut fields, "summary");
    let subdomain = subdomain(&mut fields, name, reader);
    let folders = reader.map(&mut fields, "folders");
    let secrets = reader.map(&mut fields, "secrets");
    let mut minion = Minion {
        name: name.to_owned(),
        origin,
        summary: summary.unwrap_or_default(),
        links: links(&mut fields, reader),
        proxy: fields.boolean("proxy", &mut reader.faults).unwrap_or(false),
        subdomain,
        routes: reader.list(&mut fields, "routes").into_iter().filter_map(|(path, node)| route::read(node, path, reader)).collect(),
        sign_in: reader.list(&mut fields, "sign_in").into_iter().filter_map(|(path, node)| sign_in::read(node, path, reader)).collect(),
        secrets: secrets.iter().filter_map(|entry| storage::secret(entry, reader)).collect(),
        databases: databases(&mut fields, reader),
        folders: folders.iter().filter_map(|entry| storage::folder(entry, reader)).collect(),
        image_healthchecks: fields.texts("image_healthchecks", &mut reader.faults),
        quiesce: execs(&mut fields, "quiesce", reader),
        unquiesce: execs(&mut fields, "unquiesce", reader),
        dump: fields.take("dump").and_then(|node| storage::dump(node, reader)),
        after_restore: execs(&mut fields, "after_restore", reader),
        mail: mail(&mut fields, reader),
        configure: actions(&mut fields, "configure", reader),
        administrator: fields.take("administrator").and_then(|node| administrator::read(node, reader)),
        smoke: fields.take("smoke").and_then(|node| administrator::smoke(node, reader)),
        needs: fields.take("needs").and_then(|node| versions::needs(node, reader)).unwrap_or_default(),
        versions: fields.require("versions", &mut reader.faults).and_then(|node| versions::versions(node, reader)).unwrap_or_default(),
        webhooks: fields.take("webhooks").and_then(|node| versions::webhooks(node, reader)).unwrap_or_default(),
        source: Arc::clone(reader.faults.source()),
        compose: Arc::clone(compose),
    };
    fields.finish(&mut reader.faults);
    pairs(&minion, node, reader);
    ports(&mut minion, reader);
    Some(minion)
}

fn version(fields: &mut Fields<'_>, reader: &mut Reader) {
    let Some(node) = fields.require("version", &mut reader.faults) else { return };
    if let Some(version) = node.integer::<u64>("version", &mut reader.faults)
        && version != VERSION
    {
        let help = if version > VERSION { "it was written for a newer Summoner: update this one" } else { "write version: 1" };
        reader.faults.error_with_help(
            &node.span,
            format!("version {version} of minion.yml is not known; this program reads version {VERSION}"),
            help,
        );
    }
}

fn subdomain(fields: &mut Fields<'_>, name: &str, reader: &mut Reader) -> String {
    match fields.take("subdomain") {
        Some(node) if node.as_str() == Some("@") => "@".into(),
        Some(node) => route::label(node, "subdomain", reader).unwrap_or_default(),
        None => name.to_owned(),
    }
}

fn links(fields: &mut Fields<'_>, reader: &mut Reader) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for entry in reader.map(fields, "links") {
        let Some(url) = entry.node.text(&entry.path, &mut reader.faults) else { continue };
        if !url.starts_with("https://") {
            reader
                .faults
                .error(&entry.node.span, format!("{} must be an address that begins with https://, but `{url}` stands here", entry.path));
        }
        all.insert(entry.key, url);
    }
    all
}

/// Names and values; an empty value blanks what somebody set.
fn mail(fields: &mut Fields<'_>, reader: &mut Reader) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for entry in reader.map(fields, "mail") {
        let Some(value) = entry.node.text(&entry.path, &mut reader.faults) else { continue };
        if entry.key.is_empty() || !entry.key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            reader.faults.error(&entry.span, format!("`{}` names no variable: letters, digits and `_`", entry.key));
        }
        all.insert(entry.key, value);
    }
    all
}

fn databases(fields: &mut Fields<'_>, reader: &mut Reader) -> Vec<Database> {
    let mut all: Vec<Database> = Vec::new();
    for (path, node) in reader.list(fields, "databases") {
        let Some(database) = storage::database(node, path, reader) else { continue };
        // The container is named after the kind, so two of one kind would bear one name.
        if all.iter().any(|other| other.kind == database.kind || other.service == database.service) {
            let message = format!("a second database with the service `{}` or of the kind {}", database.service, database.kind.as_str());
            reader.faults.error(&node.span, message);
        }
        all.push(database);
    }
    all
}

/// What belongs together must be there together.
fn pairs(minion: &Minion, node: &Node, reader: &mut Reader) {
    let mut require = |holds: bool, key: &str, message: &str| {
        if !holds {
            let span = node.get(key).map_or(0..0, |node| node.span.clone());
            reader.faults.error(&span, message);
        }
    };
    require(
        minion.quiesce.is_empty() || !minion.unquiesce.is_empty(),
        "quiesce",
        "quiesce without unquiesce: the application would stand still for ever",
    );
    require(!minion.proxy || minion.routes.is_empty(), "routes", "the proxy itself is not routed");
    let main = minion.routes.first().is_none_or(|route| route.subdomain.is_none());
    require(main, "routes", "the first route is the instance's own host: it has no subdomain");
    let mut hosts = BTreeSet::new();
    let unique = minion.routes.iter().all(|route| hosts.insert(route.subdomain.clone()));
    require(unique, "routes", "two routes lead to the same host: give one a subdomain");
}

/// Requests without a port use that of the route to the same service.
fn ports(minion: &mut Minion, reader: &mut Reader) {
    let routes = minion.routes.clone();
    let port = |service: &str| routes.iter().find(|route| route.service == service).map(|route| route.port);
    for (span, service) in std::mem::take(&mut reader.portless) {
        if port(&service).is_none() {
            reader.faults.error(&(span.start..span.start + 1), format!("`port` is missing: no route leads to the service `{service}`"));
        }
    }
    let administrator = minion.administrator.iter_mut();
    let create =
        administrator.flat_map(|administrator| administrator.create.iter_mut().filter_map(request_of).chain(&mut administrator.exists));
    for request in create.chain(minion.configure.iter_mut().filter_map(request_of)).filter(|request| request.port == 0) {
        request.port = port(&request.service).unwrap_or_default();
    }
}

fn request_of(action: &mut Action) -> Option<&mut Request> {
    match action {
        Action::Request(request) => Some(request),
        Action::Exec(_) => None,
    }
}
