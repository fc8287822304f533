//! Settings of several containers that share a host: for each, the first container by name that says it wins.

use super::{Paths, Refused, refused};
use crate::vhost::{HostName, SiteSettings};

/// The settings of a host, without the proxy's defaults. Who says something else than the winner is told.
pub(super) fn settings(host: &HostName, paths: &Paths<'_>, told: &mut Vec<Refused>) -> SiteSettings {
    let mut all: Vec<(&str, &str, &SiteSettings)> =
        paths.values().flatten().map(|claim| (claim.by.name.as_str(), claim.by.id.as_str(), &claim.by.asked.settings)).collect();
    all.sort_by_key(|(name, id, _)| (*name, *id));
    all.dedup_by_key(|(name, id, _)| (*name, *id));
    let mut merged = SiteSettings::default();
    for (name, _, said) in all {
        let mut tell = |what: &str| {
            told.push(refused(name, Some(host), format!("{what}: another container of this host says otherwise and is first by name")));
        };
        take(&mut merged.cert_name, &said.cert_name, "CERT_NAME", &mut tell);
        take(&mut merged.https_method, &said.https_method, "HTTPS_METHOD", &mut tell);
        take(&mut merged.hsts, &said.hsts, "HSTS", &mut tell);
        take(&mut merged.ssl_policy, &said.ssl_policy, "SSL_POLICY", &mut tell);
        take(&mut merged.internal_only, &said.internal_only, "NETWORK_ACCESS", &mut tell);
        take(&mut merged.server_tokens, &said.server_tokens, "SERVER_TOKENS", &mut tell);
        take(&mut merged.acme_location, &said.acme_location, "ACME_HTTP_CHALLENGE_LOCATION", &mut tell);
        take(&mut merged.http_on_missing_cert, &said.http_on_missing_cert, "ENABLE_HTTP_ON_MISSING_CERT", &mut tell);
        take(&mut merged.http2, &said.http2, "http2.enable", &mut tell);
        take(&mut merged.http3, &said.http3, "http3.enable", &mut tell);
        take(&mut merged.non_get_redirect, &said.non_get_redirect, "non-get-redirect", &mut tell);
        take(&mut merged.verify_client, &said.verify_client, "ssl_verify_client", &mut tell);
        take(&mut merged.trust_default_cert, &said.trust_default_cert, "trust-default-cert", &mut tell);
        take(&mut merged.debug_endpoint, &said.debug_endpoint, "debug-endpoint", &mut tell);
    }
    merged
}

/// Takes a value where none is there yet; tells of one that differs.
pub(super) fn take<T: Clone + PartialEq>(merged: &mut Option<T>, said: &Option<T>, what: &str, tell: &mut impl FnMut(&str)) {
    match (merged.as_ref(), said) {
        (None, said) => merged.clone_from(said),
        (Some(first), Some(other)) if first != other => tell(what),
        _ => {}
    }
}

/// The proxy's defaults where no container says anything.
pub(super) fn with_defaults(said: SiteSettings, defaults: &SiteSettings) -> SiteSettings {
    SiteSettings {
        cert_name: said.cert_name,
        https_method: said.https_method.or(defaults.https_method),
        hsts: said.hsts.or(defaults.hsts),
        ssl_policy: said.ssl_policy.or(defaults.ssl_policy),
        internal_only: said.internal_only,
        server_tokens: said.server_tokens.or(defaults.server_tokens),
        acme_location: said.acme_location.or(defaults.acme_location),
        http_on_missing_cert: said.http_on_missing_cert.or(defaults.http_on_missing_cert),
        http2: said.http2.or(defaults.http2),
        http3: said.http3.or(defaults.http3),
        keepalive: said.keepalive,
        balance: said.balance,
        non_get_redirect: said.non_get_redirect.or(defaults.non_get_redirect),
        verify_client: said.verify_client,
        trust_default_cert: said.trust_default_cert.or(defaults.trust_default_cert),
        debug_endpoint: said.debug_endpoint.or(defaults.debug_endpoint),
    }
}
