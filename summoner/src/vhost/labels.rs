//! The labels of nginx-proxy on a container.

use super::words::{Read, Words, number, shown, switch, word};
use super::{KeepAlive, SiteSettings, VerifyClient, balance, settings};

/// What their names begin with.
pub const PREFIX: &str = "com.github.nginx-proxy.nginx-proxy.";
/// Most idle connections to one upstream.
const MAX_KEEPALIVE: u32 = 4096;

/// Adds what the labels say; the words are to be opened with [`PREFIX`].
pub(super) fn read(words: &mut Words<'_>, settings: &mut SiteSettings) {
    settings.http2 = words.switch("http2.enable");
    settings.http3 = words.switch("http3.enable");
    settings.keepalive = words.take("keepalive", keepalive);
    settings.balance = words.take("loadbalance", balance::parse);
    settings.non_get_redirect = words.take("non-get-redirect", settings::non_get_redirect);
    settings.verify_client = words.take("ssl_verify_client", verify_client);
    settings.trust_default_cert = words.switch("trust-default-cert");
    settings.debug_endpoint = words.switch("debug-endpoint");
}

fn keepalive(text: &str) -> Read<KeepAlive> {
    if let Ok(connections) = number(text, 1, MAX_KEEPALIVE) {
        return Ok(KeepAlive::Connections(connections));
    }
    match text.to_ascii_lowercase().as_str() {
        "auto" => Ok(KeepAlive::Auto),
        "disabled" | "0" => Ok(KeepAlive::Disabled),
        _ => Err(format!("{} is none of auto, disabled, a number up to {MAX_KEEPALIVE}", shown(text))),
    }
}

fn verify_client(text: &str) -> Read<VerifyClient> {
    let words = [("optional", VerifyClient::Optional), ("optional_no_ca", VerifyClient::OptionalNoCa)];
    if let Ok(on) = switch(text) {
        return Ok(if on { VerifyClient::On } else { VerifyClient::Off });
    }
    word(text, &words).map_err(|_| format!("{} is none of on, off, optional, optional_no_ca", shown(text)))
}
