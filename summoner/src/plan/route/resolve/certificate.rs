//! Which certificate a host is served with, and what http and https do when there is none.

use crate::plan::route::files::{CertificateFiles, UserFiles};
use crate::plan::route::site::Certificate;
use crate::vhost::{HostName, HttpsMethod, SiteSettings};

/// The pair for names that have none.
const DEFAULT: &str = "default";

/// `CERT_NAME`, else the host's own, else that of one level above (a wildcard's), else the default one where it is trusted.
pub(super) fn choose(host: &HostName, settings: &SiteSettings, files: &UserFiles) -> Option<Certificate> {
    let trusted = settings.trust_default_cert.unwrap_or(true);
    let candidates = settings.cert_name.iter().cloned().chain(own(host)).chain(trusted.then(|| DEFAULT.to_owned()));
    let usable = |stem: String| files.certificates.get(&stem).filter(|pair| pair.fault.is_none()).map(|pair| (stem, pair));
    candidates.into_iter().find_map(usable).map(|(stem, pair)| described(stem, pair, files))
}

/// Why a pair that a container names is not used.
pub(super) fn fault(settings: &SiteSettings, files: &UserFiles) -> Option<String> {
    let name = settings.cert_name.as_ref()?;
    match files.certificates.get(name).map(|pair| &pair.fault) {
        None => Some(format!("CERT_NAME: there is no certs/{name}.crt with its {name}.key")),
        Some(Some(fault)) => Some(format!("CERT_NAME: certs/{name}.crt cannot be used: {fault}")),
        Some(None) => None,
    }
}

/// Stems after the name itself: `a.b.c`, then `b.c`; never a top-level domain.
fn own(host: &HostName) -> Vec<String> {
    match host {
        HostName::Exact(name) => {
            let above = name.split_once('.').map(|(_, rest)| rest).filter(|rest| rest.contains('.'));
            std::iter::once(name.clone()).chain(above.map(str::to_owned)).collect()
        }
        HostName::Leading(rest) => vec![rest.clone()],
        HostName::Trailing(_) | HostName::Regex(_) => Vec::new(),
    }
}

fn described(stem: String, pair: &CertificateFiles, files: &UserFiles) -> Certificate {
    let (client_ca, client_crl) = match (pair.client_ca, files.client_ca.is_some()) {
        (true, _) => (Some(format!("{stem}.ca.crt")), pair.client_crl.then(|| format!("{stem}.crl.pem"))),
        // A list of one authority says nothing about the certificates of another.
        (false, true) => (Some("ca.crt".to_owned()), files.client_crl.as_ref().map(|_| "ca.crl.pem".to_owned())),
        (false, false) => (None, None),
    };
    Certificate { fingerprint: pair.fingerprint.clone(), dhparam: pair.dhparam, client_ca, client_crl, stem }
}

/// Without a certificate http serves too, unless that is forbidden.
pub(super) fn settle(settings: &SiteSettings, certificate: bool) -> HttpsMethod {
    let method = settings.https_method.unwrap_or(HttpsMethod::Redirect);
    let falls_back = settings.http_on_missing_cert.unwrap_or(true);
    match method {
        HttpsMethod::Redirect | HttpsMethod::NoHttp if !certificate && falls_back => HttpsMethod::NoRedirect,
        method => method,
    }
}
