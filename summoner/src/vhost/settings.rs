//! Settings that a container and the proxy itself can say by the same variables.

use super::words::{Read, Words, shown, switch, word};
use super::{AcmeLocation, HttpsMethod, POLICIES, SiteSettings, hsts};

/// Longest stem of a certificate's files.
const MAX_STEM: usize = 200;

/// What both can say.
pub(super) fn common(words: &mut Words<'_>) -> SiteSettings {
    SiteSettings {
        https_method: words.take("HTTPS_METHOD", https_method),
        hsts: words.take("HSTS", hsts::parse),
        ssl_policy: words.take("SSL_POLICY", policy),
        server_tokens: words.take("SERVER_TOKENS", server_tokens),
        acme_location: words.take("ACME_HTTP_CHALLENGE_LOCATION", acme_location),
        http_on_missing_cert: words.switch("ENABLE_HTTP_ON_MISSING_CERT"),
        ..SiteSettings::default()
    }
}

/// What a container says besides.
pub(super) fn of_container(words: &mut Words<'_>) -> SiteSettings {
    let access = [("internal", true), ("external", false)];
    SiteSettings {
        cert_name: words.take("CERT_NAME", stem),
        internal_only: words.take("NETWORK_ACCESS", |text| word(text, &access)),
        ..common(words)
    }
}

/// What the proxy says besides, for all; containers have labels for it.
pub(super) fn of_proxy(words: &mut Words<'_>) -> SiteSettings {
    SiteSettings {
        http2: words.switch("ENABLE_HTTP2"),
        http3: words.switch("ENABLE_HTTP3"),
        non_get_redirect: words.take("NON_GET_REDIRECT", non_get_redirect),
        trust_default_cert: words.switch("TRUST_DEFAULT_CERT"),
        debug_endpoint: words.switch("DEBUG_ENDPOINT"),
        ..common(words)
    }
}

fn https_method(text: &str) -> Read<HttpsMethod> {
    let words = [
        ("redirect", HttpsMethod::Redirect),
        ("noredirect", HttpsMethod::NoRedirect),
        ("nohttp", HttpsMethod::NoHttp),
        ("nohttps", HttpsMethod::NoHttps),
    ];
    word(text, &words)
}

fn policy(text: &str) -> Read<&'static str> {
    let found = POLICIES.into_iter().find(|policy| *policy == text);
    found.ok_or_else(|| format!("{} is no policy; Mozilla-Modern, Mozilla-Intermediate and Mozilla-Old are, and AWS' names", shown(text)))
}

/// `build` shows the version and a build's name, so it is `on` for us.
fn server_tokens(text: &str) -> Read<bool> {
    word(text, &[("on", true), ("off", false), ("build", true)])
}

fn acme_location(text: &str) -> Read<AcmeLocation> {
    if text.eq_ignore_ascii_case("legacy") {
        return Ok(AcmeLocation::Legacy);
    }
    let on = switch(text).map_err(|_| format!("{} is none of true, false, legacy", shown(text)))?;
    Ok(if on { AcmeLocation::On } else { AcmeLocation::Off })
}

/// Status of the redirect for what is neither GET nor HEAD.
pub(super) fn non_get_redirect(text: &str) -> Read<u16> {
    word(text, &[("301", 301), ("307", 307), ("308", 308)])
}

/// A plain file name, so that no container reads a key outside the folder of certificates.
fn stem(text: &str) -> Read<String> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let fits = text.len() <= MAX_STEM && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && text.bytes().all(plain);
    match fits {
        true => Ok(text.to_owned()),
        false => Err(format!("{} is not a plain file name of letters, digits and -_.", shown(text))),
    }
}
