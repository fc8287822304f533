//! Policies of TLS by name, and the lines that they are.
//!
//! Sources: Mozilla's guideline 6.0 (2026-04; "old" is the last one that had it, 5.8), AWS' tables of the policies of its
//! load balancers. Cipher suites of TLS 1.3 are OpenSSL's own choice.

use super::features::Features;
use super::settings::ProxySettings;
use super::writer::{Param, Text};

/// One policy.
struct Policy {
    protocols: &'static str,
    /// Parts of the list, in order.
    ciphers: &'static [&'static str],
    /// The server's order counts.
    prefer: bool,
}

/// What nginx has by itself; written out so that a host can say it against the proxy's default.
const ANY: &str = "HIGH:!aNULL:!MD5";
const MODERN_GCM: &str =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384";
const CHACHA: &str = "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
const OLD_MORE: &str = "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA256:\
    ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384:\
    ECDHE-ECDSA-AES256-SHA:ECDHE-RSA-AES256-SHA:DHE-RSA-AES128-SHA256:DHE-RSA-AES256-SHA256:AES128-GCM-SHA256:AES256-GCM-SHA384:\
    AES128-SHA256:AES256-SHA256:AES128-SHA:AES256-SHA:DES-CBC3-SHA";
const EC_SHA2: &str = "ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384:ECDHE-RSA-AES256-SHA384";
const EC_SHA1: &str = "ECDHE-ECDSA-AES128-SHA:ECDHE-RSA-AES128-SHA:ECDHE-RSA-AES256-SHA:ECDHE-ECDSA-AES256-SHA";
const RSA: &str = "AES128-GCM-SHA256:AES128-SHA256:AES256-GCM-SHA384:AES256-SHA256";
const RSA_SHA1: &str = "AES128-SHA:AES256-SHA";
/// AWS' lists from the narrow to the wide.
const FORWARD: &[&str] = &[MODERN_GCM, EC_SHA2];
const FORWARD_SHA1: &[&str] = &[MODERN_GCM, EC_SHA2, EC_SHA1];
const WITH_RSA: &[&str] = &[MODERN_GCM, EC_SHA2, RSA];
const WIDE: &[&str] = &[MODERN_GCM, EC_SHA2, EC_SHA1, RSA, RSA_SHA1];
const WIDEST: &[&str] = &[MODERN_GCM, EC_SHA2, EC_SHA1, RSA, RSA_SHA1, "DHE-RSA-AES128-SHA"];

fn policy(name: &str) -> Policy {
    let (protocols, ciphers, prefer): (_, &'static [&'static str], _) = match name {
        "Mozilla-Modern" | "AWS-TLS13-1-3-2021-06" => ("TLSv1.3", &[ANY], false),
        "Mozilla-Old" => ("TLSv1 TLSv1.1 TLSv1.2 TLSv1.3", &[MODERN_GCM, CHACHA, OLD_MORE], true),
        "AWS-TLS13-1-2-2021-06" => ("TLSv1.2 TLSv1.3", FORWARD, true),
        "AWS-TLS13-1-2-Res-2021-06" => ("TLSv1.2 TLSv1.3", &[MODERN_GCM], true),
        "AWS-TLS13-1-2-Ext1-2021-06" => ("TLSv1.2 TLSv1.3", WITH_RSA, true),
        "AWS-TLS13-1-2-Ext2-2021-06" => ("TLSv1.2 TLSv1.3", WIDE, true),
        "AWS-TLS13-1-1-2021-06" => ("TLSv1.1 TLSv1.2 TLSv1.3", WIDE, true),
        "AWS-TLS13-1-0-2021-06" => ("TLSv1 TLSv1.1 TLSv1.2 TLSv1.3", WIDE, true),
        "AWS-FS-1-2-Res-2020-10" => ("TLSv1.2", &[MODERN_GCM], true),
        "AWS-FS-1-2-Res-2019-08" => ("TLSv1.2", FORWARD, true),
        "AWS-FS-1-2-2019-08" => ("TLSv1.2", FORWARD_SHA1, true),
        "AWS-FS-1-1-2019-08" => ("TLSv1.1 TLSv1.2", FORWARD_SHA1, true),
        "AWS-FS-2018-06" => ("TLSv1 TLSv1.1 TLSv1.2", FORWARD_SHA1, true),
        "AWS-TLS-1-2-Ext-2018-06" => ("TLSv1.2", WIDE, true),
        "AWS-TLS-1-2-2017-01" => ("TLSv1.2", WITH_RSA, true),
        "AWS-TLS-1-1-2017-01" => ("TLSv1.1 TLSv1.2", WIDE, true),
        "AWS-2016-08" | "AWS-2015-05" => ("TLSv1 TLSv1.1 TLSv1.2", WIDE, true),
        "AWS-2015-03" | "AWS-2015-02" => ("TLSv1 TLSv1.1 TLSv1.2", WIDEST, true),
        // Mozilla-Intermediate, and the rest by type: the names are those of `POLICIES`.
        _ => ("TLSv1.2 TLSv1.3", &[MODERN_GCM, CHACHA], false),
    };
    Policy { protocols, ciphers, prefer }
}

/// The lines of a policy, in the proxy's part or in one server's.
pub(super) fn write(text: &mut Text, name: &str) {
    let policy = policy(name);
    let protocols: Vec<Param> = policy.protocols.split(' ').map(Param::ours).collect();
    text.line("ssl_protocols", &protocols);
    let ciphers = policy.ciphers.iter().enumerate().fold(Param::ours(""), |list, (number, part)| {
        let list = if number == 0 { list } else { list.then(&Param::ours(":")) };
        list.then(&Param::ours(part))
    });
    text.line("ssl_ciphers", &[ciphers]);
    text.line("ssl_prefer_server_ciphers", &[Param::ours(if policy.prefer { "on" } else { "off" })]);
}

/// What all TLS servers share.
pub(super) fn general(text: &mut Text, settings: &ProxySettings) {
    write(text, settings.policy);
    text.line("ssl_ecdh_curve", &[Param::ours(curves(&settings.features))]);
    text.ours("ssl_session_timeout 1d");
    text.ours("ssl_session_cache shared:summoner:10m");
    if settings.features.version < (1, 23, 2) {
        text.remark("Before 1.23.2 the keys of tickets never change while nginx runs.");
        text.ours("ssl_session_tickets off");
    }
}

fn curves(features: &Features) -> &'static str {
    if features.mlkem { "X25519MLKEM768:X25519:prime256v1:secp384r1" } else { "X25519:prime256v1:secp384r1" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::route::POLICIES;

    #[test]
    fn every_policy_is_its_own() {
        let mut seen = std::collections::BTreeMap::new();
        for name in POLICIES {
            let mut text = Text::default();
            write(&mut text, name);
            seen.entry(text.finish()).or_insert_with(Vec::new).push(name);
        }
        let twins: Vec<Vec<&str>> = seen.into_values().filter(|names| names.len() > 1).collect();
        assert_eq!(
            twins,
            [vec!["AWS-2015-03", "AWS-2015-02"], vec!["AWS-2016-08", "AWS-2015-05"], vec!["Mozilla-Modern", "AWS-TLS13-1-3-2021-06"]]
                .map(|names| names.clone())
        );
    }
}
