//! Routes as nginx's configuration: what the proxy should do, in; the bytes of every file, out.
//!
//! Pure, and the same bytes for the same routes. Nothing is pasted: see `writer`. `crate::nginx` brings the files to life.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use crate::vhost::HostName;

mod base;
mod configured;
pub mod features;
pub mod files;
pub mod guard;
mod headers;
mod host;
mod location;
mod pages;
pub mod resolve;
pub mod settings;
mod shared;
pub mod site;
mod spec;
mod tls;
mod upstream;
mod writer;

pub use configured::configured;
pub use pages::paused;
pub use settings::{Arrangement, ProxySettings};
pub use site::Site;
pub use spec::{RouteSpec, site, sites};
use writer::Param;
pub use writer::Unsafe;

pub use crate::vhost::POLICIES;

/// The port inside the proxy's container that answers with the generation's id; never published.
pub const MARKER_PORT: u16 = 8199;
/// Where the folder of generations is, inside the proxy's container.
pub const INSIDE: &str = "/etc/nginx/summoner";
/// Where `<host>.crt` and `<host>.key` are, inside the proxy's container.
pub const CERTS: &str = "/etc/nginx/certs";
/// Folder of the files that are one for each host, below a generation.
pub const HOSTS: &str = "hosts";
/// Static files that everybody may read: challenges of ACME, the owner's error pages.
pub const HTML: &str = "/usr/share/nginx/html";
/// Where files of names and passwords are, inside the proxy's container.
pub const PASSWORDS: &str = "/etc/nginx/htpasswd";
/// The one file of nginx-proxy's arrangement.
pub const CLASSIC: &str = "default.conf";
/// Begins the line before a site's part of that file.
const SITE: &str = "# site ";
/// Ends a site's part.
const END: &str = "# end of site";
/// Longest name that a file is called by; longer ones are called by their hash.
const MAX_FILE_NAME: usize = 200;
/// Pages come through the link, so that a removed generation takes none with it.
const PAGES: &str = "/etc/nginx/summoner/current/pages";
const MARKER: &str = "marker.conf";

/// All files of one configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generation {
    /// First 16 hexadecimal digits of the SHA-256 over all files but the marker, which holds it.
    pub id: String,
    /// Relative path and text.
    pub files: BTreeMap<String, String>,
}

/// A route that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// Its name.
    pub host: HostName,
    /// Why.
    pub reason: String,
}

/// What came of the routes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The files, without the rejected routes.
    pub generation: Generation,
    /// Routes that cannot be written; the others do not suffer from them.
    pub rejected: Vec<Rejected>,
    /// Which part of the files is whose, by the site's name.
    pub parts: BTreeMap<String, Part>,
}

/// The part of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its file, below the generation.
    pub file: String,
    /// Its lines in that file, from 1: the first and the last; None is the whole file.
    pub lines: Option<(usize, usize)>,
    /// Files that nginx names without saying who includes them: certificates, the owner's files.
    pub uses: Vec<String>,
}

/// Writes the configuration for these sites; their order does not matter.
#[must_use]
pub fn render(sites: &[Site], settings: &ProxySettings) -> Rendered {
    let mut sorted: Vec<&Site> = sites.iter().collect();
    sorted.sort_by(|a, b| (&a.name, &a.source).cmp(&(&b.name, &b.source)));
    let names: BTreeSet<String> = sorted.iter().map(|site| site.name.to_string()).collect();
    let (mut written, mut rejected, mut taken) = (Vec::new(), Vec::new(), Taken::default());
    for site in sorted {
        match taken.free(site, &names).and_then(|()| host::write(site, settings).map_err(|e| e.to_string())) {
            Ok(text) => {
                taken.take(site);
                written.push((site, text));
            }
            Err(reason) => rejected.push(Rejected { host: site.name.clone(), reason }),
        }
    }
    match files(&written, settings) {
        Ok(generation) => {
            let parts = parts(&written, &generation, settings);
            Rendered { generation, rejected, parts }
        }
        Err(error) => {
            // The proxy's own settings cannot be written: what can be is served with those that always can.
            let own =
                ProxySettings { arrangement: settings.arrangement, ..ProxySettings::own(settings.http_port, settings.https_port, "") };
            rejected.extend(written.iter().map(|(site, _)| Rejected { host: site.name.clone(), reason: error.to_string() }));
            let generation = files(&[], &own).unwrap_or_else(|_| Generation { id: String::new(), files: BTreeMap::new() });
            Rendered { generation, rejected, parts: BTreeMap::new() }
        }
    }
}

/// Joins the sites' texts to the files of a generation.
fn files(sites: &[(&Site, String)], settings: &ProxySettings) -> Result<Generation, Unsafe> {
    let quic = settings.features.http3 && sites.iter().any(|(site, _)| site.http3 && site.certificate.is_some());
    let mut files = BTreeMap::new();
    match settings.arrangement {
        Arrangement::Own => {
            files.insert("nginx.conf".to_owned(), base::nginx_conf(settings, quic)?);
            if let Some(guard) = settings.guard.as_ref().filter(|guard| guard.means == guard::Means::Script) {
                files.insert(guard::SCRIPT_FILE.to_owned(), guard::script(guard)?);
            }
            files.insert("pages/unknown.html".to_owned(), pages::unknown());
            for (site, text) in sites {
                files.insert(host_file(&site.name), text.clone());
                files.insert(format!("pages/starting/{}.html", stem(&site.name)), pages::starting(site));
            }
            let id = hash(&files);
            files.insert(MARKER.to_owned(), base::marker(&id, settings));
            Ok(Generation { id, files })
        }
        Arrangement::Classic => {
            let mut text = base::head(settings, quic)?;
            for (site, site_text) in sites {
                // The name was checked when the site was written: it holds no line break.
                text.push_str(&format!("{SITE}{}\n{site_text}{END}\n", site.name));
            }
            let id = hash(&BTreeMap::from([(CLASSIC.to_owned(), text.clone())]));
            text.push_str(&base::marker(&id, settings));
            files.insert(CLASSIC.to_owned(), text);
            Ok(Generation { id, files })
        }
    }
}

fn parts(sites: &[(&Site, String)], generation: &Generation, settings: &ProxySettings) -> BTreeMap<String, Part> {
    let sites: BTreeMap<String, &Site> = sites.iter().map(|(site, _)| (site.name.to_string(), *site)).collect();
    if settings.arrangement == Arrangement::Own {
        let part = |site: &Site| Part { file: host_file(&site.name), lines: None, uses: uses(site) };
        return sites.into_iter().map(|(name, site)| (name, part(site))).collect();
    }
    let (mut parts, mut begun) = (BTreeMap::new(), None);
    for (number, line) in generation.files.get(CLASSIC).into_iter().flat_map(|text| text.lines()).enumerate() {
        if let Some(name) = line.strip_prefix(SITE) {
            begun = Some((name, number + 1));
        } else if line == END
            && let Some((name, first)) = begun.take()
            && let Some(site) = sites.get(name)
        {
            parts.insert(name.to_owned(), Part { file: CLASSIC.to_owned(), lines: Some((first, number + 1)), uses: uses(site) });
        }
    }
    parts
}

fn uses(site: &Site) -> Vec<String> {
    let mut all: Vec<String> = site.include.iter().map(|file| file.path.clone()).collect();
    if let Some(certificate) = &site.certificate {
        all.extend(["crt", "key", "dhparam.pem"].map(|ending| format!("{CERTS}/{}.{ending}", certificate.stem)));
        all.extend(certificate.client_ca.iter().chain(&certificate.client_crl).map(|name| format!("{CERTS}/{name}")));
    }
    let files = site.locations.iter().flat_map(|location| [&location.replaced_by, &location.include, &location.passwords]);
    all.extend(files.flatten().map(|file| file.path.clone()));
    all.sort_unstable();
    all.dedup();
    all
}

/// The file of a site, below a generation.
#[must_use]
pub fn host_file(name: &HostName) -> String {
    format!("{HOSTS}/{}.conf", stem(name))
}

/// The page of a site, in the folder of pages of generations and in that of pauses.
#[must_use]
pub fn page_name(name: &HostName) -> String {
    format!("{}.html", stem(name))
}

fn page_file(name: &HostName) -> Param {
    // A host name or a hash: neither holds anything that needs care.
    Param::data("the page", &page_name(name)).unwrap_or_else(|_| Param::ours("unknown.html"))
}

/// A site by the name of its files: the host itself, or a hash where that is no plain name.
fn stem(name: &HostName) -> String {
    match name {
        HostName::Exact(host) if host.len() <= MAX_FILE_NAME && server_name(name).is_ok() => host.clone(),
        name => format!("~{}", hex::encode(&Sha256::digest(name.to_string())[..16])),
    }
}

/// A site's name as nginx's `server_name` has it.
fn server_name(name: &HostName) -> Result<Param, Unsafe> {
    let what = "the host";
    let plain = |text: &str| {
        let fits = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b));
        let dots = text.starts_with('.') || text.ends_with('.') || text.contains("..");
        if fits && !dots && !text.is_empty() && text.len() <= 253 {
            Ok(())
        } else {
            Err(Unsafe::Form { what, reason: "is not a host name" })
        }
    };
    match name {
        HostName::Exact(host) if host == "_" => Err(Unsafe::Form { what, reason: "is not a host name" }),
        HostName::Exact(part) | HostName::Leading(part) | HostName::Trailing(part) => {
            plain(part)?;
            Param::data(what, &name.to_string())
        }
        HostName::Regex(expression) if expression.is_empty() => Err(Unsafe::Form { what, reason: "is an empty expression" }),
        HostName::Regex(expression) => Ok(Param::ours("~").then(&Param::regex(what, expression)?)),
    }
}

/// A hash, in a remark.
fn fingerprint(text: &str) -> Result<Param, Unsafe> {
    let what = "the certificate's fingerprint";
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Unsafe::Form { what, reason: "is not hexadecimal" });
    }
    Param::data(what, text)
}

/// What sites hold already: nginx would serve one of two equal names and only warn.
#[derive(Default)]
struct Taken {
    names: BTreeSet<String>,
    upstreams: BTreeSet<String>,
}

impl Taken {
    fn free(&self, site: &Site, names: &BTreeSet<String>) -> Result<(), String> {
        let name = site.name.to_string();
        if self.names.contains(&name) {
            return Err(format!("another instance is at {name} already"));
        }
        let aliases = site.aliases.iter().map(crate::name::Domain::as_str);
        let clash = aliases.filter(|alias| *alias != name).find(|alias| names.contains(*alias) || self.names.contains(*alias));
        if let Some(alias) = clash {
            return Err(format!("its alias {alias} leads to another instance"));
        }
        let mut own = BTreeSet::new();
        match upstreams(site).find(|upstream| self.upstreams.contains(*upstream) || !own.insert(*upstream)) {
            Some(upstream) => Err(format!("there are two upstreams {upstream}")),
            None => Ok(()),
        }
    }

    fn take(&mut self, site: &Site) {
        self.names.insert(site.name.to_string());
        self.names.extend(site.aliases.iter().map(|alias| alias.as_str().to_owned()));
        self.upstreams.extend(upstreams(site).map(str::to_owned));
    }
}

fn upstreams(site: &Site) -> impl Iterator<Item = &str> {
    site.locations.iter().filter_map(|location| match &location.target {
        site::Target::Upstream(upstream) => Some(upstream.name.as_str()),
        _ => None,
    })
}

/// Lengths are hashed too, so that no text can move from one file to the next.
fn hash(files: &BTreeMap<String, String>) -> String {
    let mut hash = Sha256::new();
    for text in files.iter().flat_map(|(path, text)| [path, text]) {
        hash.update((text.len() as u64).to_be_bytes());
        hash.update(text);
    }
    hex::encode(&hash.finalize()[..8])
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::sample;
