//! What is asked for comes: names, keys, profiles, accounts.

use std::os::unix::fs::PermissionsExt;

use chrono::TimeDelta;
use summoner::acme::What;
use summoner::config::certificates::{Eab, EabKey, Staging};
use summoner::plan::cert::Lying;
use summoner::vhost::KeyKind;

use crate::bed::{Bed, EAB, Kind};

fn issued(outcome: &summoner::acme::Outcome) -> &str {
    match &outcome.what {
        What::Issued { authority } => authority,
        other => panic!("{}: {other:?}: {} {:?}", outcome.stem, outcome.reason, outcome.error),
    }
}

#[tokio::test]
async fn a_host_gets_its_certificate_and_keeps_it() {
    let bed = Bed::new(&Kind::default());
    let wanted = [bed.wanted(&["a.fr"])];
    let outcomes = bed.tend(&wanted).await;
    assert!(issued(&outcomes[0]).starts_with("pebble-"));
    let first = bed.fingerprint("a.fr");
    assert!(bed.file("a.fr.chain.pem").contains("BEGIN CERTIFICATE"));
    let mode = |name: &str| std::fs::metadata(bed.places.certs.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("a.fr.key"), mode("a.fr.crt")), (0o600, 0o644));
    for path in std::fs::read_dir(&bed.places.acme).unwrap().flatten() {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
        assert_ne!(path.path().extension().unwrap(), "order", "the order has ended");
    }
    assert_eq!(bed.answers(), 0, "answers to challenges are taken away");
    // Again, and after the memory of who did it: nothing is asked.
    let outcomes = bed.tend(&wanted).await;
    assert_eq!((&outcomes[0].what, bed.fingerprint("a.fr")), (&What::Kept, first.clone()));
    assert_eq!(bed.orders(), 1);
    assert!(outcomes[0].next_at.unwrap() > bed.now + TimeDelta::days(30), "{outcomes:?}");
    // A person who asks for another one gets it.
    let outcomes = bed.tend_forced(&wanted, &["a.fr"]).await;
    issued(&outcomes[0]);
    assert_ne!(bed.fingerprint("a.fr"), first);
}

#[tokio::test]
async fn several_names_share_one_certificate() {
    let bed = Bed::new(&Kind::default());
    let wanted = [bed.wanted(&["a.fr", "www.a.fr", "blog.b.fr"])];
    issued(&bed.tend(&wanted).await[0]);
    let Lying::Ours(observed) = bed.lying("a.fr") else { panic!() };
    let mut names = observed.names.clone();
    names.sort();
    assert_eq!(names, ["a.fr", "blog.b.fr", "www.a.fr"]);
    for host in ["www.a.fr", "blog.b.fr"] {
        assert_eq!(bed.file(&format!("{host}.crt")), bed.file("a.fr.crt"));
        assert_eq!(bed.file(&format!("{host}.key")), bed.file("a.fr.key"));
    }
    // One name fewer asks nobody; one more does.
    assert_eq!(bed.tend(&[bed.wanted(&["a.fr", "www.a.fr"])]).await[0].what, What::Kept);
    issued(&bed.tend(&[bed.wanted(&["a.fr", "www.a.fr", "new.a.fr"])]).await[0]);
    assert_eq!(bed.orders(), 2);
}

#[tokio::test]
async fn a_wildcard_is_proven_by_records() {
    let bed = Bed::new(&Kind::default());
    let wanted = [bed.wildcard("a.fr", &["blog.a.fr", "cloud.a.fr"])];
    issued(&bed.tend(&wanted).await[0]);
    let Lying::Ours(observed) = bed.lying("a.fr") else { panic!() };
    assert!(observed.names.contains(&"*.a.fr".to_owned()) && observed.names.contains(&"a.fr".to_owned()));
    assert_eq!(bed.file("cloud.a.fr.crt"), bed.file("a.fr.crt"));
    assert_eq!(bed.tend(&wanted).await[0].what, What::Kept);
}

#[tokio::test]
async fn nonces_may_be_refused() {
    let bed = Bed::new(&Kind { nonce_reject: 30, ..Kind::default() });
    let wanted: Vec<_> = ["a.fr", "b.fr", "c.fr", "d.fr"].iter().map(|name| bed.wanted(&[name])).collect();
    for outcome in bed.tend(&wanted).await {
        issued(&outcome);
    }
}

#[tokio::test]
async fn every_kind_of_key_and_the_kept_one() {
    let bed = Bed::new(&Kind::default());
    let kinds = [("p256.fr", KeyKind::P256), ("p384.fr", KeyKind::P384), ("rsa.fr", KeyKind::Rsa(2048)), ("p521.fr", KeyKind::P521)];
    let mut wanted: Vec<_> = kinds
        .iter()
        .map(|(name, kind)| {
            let mut wanted = bed.wanted(&[name]);
            (wanted.key, wanted.new_keys) = (*kind, false);
            wanted
        })
        .collect();
    let outcomes = bed.tend(&wanted).await;
    for outcome in &outcomes {
        issued(outcome);
    }
    assert!(outcomes[3].reason.contains("ec-384"), "{}", outcomes[3].reason);
    let keys: Vec<String> = kinds.iter().map(|(name, _)| bed.file(&format!("{name}.key"))).collect();
    let force: Vec<&str> = kinds.iter().map(|(name, _)| *name).collect();
    wanted[0].new_keys = true;
    bed.tend_forced(&wanted, &force).await;
    let after: Vec<String> = kinds.iter().map(|(name, _)| bed.file(&format!("{name}.key"))).collect();
    assert_ne!(after[0], keys[0], "a new key when that is asked for");
    assert_eq!(after[1..], keys[1..], "else the key stays");
}

#[tokio::test]
async fn profiles_and_the_staple_extension() {
    let bed = Bed::new(&Kind { profiles: true, ..Kind::default() });
    let mut wanted = [bed.wanted(&["a.fr"]), bed.wanted(&["b.fr"])];
    wanted[0].profile = Some("shortlived".into());
    wanted[1].profile = Some("nobody-has-this".into());
    wanted[1].must_staple = true;
    for outcome in bed.tend(&wanted).await {
        issued(&outcome);
    }
    let life = |stem: &str| match bed.lying(stem) {
        Lying::Ours(observed) => (observed.not_after - observed.not_before).num_hours(),
        other => panic!("{other:?}"),
    };
    assert!((140..=145).contains(&life("a.fr")), "{}", life("a.fr"));
    assert!(life("b.fr") > 24 * 5, "an unknown profile is left out: {}", life("b.fr"));
}

#[tokio::test]
async fn an_account_that_is_bound_to_another() {
    let bed = Bed::new(&Kind { eab: true, ..Kind::default() });
    let mut wanted = bed.wanted(&["a.fr"]);
    let outcome = bed.tend(std::slice::from_ref(&wanted)).await.remove(0);
    assert_eq!(outcome.what, What::Failed);
    assert!(outcome.error.as_ref().unwrap().next.as_ref().unwrap().contains("eab:"), "{outcome:?}");
    let path = bed.folder.path().join("hmac");
    std::fs::write(&path, EAB.1).unwrap();
    wanted.authorities[0].eab = Some(Eab { kid: EAB.0.into(), key: EabKey::File(path) });
    // Other settings are another try: nobody has to wait.
    issued(&bed.tend(&[wanted]).await[0]);
}

#[tokio::test]
async fn the_test_authority_proves_the_way() {
    let mut bed = Bed::new(&Kind::default());
    let test = bed.add(&Kind::default());
    let mut wanted = bed.wanted(&["a.fr"]);
    wanted.authorities.truncate(1);
    wanted.authorities[0].staging = Some(test.directory.clone());
    wanted.staging = Staging::First;
    issued(&bed.tend(std::slice::from_ref(&wanted)).await[0]);
    assert_eq!(bed.orders(), 2, "one of each");
    let known = bed.memory();
    assert_eq!(known.certificates["a.fr"].directory.as_deref(), Some(wanted.authorities[0].directory.as_str()));
    // A name that cannot be proven never reaches the real one.
    bed.tell("add-a", serde_json::json!({"host": "b.fr", "addresses": ["127.0.0.9"]})).await;
    let other = summoner::plan::cert::Wanted { stem: "b.fr".into(), names: vec!["b.fr".into()], hosts: vec![], ..wanted.clone() };
    let outcome = bed.tend(std::slice::from_ref(&other)).await.remove(0);
    assert_eq!((outcome.what, bed.orders()), (What::Failed, 3));
    // Its certificate alone, when that is asked for.
    let only =
        summoner::plan::cert::Wanted { staging: Staging::Only, stem: "c.fr".into(), names: vec!["c.fr".into()], hosts: vec![], ..wanted };
    issued(&bed.tend(&[only]).await[0]);
    assert_eq!(bed.memory().certificates["c.fr"].directory.as_deref(), Some(test.directory.as_str()));
}

#[tokio::test]
async fn the_lists_of_containers() {
    use summoner::plan::cert::Wanted;
    use summoner::vhost::CertificateWish;

    let bed = Bed::new(&Kind::default());
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let wish = |certificates: Vec<Vec<String>>| CertificateWish { certificates, ..CertificateWish::default() };
    // One for all, and with ACME_SINGLE_DOMAIN_CERTS one for each.
    let shared = Wanted::of_container(&bed.settings(), &wish(vec![names(&["le1.fr", "le2.fr", "le1.fr"])]));
    let single = Wanted::of_container(&bed.settings(), &wish(vec![names(&["le3.fr"]), names(&["le4.fr"])]));
    let wanted: Vec<Wanted> = shared.into_iter().chain(single).collect();
    for outcome in bed.tend(&wanted).await {
        issued(&outcome);
    }
    assert_eq!(bed.file("le2.fr.crt"), bed.file("le1.fr.crt"));
    assert_ne!(bed.file("le3.fr.crt"), bed.file("le4.fr.crt"));
    assert_eq!(bed.orders(), 3);
    // Words for records that nobody here knows: a reason, and nobody is asked.
    let secret = |text: &str| summoner::vhost::Secret(text.to_owned().into());
    let unknown = CertificateWish {
        dns: Some(true),
        dns_api: [("DNS_API".to_owned(), secret("dns_gd")), ("GD_Key".to_owned(), secret("s3cret"))].into(),
        ..wish(vec![names(&["le5.fr"])])
    };
    let outcome = bed.tend(&Wanted::of_container(&bed.settings(), &unknown)).await.remove(0);
    let error = outcome.error.as_ref().unwrap();
    assert!(outcome.what == What::Failed && error.said.contains("`dns_gd` is not known"), "{outcome:?}");
    assert_eq!((bed.orders(), error.authority.as_ref()), (3, None));
}

#[tokio::test]
async fn accounts_are_one_for_each_address() {
    let bed = Bed::new(&Kind::default());
    let mut wanted = [bed.wanted(&["a.fr"]), bed.wanted(&["b.fr"]), bed.wanted(&["c.fr"])];
    wanted[1].email = Some("other@b.fr".to_owned());
    wanted[2].email = None;
    // Both in turn: an account is never made twice for the same address.
    for outcome in bed.tend(&wanted).await {
        issued(&outcome);
    }
    let more = [summoner::plan::cert::Wanted { email: wanted[1].email.clone(), ..bed.wanted(&["d.fr"]) }];
    let all: Vec<_> = wanted.iter().cloned().chain(more).collect();
    issued(&bed.tend(&all).await[3]);
    let accounts = std::fs::read_dir(&bed.places.acme).unwrap().flatten().map(|entry| entry.path());
    let mut found: Vec<String> = accounts
        .map(|path| serde_json::from_str::<serde_json::Value>(&std::fs::read_to_string(path).unwrap()).unwrap()["email"].to_string())
        .collect();
    found.sort();
    assert_eq!(found, ["\"other@b.fr\"", "\"someone@a.fr\"", "null"]);
}
