//! What goes wrong: each failure is told plainly, kept in mind, and asks nobody in vain.

use chrono::TimeDelta;
use summoner::acme::{Outcome, What};
use summoner::plan::cert::Blame;

use crate::bed::{Bed, Kind, Refusing};

fn failure(outcome: &Outcome) -> (Blame, &str) {
    let error = outcome.error.as_ref().unwrap_or_else(|| panic!("{outcome:?}"));
    (error.blame, &error.said)
}

#[tokio::test]
async fn a_name_that_leads_elsewhere_is_left_alone_for_a_while() {
    let mut bed = Bed::new(&Kind::default());
    bed.tell("add-a", serde_json::json!({"host": "a.fr", "addresses": ["127.0.0.9"]})).await;
    let wanted = [bed.wanted(&["a.fr"]), bed.wanted(&["b.fr"])];
    let outcomes = bed.tend(&wanted).await;
    assert_eq!(outcomes[0].what, What::Failed);
    let (blame, said) = failure(&outcomes[0]);
    assert_eq!(blame, Blame::Name);
    assert!(said.contains("could not connect to port 80"), "{said}");
    assert!(matches!(outcomes[1].what, What::Issued { .. }), "one name's trouble is no other's: {outcomes:?}");
    assert_eq!(bed.answers(), 0);
    let orders = bed.orders();
    let again = bed.tend(&wanted).await;
    assert_eq!((&again[0].what, bed.orders()), (&What::Waiting, orders), "nobody is asked before {:?}", again[0].next_at);
    // Mended, and the time has come.
    bed.tell("clear-a", serde_json::json!({"host": "a.fr"})).await;
    bed.later(TimeDelta::minutes(3));
    assert!(matches!(bed.tend(&wanted).await[0].what, What::Issued { .. }));
    assert_eq!(bed.memory().certificates["a.fr"].last_error, None);
}

#[tokio::test]
async fn a_failing_order_keeps_the_certificate_that_works() {
    let bed = Bed::new(&Kind::default());
    bed.tend(&[bed.wanted(&["a.fr"])]).await;
    let before = (bed.fingerprint("a.fr"), bed.file("a.fr.key"));
    let outcome = bed.tend(&[bed.wanted(&["a.fr", "x.blocked.test"])]).await.remove(0);
    assert_eq!(outcome.what, What::Failed);
    assert!(failure(&outcome).1.contains("does not sign for such a name"), "{outcome:?}");
    assert_eq!((bed.fingerprint("a.fr"), bed.file("a.fr.key")), before);
}

#[tokio::test]
async fn the_second_authority_steps_in() {
    let mut bed = Bed::new(&Kind::default());
    let second = bed.add(&Kind::default());
    let wanted = [bed.wanted(&["a.fr"])];
    bed.kill(0);
    let outcome = bed.tend(&wanted).await.remove(0);
    assert_eq!(outcome.what, What::Issued { authority: second.name.clone() }, "{outcome:?}");
    bed.kill(1);
    let outcome = bed.tend(&[bed.wanted(&["b.fr"])]).await.remove(0);
    assert_eq!(failure(&outcome).0, Blame::Authority);
    assert!(failure(&outcome).1.contains("cannot be reached"), "{outcome:?}");
    assert!(outcome.next_at.unwrap() > bed.now);
}

#[tokio::test]
async fn an_authority_that_wants_peace_gets_it() {
    let mut bed = Bed::new(&Kind::default());
    let refusing = Refusing::new(&bed, 7200);
    let mut wanted = bed.wanted(&["a.fr"]);
    let pebble = std::mem::replace(&mut wanted.authorities, vec![refusing.authority.clone()]);
    let wanted = [wanted];
    let outcome = bed.tend(&wanted).await.remove(0);
    assert_eq!((&outcome.what, failure(&outcome).0), (&What::Failed, Blame::Limit));
    assert_eq!(outcome.next_at, Some(bed.now + TimeDelta::hours(2)));
    let asked = refusing.asked.lock().unwrap().len();
    bed.later(TimeDelta::minutes(119));
    // Not even a person hurries it, and another process knows as much.
    let outcome = bed.tend_forced(&wanted, &["a.fr"]).await.remove(0);
    assert_eq!((outcome.what, refusing.asked.lock().unwrap().len()), (What::Waiting, asked));
    assert!(outcome.reason.contains("wants to be left alone"), "{}", outcome.reason);
    bed.later(TimeDelta::minutes(2));
    bed.tend(&wanted).await;
    assert!(refusing.asked.lock().unwrap().len() > asked);
    // A second one behind it is asked at once.
    let mut wanted = wanted;
    wanted[0].authorities.extend(pebble);
    assert!(matches!(bed.tend(&wanted).await[0].what, What::Issued { .. }));
}

#[tokio::test]
async fn an_authority_that_forgot_the_account_gets_a_new_one() {
    let mut bed = Bed::new(&Kind::default());
    bed.tend(&[bed.wanted(&["a.fr"])]).await;
    let account =
        std::fs::read_dir(&bed.places.acme).unwrap().flatten().find(|file| file.path().extension().is_some_and(|end| end == "json"));
    let path = account.unwrap().path();
    // The same file for an authority that knows nothing of it.
    let text = std::fs::read_to_string(&path).unwrap();
    let old = bed.settings().authorities[0].directory.clone();
    let new = bed.add(&Kind::default());
    let mut wanted = bed.wanted(&["b.fr"]);
    wanted.authorities = vec![new.clone()];
    let digest = |directory: &str| {
        use sha2::Digest;
        hex::encode(&sha2::Sha256::digest(format!("{directory}\nsomeone@a.fr"))[..6])
    };
    let name = path.file_name().unwrap().to_string_lossy().replace(&digest(&old), &digest(&new.directory));
    let name = name.replace(&bed.settings().authorities[0].name, &new.name);
    let host = |directory: &str| directory.trim_end_matches("/dir").to_owned();
    std::fs::write(bed.places.acme.join(&name), text.replace(&host(&old), &host(&new.directory))).unwrap();
    let outcome = bed.tend(&[wanted]).await.remove(0);
    assert!(matches!(outcome.what, What::Issued { .. }), "{outcome:?}");
}

#[tokio::test]
async fn what_would_fail_for_certain_is_found_out_first() {
    let bed = Bed::new(&Kind::default());
    let seen = |name: &'static str| summoner::plan::cert::Wanted { preflight: true, ..bed.wanted(&[name]) };
    bed.tell("add-caa", serde_json::json!({"host": "caa.fr", "policies": [{"tag": "issue", "value": "other.example"}]})).await;
    bed.tell("clear-a", serde_json::json!({"host": "a.fr"})).await;
    let outcome = bed.tend(&[seen("caa.fr")]).await.remove(0);
    assert_eq!((&outcome.what, failure(&outcome).0), (&What::Failed, Blame::Name));
    assert!(failure(&outcome).1.contains("CAA"), "{outcome:?}");
    assert_eq!(outcome.error.as_ref().unwrap().authority, None);
    bed.tell("add-a", serde_json::json!({"host": "elsewhere.fr", "addresses": ["127.0.0.9"]})).await;
    let outcome = bed.tend(&[seen("elsewhere.fr")]).await.remove(0);
    assert!(!matches!(outcome.what, What::Issued { .. }), "{outcome:?}");
    assert_eq!(bed.orders(), usize::from(outcome.error.as_ref().unwrap().authority.is_some()), "CAA asked nobody: {outcome:?}");
    assert!(matches!(bed.tend(&[seen("a.fr")]).await[0].what, What::Issued { .. }), "what is right goes on");
}
