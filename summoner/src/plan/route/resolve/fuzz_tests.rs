//! No words of a stranger make the decisions panic, depend on their order, or leave what the writer would not write.

use proptest::prelude::*;

use super::tests::{container, on};
use super::*;
use crate::plan::route::site::{Address, Target, UserFile};
use crate::plan::route::writer::Param;
use crate::vhost::{Balance, LABELS, globals, read, regex_fits};

/// Every variable of a container.
pub(super) const VARIABLES: [&str; 40] = [
    "VIRTUAL_HOST",
    "VIRTUAL_PORT",
    "VIRTUAL_PATH",
    "VIRTUAL_DEST",
    "VIRTUAL_PROTO",
    "VIRTUAL_ROOT",
    "VIRTUAL_HOST_MULTIPORTS",
    "EXTERNAL_HTTP_PORT",
    "EXTERNAL_HTTPS_PORT",
    "CERT_NAME",
    "HTTPS_METHOD",
    "HSTS",
    "SSL_POLICY",
    "NETWORK_ACCESS",
    "SERVER_TOKENS",
    "ACME_HTTP_CHALLENGE_LOCATION",
    "ENABLE_HTTP_ON_MISSING_CERT",
    "ACME_HOST",
    "LETSENCRYPT_HOST",
    "ACME_EMAIL",
    "ACME_CA_URI",
    "ACME_CHALLENGE",
    "ACMESH_DNS_API_CONFIG",
    "ACME_CERT_PROFILE",
    "ACME_EAB_KID",
    "ACME_EAB_HMAC_KEY",
    "ACME_KEYSIZE",
    "ACME_OCSP",
    "ACME_PREFERRED_CHAIN",
    "ACME_RENEW_AFTER",
    "ACME_RENEW_PRIVATE_KEYS",
    "ACME_RESTART_CONTAINER",
    "ACME_SINGLE_DOMAIN_CERTS",
    "LETSENCRYPT_TEST",
    "ZEROSSL_API_KEY",
    "ACME_PRE_HOOK",
    "ACME_POST_HOOK",
    "LETSENCRYPT_EMAIL",
    "LETSENCRYPT_KEYSIZE",
    "RENEW_PRIVATE_KEYS",
];
/// Every label.
pub(super) const OF_LABELS: [&str; 8] = [
    "http2.enable",
    "http3.enable",
    "keepalive",
    "loadbalance",
    "non-get-redirect",
    "ssl_verify_client",
    "trust-default-cert",
    "debug-endpoint",
];
/// Every global variable with a form of its own.
pub(super) const GLOBALS: [&str; 20] = [
    "DEFAULT_HOST",
    "DEFAULT_ROOT",
    "LOG_FORMAT",
    "LOG_FORMAT_ESCAPE",
    "HTTP_PORT",
    "HTTPS_PORT",
    "RESOLVERS",
    "TRUST_DOWNSTREAM_PROXY",
    "DOCKER_CONTAINER_FILTERS",
    "NGINX_CONTAINER_LABEL",
    "CA_BUNDLE",
    "FILES_UID",
    "FILES_PERMS",
    "DEFAULT_EMAIL",
    "DEFAULT_KEY_SIZE",
    "HSTS",
    "SSL_POLICY",
    "NON_GET_REDIRECT",
    "ENABLE_IPV6",
    "ACMESH_DNS_API_CONFIG",
];
/// What an attacker would try; each is put before, behind and in place of a good value too.
pub(super) const EVIL: [&str; 24] = [
    "\n",
    "a.test\n}\nserver { listen 81; }",
    "a.test; return 200 owned",
    "x;}",
    "{",
    "}",
    "\"",
    "'",
    "\\",
    "\\\\\"",
    "$",
    "$request_uri",
    "${host}",
    "a.test$",
    "#",
    "\0",
    "\r\nX-Evil: 1",
    "\u{fffd}\u{fffd}",
    "`id`",
    "../../etc/passwd",
    "/a\" { } location \"/b",
    "~^(?<proxy_x_forwarded_proto>.*)$",
    "~(*LIMIT_MATCH=1)",
    "é\u{202e}",
];
/// Good values, so that the rest of the container is served.
pub(super) const GOOD: [(&str, &str); 8] = [
    ("VIRTUAL_HOST", "a.test"),
    ("VIRTUAL_PATH", "/p"),
    ("VIRTUAL_DEST", "/d"),
    ("VIRTUAL_PROTO", "fastcgi"),
    ("VIRTUAL_ROOT", "/srv"),
    ("CERT_NAME", "shared"),
    ("HSTS", "max-age=1"),
    ("loadbalance", "hash $remote_addr$cookie_x consistent;"),
];

pub(super) fn settle(environment: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> Resolved {
    let asked = read(environment, labels).unwrap_or_default();
    let evil = Asking { asked, ..container("evil", 9, &["web"], &[]) };
    let good = container("good", 2, &["web"], &[("VIRTUAL_HOST", "good.test")]);
    let (globals, _) = globals(environment);
    let forward = sites(&[evil.clone(), good.clone()], &on(&["web"]), &UserFiles::default(), &globals);
    assert_eq!(forward, sites(&[good, evil], &on(&["web"]), &UserFiles::default(), &globals));
    forward
}

/// Fails on any text that could not be written as plain data; `$` only where nginx looks for no variable, or was checked for one.
fn writable(resolved: &Resolved) {
    let data = |text: &str| drop(Param::data("a field", text).unwrap_or_else(|e| panic!("{text:?}: {e}")));
    let file = |file: &Option<UserFile>| file.iter().for_each(|file| data(&file.path));
    for site in &resolved.sites {
        match &site.name {
            HostName::Regex(expression) => assert!(regex_fits(expression)),
            name => data(&name.to_string()),
        }
        let certificate = site.certificate.iter();
        certificate.for_each(|certificate| assert!(!certificate.stem.contains('/') && !certificate.stem.starts_with('.')));
        let debug = site.debug.as_deref().unwrap_or_default();
        assert!(debug.len() <= 3800 && debug.bytes().all(|b| (b' '..=b'~').contains(&b) && b != b'$'), "{debug}");
        file(&site.include);
        for location in &site.locations {
            match &location.path {
                PathMatch::Regex { expression, .. } => assert!(regex_fits(expression)),
                path => data(&path.to_string()),
            }
            [&location.include, &location.replaced_by, &location.passwords].into_iter().for_each(file);
            match &location.target {
                Target::Upstream(upstream) => {
                    assert!(upstream.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)), "{}", upstream.name);
                    [&upstream.dest, &upstream.root].into_iter().flatten().for_each(|text| data(text));
                    for server in &upstream.servers {
                        if let Address::Name(name) = &server.address {
                            data(name);
                        }
                    }
                    if let Some(Balance::Hash { key, .. }) = &upstream.balance {
                        assert!(key.bytes().all(|b| b.is_ascii_alphanumeric() || b"$_-.:/".contains(&b)), "{key}");
                    }
                }
                Target::Redirect { to, .. } => data(to),
                Target::Waiting { reason, .. } => data(reason),
                Target::Folder(_) | Target::Status(_) => {}
            }
        }
    }
    for refused in &resolved.refused {
        assert!(!refused.reason.chars().any(char::is_control) && refused.reason.len() < 400, "{:?}", refused.reason);
        assert!(!refused.host.iter().any(|host| host.chars().any(char::is_control)));
    }
    assert!(resolved.sites.iter().any(|site| site.name == HostName::Exact("good.test".into())), "the other host is gone");
}

#[test]
fn the_check_itself_can_fail() {
    let environment = BTreeMap::from([("VIRTUAL_HOST".to_owned(), "a.test".to_owned()), ("VIRTUAL_DEST".to_owned(), "/d".to_owned())]);
    let spoil = |spoil: &dyn Fn(&mut Site)| {
        let mut resolved = settle(&environment, &BTreeMap::new());
        writable(&resolved);
        spoil(&mut resolved.sites[0]);
        std::panic::catch_unwind(|| writable(&resolved)).is_err()
    };
    let upstream = |site: &mut Site, change: &dyn Fn(&mut crate::plan::route::site::Upstream)| match &mut site.locations[0].target {
        Target::Upstream(upstream) => change(upstream),
        other => panic!("{other:?}"),
    };
    assert!(spoil(&|site| site.name = HostName::Exact("a;\n".into())));
    assert!(spoil(&|site| site.name = HostName::Regex("(?<a>.)".into())));
    assert!(spoil(&|site| site.locations[0].path = PathMatch::Prefix("/$x".into())));
    assert!(spoil(&|site| upstream(site, &|upstream| upstream.dest = Some("/\n".into()))));
    assert!(spoil(&|site| upstream(site, &|upstream| upstream.name = "a b".into())));
    assert!(spoil(&|site| upstream(site, &|upstream| upstream.balance = Some(Balance::Hash { key: "$a;".into(), consistent: false }))));
    assert!(spoil(&|site| site.debug = Some("$host".into())));
}

pub(super) fn forms(evil: &str, good: &str) -> Vec<String> {
    vec![evil.to_owned(), format!("{good}{evil}"), format!("{evil}{good}"), format!("{good},{evil}"), evil.repeat(10_000 / evil.len() + 1)]
}

#[test]
fn nothing_of_the_corpus_gets_through() {
    let good = |key: &str| GOOD.iter().find(|(name, _)| *name == key).map_or("true", |(_, value)| *value);
    let mut tried = 0;
    for evil in EVIL {
        for key in VARIABLES.into_iter().chain(GLOBALS) {
            for text in forms(evil, good(key)) {
                let mut environment = BTreeMap::from([("VIRTUAL_HOST".to_owned(), "a.test".to_owned())]);
                environment.insert(key.to_owned(), text);
                writable(&settle(&environment, &BTreeMap::new()));
                tried += 1;
            }
        }
        for key in OF_LABELS {
            for text in forms(evil, good(key)) {
                let environment = BTreeMap::from([("VIRTUAL_HOST".to_owned(), "a.test".to_owned())]);
                writable(&settle(&environment, &BTreeMap::from([(format!("{LABELS}{key}"), text)])));
                tried += 1;
            }
        }
    }
    assert!(tried > 8_000, "{tried}");
}

/// Texts of the pieces that these languages are made of, so that random ones come close to meaning something.
fn words() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "a",
        "b.test",
        "*.",
        ".*",
        "~",
        "~^",
        "/",
        "$",
        "{",
        "}",
        "(",
        ")",
        "[",
        "]",
        "\\",
        ";",
        " ",
        ",",
        ":",
        "\n",
        "  ",
        "\"",
        "'",
        "=",
        "^~ ",
        "port",
        "80",
        "dest",
        "(?",
        "<x>",
        "+",
        "hash ",
        "$remote_addr",
        "max-age=",
        "1",
        "\0",
        "é",
        "-",
        "_",
        "consistent",
        "true",
        "off",
        "https://",
        "@",
        "#",
        "|",
        "{1,99}",
        "&a",
        "*a",
    ]);
    prop_oneof![prop::collection::vec(pieces, 0..12).prop_map(|all| all.concat()), any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_words_are_read_without_harm(
        variables in prop::collection::btree_map(prop::sample::select(VARIABLES.into_iter().chain(GLOBALS).map(str::to_owned).collect::<Vec<_>>()), words(), 0..6),
        labels in prop::collection::btree_map(prop::sample::select(OF_LABELS.map(|label| format!("{LABELS}{label}")).to_vec()), words(), 0..3),
    ) {
        writable(&settle(&variables, &labels));
    }

    #[test]
    fn the_order_of_containers_changes_nothing(order in Just((0..6_usize).collect::<Vec<_>>()).prop_shuffle(), kinds in prop::collection::vec(0..6_usize, 6)) {
        let texts = [("/", "redirect"), ("/a", "nohttp"), ("^~ /a", "noredirect"), ("= /a", "redirect"), ("~^/x$", "nohttps"), ("/a", "redirect")];
        let all: Vec<Asking> = kinds.iter().enumerate().map(|(at, kind)| {
            let (path, method) = texts[*kind];
            let environment = [("VIRTUAL_HOST", "a.test,b.test"), ("VIRTUAL_PATH", path), ("HTTPS_METHOD", method)];
            let name = format!("c{}", at / 2);
            Asking { id: at.to_string(), ..container(&name, u8::try_from(at).unwrap() + 2, &["web"], &environment) }
        }).collect();
        let shuffled: Vec<Asking> = order.iter().map(|at| all[*at].clone()).collect();
        let decide = |all: &[Asking]| sites(all, &on(&["web"]), &UserFiles::default(), &Globals::default());
        let resolved = decide(&all);
        for site in &resolved.sites {
            let paths: BTreeSet<String> = site.locations.iter().map(|location| location.path.to_string().replace("^~ ", "")).collect();
            prop_assert_eq!(paths.len(), site.locations.len());
        }
        prop_assert_eq!(resolved, decide(&shuffled));
    }

    #[test]
    fn any_host_and_path_are_read_without_harm(host in words(), path in words(), dest in words(), debug in any::<bool>()) {
        let text = |pairs: [(&str, &str); 3]| pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let labels = BTreeMap::from([(format!("{LABELS}debug-endpoint"), debug.to_string())]);
        writable(&settle(&text([("VIRTUAL_HOST", &host), ("VIRTUAL_PATH", &path), ("VIRTUAL_DEST", &dest)]), &labels));
        let multi = format!("{{\"{host}\": {{\"{path}\": {{\"port\": 80, \"dest\": \"{dest}\"}}}}}}");
        writable(&settle(&BTreeMap::from([("VIRTUAL_HOST_MULTIPORTS".to_owned(), multi)]), &labels));
    }
}
