use std::collections::BTreeMap;

use super::*;
use crate::fault::{Fault, Source};
use crate::yaml::{Limits, parse};

fn reading(text: &str) -> Result<DnsSettings, Vec<String>> {
    let mut faults = Faults::new(&Source::new("config.yml", text));
    let settings = parse(Limits::CONFIG, &mut faults).and_then(|node| read(&node, "dns", &mut faults));
    let lines = |faults: Vec<Fault>| faults.iter().map(Fault::line).collect();
    faults.finish(settings).map(|(settings, _)| settings).map_err(lines)
}

#[test]
fn what_is_wrong_is_said_at_once_with_its_place() {
    let all = [
        "{}",
        "provider: route53\ntoken: x",
        "provider: cloudflrae",
        "provider: cloudflare\ntoken: s3cret",
        "provider: cloudflare\ntoken_file: s3cret\napi: http://example.org\nzone_id: a/b",
        "provider: desec\ntoken_file: /t\nserver: x\npropagation: 2h\nresolvers: [one.one.one.one]",
        "provider: exec\ncommand: rm -rf /\ntimeout: 1h",
        "provider: exec\ncommand: []",
        "provider: rfc2136\nserver: 'a b'\nzone: ..\nalgorithm: hmac-md5\nttl: 0",
    ];
    let said: Vec<String> = all.iter().map(|text| reading(text).unwrap_err().join("\n")).collect();
    insta::assert_snapshot!(said.join("\n--\n"), @r"
    config.yml:1:1: `provider` is missing in dns
    --
    config.yml:1:11: dns.provider: `route53` is not known
    --
    config.yml:1:11: dns.provider: `cloudflrae` is not known
    --
    config.yml:1:1: `token_file` is missing in dns
    config.yml:2:1: unknown key `token` in dns
    --
    config.yml:2:13: dns.token_file: write the whole path of a file that holds the secret, beginning with /
    config.yml:3:6: dns.api: `http://example.org` is no address of an API: write https://host/path
    config.yml:4:10: dns.zone_id: `a/b` is no identifier of a zone
    --
    config.yml:3:1: unknown key `server` in dns
    config.yml:4:14: dns.propagation: `2h` is out of its range: 1s to 1h
    config.yml:5:12: dns.resolvers: `one.one.one.one` is no address of a name server: write 192.0.2.53, or 192.0.2.53:5353
    --
    config.yml:2:10: dns.command: `rm -rf /` is not split: no shell reads it
    config.yml:3:10: dns.timeout: `1h` is out of its range: 1s to 15m
    --
    config.yml:2:10: dns.command: it names no program
    --
    config.yml:1:1: `key_file` is missing in dns
    config.yml:2:9: dns.server: `a b` is no name server: write a host name or an address, with :port where it is not 53
    config.yml:3:7: dns.zone: `..` is no name of the DNS
    config.yml:4:12: dns.algorithm: `hmac-md5` is not known: write hmac-sha256 or hmac-sha512
    config.yml:5:6: dns.ttl: `0` is no number of seconds from 1 to 86400
    ");
}

#[test]
fn a_name_server_is_read_with_every_default() {
    let least = reading("provider: rfc2136\nserver: ns1.example.org\nkey_file: /etc/summoner/tsig.key").unwrap();
    assert_eq!((least.propagation, least.resolvers.len()), (PROPAGATION, 0));
    let Provider::Rfc2136(found) = least.provider else { panic!() };
    assert_eq!((found.host.as_str(), found.port, found.zone, found.key_name, found.ttl), ("ns1.example.org", 53, None, None, 60));
    let all = reading(
        "provider: rfc2136\nserver: '[2001:db8::1]:5353'\nzone: Example.org.\nkey_name: acme.\nkey_file: /k\nalgorithm: hmac-sha512\n\
         ttl: 30\npropagation: 30s\nresolvers: [192.0.2.1, '[::1]:54']",
    );
    let all = all.unwrap();
    assert_eq!(all.resolvers, ["192.0.2.1:53".parse().unwrap(), "[::1]:54".parse().unwrap()]);
    let Provider::Rfc2136(found) = all.provider else { panic!() };
    assert_eq!((found.host.as_str(), found.port), ("2001:db8::1", 5353));
    assert_eq!((found.zone.as_deref(), found.key_name.as_deref()), (Some("example.org"), Some("acme")));
    assert_eq!((found.algorithm, found.ttl), (Some(Algorithm::HmacSha512), 30));
}

#[test]
fn an_api_is_read_with_its_token() {
    for (word, zone) in [("cloudflare", "\nzone_id: 0a1b"), ("desec", ""), ("hetzner", "")] {
        let found = reading(&format!("provider: {word}\ntoken_file: /etc/summoner/token{zone}")).unwrap();
        let token = match &found.provider {
            Provider::Cloudflare(cloudflare) => cloudflare.api.token.clone(),
            Provider::Desec(api) | Provider::Hetzner(api) => api.token.clone(),
            _ => panic!("{found:?}"),
        };
        assert_eq!(token, Credential::File(PathBuf::from("/etc/summoner/token")));
    }
    let found = reading("provider: exec\ncommand: [/usr/local/bin/hook, a b]").unwrap();
    let Provider::Exec(hook) = found.provider else { panic!() };
    assert_eq!((hook.command.len(), hook.timeout), (2, Duration::from_secs(60)));
}

#[test]
fn a_token_goes_over_tls_or_stays_on_this_machine() {
    for text in ["https://api.example.org/v4/", "http://127.0.0.1:8080", "http://localhost/x", "http://[::1]:80/x"] {
        assert!(values::url(text).is_ok(), "{text}");
    }
    for text in ["http://127.0.0.1@evil.org", "http://127.0.0.1.evil.org", "ftp://x", "https://", "https://a?b=c", "http://[::2]/"] {
        assert!(values::url(text).is_err(), "{text}");
    }
}

fn from(words: &[(&str, &str)]) -> Result<DnsSettings, String> {
    from_acme_sh(&words.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>())
}

#[test]
fn the_words_of_acme_sh_that_are_wrong_are_explained() {
    let all = [
        from(&[]),
        from(&[("DNS_API", "dns_gd")]),
        from(&[("DNS_API", "dns_cf")]),
        from(&[("DNS_API", "dns_cf"), ("CF_Key", "s3cret"), ("CF_Email", "a@b.c")]),
        from(&[("DNS_API", "dns_cf"), ("CF_Token", "s3cret"), ("DNS_SLEEP", "long")]),
        from(&[("DNS_API", "dns_desec"), ("DEDYN_TOKEN", "s3cret"), ("CF_Token", "s3cret")]),
        from(&[("DNS_API", "dns_nsupdate"), ("NSUPDATE_SERVER", "ns1.example.org")]),
    ];
    let said: Vec<String> = all.into_iter().map(Result::unwrap_err).collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    `DNS_API` is missing
    DNS_API `dns_gd` is not known: dns_cf, dns_desec, dns_hetznercloud and dns_nsupdate are; a hook of your own can publish through any other provider
    `CF_Token` is missing
    CF_Key opens the whole account: make an API token that may edit the zone's DNS, and give it as CF_Token
    DNS_SLEEP `long` is no number of seconds up to 3600
    `CF_Token` means nothing to dns_desec: it takes DEDYN_TOKEN, DEDYN_NAME
    `NSUPDATE_KEY` is missing
    ");
}

#[test]
fn the_words_of_acme_sh_are_understood_and_their_secret_is_never_shown() {
    let found = from(&[("DNS_API", "dns_cf"), ("CF_Token", " s3cret "), ("CF_Zone_ID", "0a1b"), ("DNS_SLEEP", "300")]).unwrap();
    assert_eq!(found.propagation, Duration::from_secs(300));
    assert!(!format!("{found:?}").contains("s3cret"), "{found:?}");
    let Provider::Cloudflare(cloudflare) = found.provider else { panic!() };
    assert_eq!(cloudflare.zone_id.as_deref(), Some("0a1b"));
    assert_eq!(cloudflare.api.token, Credential::Inline(Secret::new("s3cret".to_owned())));
    let found = from(&[("DNS_API", "dns_hetznercloud"), ("HETZNER_TOKEN", "s3cret"), ("HETZNER_TTL", "120")]).unwrap();
    assert!(matches!(found.provider, Provider::Hetzner(_)), "{found:?}");
    let found = from(&[("DNS_API", "dns_nsupdate"), ("NSUPDATE_KEY", "/k"), ("NSUPDATE_SERVER_PORT", "5353"), ("NSUPDATE_ZONE", "a.org")]);
    let Provider::Rfc2136(server) = found.unwrap().provider else { panic!() };
    assert_eq!((server.host.as_str(), server.port, server.zone.as_deref()), ("localhost", 5353, Some("a.org")));
    assert_eq!(server.key, Credential::File(PathBuf::from("/k")));
}
