//! What is there stays: renewals in time, crashes, a person's files, a companion's volume.

use chrono::TimeDelta;
use summoner::acme::{self, Reason, What};
use summoner::plan::cert::{Lying, Wanted};

use crate::bed::{Bed, Kind};

#[tokio::test]
async fn the_authority_says_when_to_renew() {
    let mut bed = Bed::new(&Kind::default());
    let wanted = [bed.wanted(&["a.fr"])];
    bed.tend(&wanted).await;
    let outcome = bed.tend(&wanted).await.remove(0);
    assert!(outcome.reason.contains("the authority suggests"), "{}", outcome.reason);
    let at = outcome.next_at.unwrap();
    let directory = &wanted[0].authorities[0].directory;
    let counted = |bed: &Bed| bed.memory().authorities[directory].signed.len();
    assert_eq!(counted(&bed), 1);
    // Before its time nothing; at its time a new one, marked as the renewal of the old one.
    bed.now = at - TimeDelta::minutes(1);
    assert_eq!(bed.tend(&wanted).await[0].what, What::Kept);
    let before = bed.fingerprint("a.fr");
    bed.now = at + TimeDelta::minutes(1);
    let outcome = bed.tend(&wanted).await.remove(0);
    assert!(matches!(outcome.what, What::Issued { .. }), "{outcome:?}");
    assert_ne!(bed.fingerprint("a.fr"), before);
    assert_eq!(counted(&bed), 0, "the first one is of another week, and a renewal that it suggested counts for no limit");
}

#[tokio::test]
async fn short_lives_are_renewed_at_their_half() {
    let mut bed = Bed::new(&Kind { life: 6 * 24 * 3600, ..Kind::default() });
    let mut wanted = bed.wanted(&["a.fr"]);
    wanted.renew_after_days = Some(2);
    let wanted = [wanted];
    bed.tend(&wanted).await;
    let at = bed.tend(&wanted).await[0].next_at.unwrap();
    assert!(at > bed.now + TimeDelta::days(1) && at < bed.now + TimeDelta::days(5), "{at}");
    bed.now = at + TimeDelta::minutes(1);
    assert!(matches!(bed.tend(&wanted).await[0].what, What::Issued { .. }));
}

#[tokio::test]
async fn what_is_revoked_is_replaced_at_once() {
    let bed = Bed::new(&Kind::default());
    let wanted = [bed.wanted(&["a.fr"])];
    bed.tend(&wanted).await;
    let before = bed.fingerprint("a.fr");
    acme::revoke(&bed.places, &wanted[0], Reason::KeyCompromise, bed.now).await.unwrap();
    acme::revoke(&bed.places, &wanted[0], Reason::KeyCompromise, bed.now).await.expect("twice is as good as once");
    assert_eq!(bed.fingerprint("a.fr"), before, "it is served until the next one is there");
    assert!(matches!(bed.tend(&wanted).await[0].what, What::Issued { .. }));
    assert_ne!(bed.fingerprint("a.fr"), before);
}

#[tokio::test]
async fn the_account_gets_another_address() {
    let bed = Bed::new(&Kind::default());
    let mut wanted = bed.wanted(&["a.fr"]);
    bed.tend(std::slice::from_ref(&wanted)).await;
    let accounts = || {
        let files = std::fs::read_dir(&bed.places.acme).unwrap().flatten().map(|file| file.path());
        files
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect::<Vec<_>>()
    };
    wanted.email = Some("other@a.fr".to_owned());
    wanted.names.push("www.a.fr".to_owned());
    let outcome = bed.tend(std::slice::from_ref(&wanted)).await.remove(0);
    assert!(matches!(outcome.what, What::Issued { .. }), "{outcome:?}");
    assert!(accounts().len() == 1 && accounts()[0].contains("other@a.fr"), "the account has another address now");
}

#[tokio::test]
async fn a_companion_s_volume_is_adopted_and_a_stopped_container_deletes_nothing() {
    let mut bed = Bed::new(&Kind::default());
    // What acme-companion leaves: made here by an order, then put into its layout.
    bed.tend(&[bed.wanted(&["a.fr", "www.a.fr"])]).await;
    let base = bed.places.certs.join("a.fr");
    std::fs::create_dir(&base).unwrap();
    std::fs::write(base.join(".companion"), "").unwrap();
    for (from, to) in [("a.fr.crt", "fullchain.pem"), ("a.fr.key", "key.pem"), ("a.fr.chain.pem", "chain.pem")] {
        std::fs::rename(bed.places.certs.join(from), base.join(to)).unwrap();
    }
    for host in ["a.fr", "www.a.fr"] {
        for (ending, target) in [("crt", "fullchain.pem"), ("key", "key.pem"), ("chain.pem", "chain.pem")] {
            let link = bed.places.certs.join(format!("{host}.{ending}"));
            let _ = std::fs::remove_file(&link);
            std::os::unix::fs::symlink(format!("./a.fr/{target}"), link).unwrap();
        }
    }
    std::fs::remove_file(&bed.places.memory).unwrap();
    let (wanted, orders) = ([bed.wanted(&["a.fr", "www.a.fr"])], bed.orders());
    assert_eq!(bed.tend(&wanted).await[0].what, What::Kept);
    assert_eq!(bed.orders(), orders, "a valid certificate is reused");
    // The container stops: its certificate is not wanted, and stays (acme-companion #1299).
    bed.tend(&[]).await;
    bed.tend(&[bed.wanted(&["other.fr"])]).await;
    let before = bed.fingerprint("a.fr");
    assert_eq!(bed.tend(&wanted).await[0].what, What::Kept);
    // Its renewal goes through the links.
    bed.later(TimeDelta::days(80));
    assert!(matches!(bed.tend(&wanted).await[0].what, What::Issued { .. }));
    assert_ne!(bed.fingerprint("a.fr"), before);
    assert!(bed.places.certs.join("a.fr.crt").is_symlink());
    assert_eq!(std::fs::read_to_string(base.join("fullchain.pem")).unwrap(), bed.file("a.fr.crt"));
}

#[tokio::test]
async fn a_person_s_own_files_win() {
    let bed = Bed::new(&Kind::default());
    bed.tend(&[bed.wanted(&["a.fr"])]).await;
    let (crt, key) = (bed.folder.path().join("mine.crt"), bed.folder.path().join("mine.key"));
    std::fs::copy(bed.places.certs.join("a.fr.crt"), &crt).unwrap();
    std::fs::copy(bed.places.certs.join("a.fr.key"), &key).unwrap();
    std::fs::remove_file(&bed.places.memory).unwrap();
    let orders = bed.orders();
    assert!(matches!(bed.lying("a.fr"), Lying::Theirs(_)));
    let host = "a.fr".parse().unwrap();
    acme::import(&bed.places, &host, &crt, &key, bed.now).await.unwrap();
    let outcome = bed.tend_forced(&[bed.wanted(&["a.fr"])], &["a.fr"]).await.remove(0);
    assert_eq!((outcome.what, bed.orders()), (What::Kept, orders));
    let wrong = acme::import(&bed.places, &"b.fr".parse().unwrap(), &crt, &key, bed.now).await.unwrap_err();
    assert!(wrong.cause.unwrap().contains("it is for a.fr"));
    let ended = acme::import(&bed.places, &host, &crt, &key, bed.now + TimeDelta::days(4000)).await.unwrap_err();
    assert!(ended.cause.unwrap().contains("it ended on"));
}

/// Runs this test's own program again with a crash point, until it gets through.
#[test]
fn a_crash_anywhere_loses_nothing() {
    if std::env::var_os("SUMMONER_CRASH_BED").is_some() {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let bed = runtime.block_on(async { Bed::new(&Kind::default()) });
    let wanted = bed.wanted(&["a.fr"]);
    let mut last = (bed.orders(), 0);
    for point in 1..40 {
        let said = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "keep::one_round_for_a_crash", "--ignored", "--nocapture"])
            .env("SUMMONER_CRASH_AT", point.to_string())
            .env(
                "SUMMONER_CRASH_BED",
                serde_json::json!({"files": bed.layout.files, "directory": wanted.authorities[0].directory, "root": bed.root}).to_string(),
            )
            .output()
            .unwrap();
        last.1 = point;
        if said.status.success() {
            break;
        }
        assert!(String::from_utf8_lossy(&said.stderr).contains("crash point"), "{}", String::from_utf8_lossy(&said.stderr));
    }
    assert!((5..39).contains(&last.1), "{} points", last.1);
    assert!(matches!(bed.lying("a.fr"), Lying::Ours(_)));
    assert!(bed.orders() <= 3, "{} orders for one certificate", bed.orders());
    assert!(!bed.places.acme.join("a.fr.order").exists());
}

#[tokio::test]
#[ignore = "a process of its own, that is killed: a_crash_anywhere_loses_nothing starts it"]
async fn one_round_for_a_crash() {
    use summoner::config::certificates::{Authority, Certificates, Staging};
    use summoner::layout::Layout;
    let _ = rustls::crypto::ring::default_provider().install_default();
    let given: serde_json::Value = serde_json::from_str(&std::env::var("SUMMONER_CRASH_BED").unwrap()).unwrap();
    let text = |key: &str| given[key].as_str().unwrap().to_owned();
    let places = acme::Places::of(&Layout { files: text("files").into(), databases: text("files").into() });
    let authority = Authority { root: Some(text("root").into()), ..Authority::at(&text("directory")) };
    let settings = Certificates { authorities: vec![authority], staging: Staging::Never, preflight: false, ..Certificates::default() };
    let wanted = [Wanted::of(&settings, &["a.fr".to_owned()]).unwrap()];
    let none = [].into();
    let outcome = acme::tend(&acme::Tending::of(&places, &wanted, &none, chrono::Utc::now())).await.unwrap().remove(0);
    assert!(matches!(outcome.what, What::Issued { .. } | What::Kept), "{outcome:?}");
}

#[tokio::test]
async fn days_that_a_container_names() {
    let mut bed = Bed::new(&Kind::default());
    let mut wanted = [bed.wanted(&["a.fr"]), bed.wanted(&["b.fr"])];
    (wanted[0].renew_after_days, wanted[1].renew_after_days) = (Some(30), Some(89));
    bed.tend(&wanted).await;
    // The authority's own word goes before a number of days, and neither leaves less than an eighth of the life.
    for outcome in bed.tend(&wanted).await {
        let at = outcome.next_at.unwrap();
        assert!(at > bed.now + TimeDelta::days(20) && at < bed.now + TimeDelta::days(80), "{outcome:?}");
    }
    bed.later(TimeDelta::days(80));
    for outcome in bed.tend(&wanted).await {
        assert!(matches!(outcome.what, What::Issued { .. }), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_name_moves_between_shared_and_own() {
    let bed = Bed::new(&Kind::default());
    let shared = [bed.wanted(&["a.fr", "www.a.fr"])];
    bed.tend(&shared).await;
    assert!(bed.places.certs.join("www.a.fr.crt").is_symlink());
    // www.a.fr gets a container, and with it a certificate of its own.
    let single = [bed.wanted(&["a.fr"]), bed.wanted(&["www.a.fr"])];
    let outcomes = bed.tend(&single).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome.what, What::Kept | What::Issued { .. })), "{outcomes:?}");
    let Lying::Ours(held) = bed.lying("www.a.fr") else { panic!("{:?}", bed.lying("www.a.fr")) };
    assert!(held.names.contains(&"www.a.fr".to_owned()), "{held:?}");
    // And back.
    let outcomes = bed.tend(&shared).await;
    assert!(matches!(outcomes[0].what, What::Kept | What::Issued { .. }), "{outcomes:?}");
    let Lying::Ours(held) = bed.lying("www.a.fr") else { panic!("{:?}", bed.lying("www.a.fr")) };
    assert!(held.names.contains(&"www.a.fr".to_owned()), "{held:?}");
}
