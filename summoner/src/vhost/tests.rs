use std::collections::BTreeMap;

use super::*;

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn asked(environment: &[(&str, &str)]) -> Asked {
    read(&texts(environment), &BTreeMap::new()).unwrap()
}

/// With a host, one more variable, and what became of it.
fn with(key: &str, value: &str) -> Asked {
    asked(&[("VIRTUAL_HOST", "a.test"), (key, value)])
}

fn labelled(key: &str, value: &str) -> Asked {
    read(&texts(&[("VIRTUAL_HOST", "a.test")]), &texts(&[(&format!("{LABELS}{key}"), value)])).unwrap()
}

fn hosts(value: &str) -> Vec<String> {
    asked(&[("VIRTUAL_HOST", value)]).wishes.iter().map(|wish| wish.host.to_string()).collect()
}

fn reasons(asked: &Asked) -> String {
    asked.refusals.iter().map(|refusal| format!("{}: {}", refusal.key, refusal.reason)).collect::<Vec<_>>().join("\n")
}

#[test]
fn who_asks_for_nothing_is_left_alone() {
    assert_eq!(read(&texts(&[("PATH", "/bin"), ("VIRTUAL_HOST", " ")]), &texts(&[(&format!("{LABELS}keepalive"), "x")])), None);
    assert!(read(&texts(&[("LETSENCRYPT_HOST", "a.test")]), &BTreeMap::new()).unwrap().wishes.is_empty());
}

#[test]
fn hosts_are_a_list_that_forgives_blanks_and_empty_entries() {
    assert_eq!(hosts(" A.test , ,b.test,a.test,"), ["a.test", "b.test"]);
    assert_eq!(hosts("intranet,my_app.local,192.168.1.5,bücher.test"), ["intranet", "my_app.local", "192.168.1.5", "xn--bcher-kva.test"]);
    assert_eq!(hosts("*.a.test,a.*,.b.test"), ["*.a.test", "a.*", "b.test", "*.b.test"]);
    assert_eq!(hosts(r"~^foo\.bar\..*\.nip\.io,~^(www|web)[0-9]+\.a\.test$"), [r"~^foo\.bar\..*\.nip\.io", r"~^(www|web)[0-9]+\.a\.test$"]);
    let lookaround = r"~^(?!www\.)[a-z]+\.a\.test$";
    assert_eq!(hosts(lookaround), [lookaround]);
}

#[test]
fn a_bad_host_is_refused_and_the_others_are_served() {
    let bad = [
        "a..test",
        "-a.test",
        "a b.test",
        "a.test;",
        "http://a.test",
        "a.test:80",
        "*",
        "w*.a.test",
        "*.a.*",
        "_",
        "~",
        "~(",
        "~a b",
        "~^(?<user>.+)$",
        "~(*UTF)a",
        "~a\\",
        "[::1]",
        "a$",
        "a/b",
        "é\u{202e}.test",
    ];
    for text in bad {
        let asked = asked(&[("VIRTUAL_HOST", &format!("{text},good.test"))]);
        let names: Vec<String> = asked.wishes.iter().map(|wish| wish.host.to_string()).collect();
        assert_eq!((names, asked.refusals.len()), (vec!["good.test".to_owned()], 1), "{text}");
    }
    let many = (0..301).map(|n| format!("h{n}.test")).collect::<Vec<_>>().join(",");
    assert_eq!(reasons(&asked(&[("VIRTUAL_HOST", &many)])), "VIRTUAL_HOST: it names 301 hosts; at most 300 are served");
}

#[test]
fn paths_have_all_of_nginxs_forms() {
    let path = |value: &str| with("VIRTUAL_PATH", value).wishes.first().map(|wish| wish.path.clone());
    assert_eq!(path("/a/b~c"), Some(PathMatch::Prefix("/a/b~c".into())));
    assert_eq!(path("= /a"), Some(PathMatch::Exact("/a".into())));
    assert_eq!(path("^~ /a/"), Some(PathMatch::PrefixOnly("/a/".into())));
    assert_eq!(path("~^/(app1|alternative1)/"), Some(PathMatch::Regex { expression: "^/(app1|alternative1)/".into(), any_case: false }));
    assert_eq!(path(r"~* \.php$"), Some(PathMatch::Regex { expression: r"\.php$".into(), any_case: true }));
    for bad in ["a", "/a b", "/a\"", "/a{", "/$uri", "/a;b", "~(", "~", "= a", "/é", "/a\nb", "http://x/"] {
        assert_eq!(path(bad), None, "{bad}");
    }
    let both = asked(&[("VIRTUAL_HOST", "a.test"), ("VIRTUAL_PATH", "~^/a"), ("VIRTUAL_DEST", "/")]);
    assert_eq!((both.wishes.len(), reasons(&both).as_str()), (0, "VIRTUAL_DEST: a path that is an expression cannot have a destination"));
}

#[test]
fn a_setting_that_does_not_parse_takes_the_containers_routes_away() {
    let bad = [
        ("VIRTUAL_PORT", "0"),
        ("VIRTUAL_PORT", "+80"),
        ("VIRTUAL_PORT", "80,81"),
        ("VIRTUAL_PROTO", "ftp"),
        ("VIRTUAL_DEST", "x"),
        ("VIRTUAL_ROOT", "srv"),
        ("EXTERNAL_HTTPS_PORT", "65536"),
        ("CERT_NAME", "../key"),
        ("CERT_NAME", ".hidden"),
        ("CERT_NAME", "a/b"),
        ("HTTPS_METHOD", "rediret"),
        ("HSTS", "max-age"),
        ("HSTS", "max-age=1; evil"),
        ("HSTS", "max-age=1; max-age=2"),
        ("HSTS", "includeSubDomains"),
        ("SSL_POLICY", "Mozilla"),
        ("NETWORK_ACCESS", "intern"),
        ("SERVER_TOKENS", "maybe"),
        ("ACME_HTTP_CHALLENGE_LOCATION", "sometimes"),
        ("ENABLE_HTTP_ON_MISSING_CERT", "2"),
    ];
    for (key, value) in bad {
        let asked = with(key, value);
        assert!(asked.wishes.is_empty() && asked.refusals.len() == 1 && asked.refusals[0].key == key, "{key}={value} {asked:?}");
    }
    for (key, value) in [
        ("keepalive", "x"),
        ("keepalive", "5000"),
        ("loadbalance", "least_time header;"),
        ("ssl_verify_client", "maybe"),
        ("http2.enable", "?"),
    ] {
        assert!(labelled(key, value).wishes.is_empty(), "{key}={value}");
    }
    // What concerns the certificate alone leaves the routes.
    let asked = asked(&[("VIRTUAL_HOST", "a.test"), ("ACME_HOST", "a.test"), ("ACME_KEYSIZE", "1024")]);
    assert_eq!((asked.wishes.len(), asked.refusals.len(), asked.certificate.is_some()), (1, 1, true));
}

#[test]
fn settings_are_typed() {
    let settings = |key, value| with(key, value).settings;
    assert_eq!(settings("HTTPS_METHOD", "nohttp").https_method, Some(HttpsMethod::NoHttp));
    let hsts = Hsts { max_age: 63_072_000, subdomains: true, preload: true };
    assert_eq!(settings("HSTS", "max-age=63072000; includeSubDomains;preload;").hsts, Some(Some(hsts)));
    assert_eq!(settings("HSTS", "off").hsts, Some(None));
    assert_eq!(settings("SSL_POLICY", "AWS-2015-02").ssl_policy, Some("AWS-2015-02"));
    assert_eq!(settings("NETWORK_ACCESS", "internal").internal_only, Some(true));
    assert_eq!(settings("SERVER_TOKENS", "off").server_tokens, Some(false));
    assert_eq!(settings("ACME_HTTP_CHALLENGE_LOCATION", "legacy").acme_location, Some(AcmeLocation::Legacy));
    assert_eq!(settings("CERT_NAME", "shared.example-1").cert_name.as_deref(), Some("shared.example-1"));
    let fastcgi = |environment: &[(&str, &str)]| asked(environment).wishes[0].root.clone();
    assert_eq!(fastcgi(&[("VIRTUAL_HOST", "a.test"), ("VIRTUAL_PROTO", "fastcgi")]).as_deref(), Some("/var/www/public"));
    assert_eq!(fastcgi(&[("VIRTUAL_HOST", "a.test"), ("VIRTUAL_ROOT", "/x")]), None);
}

#[test]
fn labels_are_typed() {
    let settings = |key, value| labelled(key, value).settings;
    assert_eq!(settings("keepalive", "auto").keepalive, Some(KeepAlive::Auto));
    assert_eq!(settings("keepalive", "64").keepalive, Some(KeepAlive::Connections(64)));
    assert_eq!(settings("keepalive", "disabled").keepalive, Some(KeepAlive::Disabled));
    assert_eq!(settings("non-get-redirect", "308").non_get_redirect, Some(308));
    assert_eq!(settings("ssl_verify_client", "optional_no_ca").verify_client, Some(VerifyClient::OptionalNoCa));
    assert_eq!((settings("http2.enable", "false").http2, settings("http3.enable", "true").http3), (Some(false), Some(true)));
    let balance = |value| settings("loadbalance", value).balance;
    assert_eq!(balance("least_conn;"), Some(Balance::LeastConnections));
    assert_eq!(balance("ip_hash"), Some(Balance::IpHash));
    assert_eq!(balance("random two least_conn;"), Some(Balance::Random { two: true }));
    let hash = |key: &str, consistent| Some(Balance::Hash { key: key.into(), consistent });
    assert_eq!(balance("hash $remote_addr;"), hash("$remote_addr", false));
    assert_eq!(balance("hash ${cookie_session}-$arg_id consistent;"), hash("$cookie_session-$arg_id", true));
    for bad in [
        "hash x;",
        "hash $uri|x;",
        "hash $unknown;",
        "hash ${remote_addr}x;",
        "hash $remote_addr; server 1.2.3.4",
        "hash \"$uri\";",
        "ip_hash; }",
        "zone a 64k;",
        ";",
    ] {
        assert_eq!(balance(bad), None, "{bad}");
    }
}

#[test]
fn many_ports_come_as_yaml_or_json_and_replace_the_rest() {
    let yaml = "www.example.org:\nservice1.example.org:\n  \"/\":\n    port: 8000\n    proto: grpc\n  /two:\n    port: 9000\n    dest: \"/\"\n  external_https_port: 8443\n";
    let json = r#"{"www.example.org": {}, "service1.example.org": {"/": {"port": 8000, "proto": "grpc", "dest": ""}, "/two": {"port": 9000, "dest": "/"}, "external_https_port": 8443}}"#;
    let read = |text: &str| asked(&[("VIRTUAL_HOST", "ignored.test"), ("VIRTUAL_PORT", "1"), ("VIRTUAL_HOST_MULTIPORTS", text)]);
    assert_eq!(read(yaml), read(json));
    let told: Vec<String> = read(yaml)
        .wishes
        .iter()
        .map(|w| format!("{}{} {:?} {:?} {:?} {:?}", w.host, w.path, w.port, w.protocol, w.dest, w.external_https_port))
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
    www.example.org/ None Http None None
    service1.example.org/ Some(8000) Grpc None Some(8443)
    service1.example.org/two Some(9000) Http Some("/") Some(8443)
    "#);
}

#[test]
fn a_bad_host_of_many_is_refused_by_itself() {
    let text = "good.test:\nbad.test:\n  /:\n    port: x\nworse.test: [1]\nodd.test:\n  /:\n    prot: 80\nno path.test:\n";
    let asked = asked(&[("VIRTUAL_HOST_MULTIPORTS", text)]);
    assert_eq!(asked.wishes.iter().map(|wish| wish.host.to_string()).collect::<Vec<_>>(), ["good.test"]);
    insta::assert_snapshot!(reasons(&asked), @"
    VIRTUAL_HOST_MULTIPORTS: `x` is not a port from 1 to 65535
    VIRTUAL_HOST_MULTIPORTS: what stands under `worse.test` is not a mapping
    VIRTUAL_HOST_MULTIPORTS: `prot` under `/` is none of port, dest, proto
    VIRTUAL_HOST_MULTIPORTS: `no path.test` is not a host name: only letters, digits, hyphens and dots make a name, and a star at one end
    ");
    for text in ["[", "a: &a [*a]", "x", "a: {b: {c: {d: {e: {f: 1}}}}}", "a.test: \u{7}"] {
        let asked = with("VIRTUAL_HOST_MULTIPORTS", text);
        assert!(asked.wishes.is_empty() && !asked.refusals.is_empty(), "{text}");
    }
}

#[test]
fn certificates_take_the_new_names_before_the_old_ones() {
    let wish = |environment: &[(&str, &str)]| asked(environment).certificate;
    let both =
        wish(&[("ACME_HOST", "a.test"), ("LETSENCRYPT_HOST", "b.test"), ("LETSENCRYPT_EMAIL", "old@a.test"), ("ACME_EMAIL", "new@a.test")])
            .unwrap();
    assert_eq!((both.certificates, both.email.as_deref()), (vec![vec!["a.test".to_owned()]], Some("new@a.test")));
    let list = wish(&[("LETSENCRYPT_HOST", "a.test. , *.b.test,a.test,"), ("LETSENCRYPT_SINGLE_DOMAIN_CERTS", "true")]).unwrap();
    assert_eq!(list.certificates, [["a.test"], ["*.b.test"]]);
    for bad in ["localhost", "my_app.test", "~^a", "a.*", "a b"] {
        assert_eq!(wish(&[("ACME_HOST", bad)]), None, "{bad}");
    }
    let more = wish(&[
        ("ACME_HOST", "a.test"),
        ("ACME_KEYSIZE", "ec-384"),
        ("ACME_CHALLENGE", "dns-01"),
        ("ACMESH_DNS_API_CONFIG", "{'DNS_API': 'dns_cf', 'CF_Key': 'hunter2'}"),
        ("ACME_EAB_KID", "kid"),
        ("ACME_EAB_HMAC_KEY", "hmac"),
        ("LETSENCRYPT_TEST", "true"),
        ("ACME_RENEW_AFTER", "30"),
        ("ACME_CERT_PROFILE", "shortlived"),
    ]);
    let more = more.unwrap();
    assert_eq!(
        (more.key, more.dns, more.staging, more.renew_after_days, more.profile.as_deref()),
        (Some(KeyKind::P384), Some(true), true, Some(30), Some("shortlived"))
    );
    assert_eq!(more.dns_api["CF_Key"].0.as_str(), "hunter2");
    assert!(!format!("{more:?}").contains("hunter2") && !format!("{more:?}").contains("hmac"));
}

#[test]
fn secrets_and_hooks_are_refused_without_a_word_of_them() {
    let asked = asked(&[
        ("ACME_HOST", "a.test"),
        ("ACMESH_DNS_API_CONFIG", "DNS_API dns_cf hunter2"),
        ("ACME_EAB_KID", "hunter2"),
        ("ACME_PRE_HOOK", "rm -rf hunter2"),
        ("ZEROSSL_API_KEY", "hunter2"),
        ("ACME_CA_URI", "http://a.test/dir"),
    ]);
    let reasons = reasons(&asked);
    assert!(!reasons.contains("hunter2") && asked.certificate.is_some(), "{reasons}");
    assert_eq!(asked.refusals.len(), 4, "{reasons}");
}

#[test]
fn the_proxys_own_variables_are_typed() {
    let read = |key: &str, value: &str| globals(&texts(&[(key, value)]));
    let good = |key: &str, value: &str| {
        let (globals, refusals) = read(key, value);
        assert!(refusals.is_empty(), "{refusals:?}");
        globals
    };
    assert_eq!(good("TRUST_DOWNSTREAM_PROXY", "true").trust, Trust::Everyone);
    let nets = |texts: &[&str]| Trust::Networks(texts.iter().map(|text| text.parse().unwrap()).collect());
    assert_eq!(good("TRUST_DOWNSTREAM_PROXY", "10.1.2.3/8, 192.0.2.1 fd00::/8").trust, nets(&["10.0.0.0/8", "192.0.2.1/32", "fd00::/8"]));
    let resolvers = good("RESOLVERS", "127.0.0.11 [::1]:5353 valid=10s ipv6=off").resolvers.unwrap();
    assert_eq!(
        (resolvers.servers.len(), resolvers.servers[1].1, resolvers.valid_s, resolvers.ipv6),
        (2, Some(5353), Some(10), Some(false))
    );
    assert!(!good("DISABLE_ACCESS_LOGS", "x").access_log);
    let line = "$remote_addr \"$request\" ${status}x $http_referer $upstream_http_server";
    assert_eq!(good("LOG_FORMAT", line).log_format.unwrap().line.to_string(), line);
    assert_eq!(good("DOCKER_CONTAINER_FILTERS", "label=a=b,network=web").filters.len(), 2);
    assert_eq!(good("FILES_PERMS", "640").files.mode, Some(0o640));
    assert_eq!(good("DEFAULT_KEY_SIZE", "ec-256").certificate.key, Some(KeyKind::P256));
    assert_eq!(good("NON_GET_REDIRECT", "308").settings.non_get_redirect, Some(308));
    assert_eq!(good("CERTS_UPDATE_INTERVAL", "60").unused.len(), 1);
    let bad = [
        ("TRUST_DOWNSTREAM_PROXY", "10.0.0.0/33"),
        ("RESOLVERS", "valid=1s"),
        ("RESOLVERS", "dns.test"),
        ("RESOLVERS", "1.1.1.1;"),
        ("LOG_FORMAT", "$unknown"),
        ("LOG_FORMAT", "${host"),
        ("LOG_FORMAT_ESCAPE", "xml"),
        ("DEFAULT_ROOT", "99"),
        ("DEFAULT_ROOT", "200 hello"),
        ("DEFAULT_ROOT", "301 https://$uri"),
        ("DEFAULT_ROOT", "301 javascript:x"),
        ("DEFAULT_ROOT", "404; }"),
        ("DEFAULT_HOST", "a;b"),
        ("HTTP_PORT", "x"),
        ("FILES_PERMS", "999"),
        ("DOCKER_CONTAINER_FILTERS", "evil=1"),
        ("CA_BUNDLE", "bundle.pem"),
        ("NGINX_CONTAINER_LABEL", "a b"),
        ("DEFAULT_EMAIL", "nobody"),
        ("ENABLE_IPV6", "perhaps"),
    ];
    for (key, value) in bad {
        let (globals, refusals) = read(key, value);
        assert_eq!((refusals.len(), globals), (1, Globals::default()), "{key}={value}");
    }
}

#[test]
fn reasons_repeat_nothing_that_could_do_harm() {
    for value in ["\u{1b}[31mred", "a\nb", &"x".repeat(3000), "\u{202e}evil", "\u{fffd}"] {
        let reasons = reasons(&with("HTTPS_METHOD", value));
        assert!(reasons.len() < 200 && reasons.bytes().all(|b| (b' '..=b'~').contains(&b)), "{reasons:?}");
    }
}
