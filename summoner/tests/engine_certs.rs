//! Certificates of a whole installation: the real engine, nginx of the catalogue, and Pebble, which asks nginx.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test stops at what it does not expect")]

#[path = "pebble/bed.rs"]
mod authority;
mod support;

use std::process::Command;

use authority::Kind;
use support::{Bed, PAIR_COMPOSE, PAIR_MINION, Said};

/// An installation that asks an authority at this address.
fn configure(bed: &Bed, directory: &str, root: &std::path::Path) {
    let certificates = format!(
        "  pair:\ncertificates:\n  issuer: acme\n  authorities: [{{directory: '{directory}', root: '{}'}}]\n  staging: never\n  preflight: false\n",
        root.display()
    );
    bed.minion("pair", PAIR_MINION, PAIR_COMPOSE).config(&certificates);
}

fn certificate(bed: &Bed) -> serde_json::Value {
    let all: serde_json::Value = serde_json::from_str(&bed.ok(&["certs", "--json"]).out).unwrap();
    all["certificates"][0].clone()
}

/// Who signed what nginx serves.
fn served(bed: &Bed) -> String {
    let host = format!("pair.{}", bed.domain);
    let script = format!(
        "openssl s_client -connect 127.0.0.1:{} -servername {host} </dev/null 2>/dev/null | openssl x509 -noout -issuer",
        bed.https_port
    );
    Said::of(Command::new("sh").args(["-c", &script]).output().unwrap()).out
}

#[test]
fn an_install_ends_well_and_the_certificate_comes_when_the_authority_does() {
    let bed = Bed::new("certs");
    let authority = authority::Bed::in_front_of(&Kind::default(), Some(bed.http_port));
    // Nobody listens there.
    configure(&bed, "https://127.0.0.1:1/dir", &authority.root);
    let said = bed.ok(&["install"]);
    said.assert_says(&["has no certificate of an authority yet", "cannot be reached", "next try at"]);
    assert!(served(&bed).contains("Summoner CA"), "the own authority stands in: {}", served(&bed));
    assert_eq!(certificate(&bed)["state"], "stand-in");
    assert!(certificate(&bed)["next_try_at"].is_string());
    bed.ok(&["certs"]).assert_says(&["authorities look at port 80 of", "proxy.http_port is"]);
    let checks = bed.run(&["doctor", "--json"]).out;
    assert!(checks.contains("\"http-01\""), "{checks}");
    let status = bed.run(&["status"]);
    assert_eq!(status.code, 3);
    assert!(status.out.contains("has no certificate of an authority yet"), "{}", status.out);
    bed.assert_nothing_to_do("an install without an authority");

    configure(&bed, &authority.settings().authorities[0].directory, &authority.root);
    bed.ok(&["certs", "renew"]).assert_says(&["signed a certificate"]);
    assert!(served(&bed).contains("Pebble"), "{}", served(&bed));
    let found = certificate(&bed);
    assert_eq!((&found["state"], &found["last_error"]), (&"network".into(), &serde_json::Value::Null));
    bed.assert_nothing_to_do("a certificate came");
    assert_eq!(bed.ok(&["status"]).code, 0);
    // Installed again, it is served on; a stopped application loses nothing.
    bed.ok(&["install"]);
    assert!(served(&bed).contains("Pebble"));
    assert_eq!(authority.orders(), 1);
    let before = std::fs::read(bed.root().join(format!("summoner/certs/pair.{}.crt", bed.domain))).unwrap();
    let refused = bed.run(&["certs", "revoke", &format!("pair.{}", bed.domain)]);
    assert_eq!(refused.code, 2, "{}", refused.err);
    bed.ok(&["--yes", "certs", "revoke", &format!("pair.{}", bed.domain), "--reason", "superseded"]);
    assert_ne!(std::fs::read(bed.root().join(format!("summoner/certs/pair.{}.crt", bed.domain))).unwrap(), before);
    assert!(served(&bed).contains("Pebble"));
    // One's own files win, and are served at once.
    let (crt, key) = (bed.path().join("own.crt"), bed.path().join("own.key"));
    let host = format!("pair.{}", bed.domain);
    let pair = rcgen::generate_simple_self_signed(vec![host.clone()]).unwrap();
    std::fs::write(&crt, pair.cert.pem()).unwrap();
    std::fs::write(&key, pair.signing_key.serialize_pem()).unwrap();
    let words = ["certs", "import", &host, "--cert", crt.to_str().unwrap(), "--key", key.to_str().unwrap()];
    bed.ok(&words);
    assert!(served(&bed).contains("rcgen"), "{}", served(&bed));
    assert_eq!(certificate(&bed)["state"], "person");
    bed.ok(&["certs", "renew", "--force"]);
    assert_eq!(std::fs::read(bed.root().join(format!("summoner/certs/{host}.crt"))).unwrap(), std::fs::read(&crt).unwrap());
    bed.assert_nothing_to_do("one's own files");
}
