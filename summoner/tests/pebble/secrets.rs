//! Keys and tokens: who may read them on disk, and that nothing else ever holds them.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use summoner::acme::What;
use summoner::config::certificates::{Eab, EabKey};
use summoner::vhost::Secret;

use crate::bed::{Bed, EAB, Kind};

/// The log, kept.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn files(folder: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect()
}

/// What no log, error or debug form may hold, in any of its lines.
fn secrets(bed: &Bed) -> Vec<String> {
    let mut found = vec![EAB.1.to_owned()];
    for path in files(&bed.places.acme).iter().filter(|path| path.extension().is_some_and(|ending| ending == "json")) {
        let stored: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        found.push(stored["credentials"]["key_pkcs8"].as_str().expect("the account's key").to_owned());
    }
    let keys = files(&bed.places.certs).into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "key"));
    for path in keys {
        found.extend(std::fs::read_to_string(path).unwrap().lines().filter(|line| !line.starts_with('-')).map(str::to_owned));
    }
    assert!(found.len() >= 4 && found.iter().all(|secret| secret.len() > 16), "an account, a key and the binding: {}", found.len());
    found
}

#[tokio::test]
async fn only_root_reads_them_and_nothing_tells_them() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false).with_writer(move || writer.clone());
    let _listening = tracing::subscriber::set_default(subscriber.finish());
    tracing::trace!("listening");

    let bed = Bed::new(&Kind { eab: true, ..Kind::default() });
    bed.tell("add-a", serde_json::json!({"host": "b.fr", "addresses": ["127.0.0.9"]})).await;
    let mut wanted = vec![bed.wanted(&["a.fr"]), bed.wanted(&["b.fr"])];
    let bound = Eab { kid: EAB.0.into(), key: EabKey::Text(Secret(EAB.1.to_owned().into())) };
    for wanted in &mut wanted {
        wanted.authorities[0].eab = Some(bound.clone());
    }
    // Somebody opened the folder of the accounts, or a backup did.
    std::fs::create_dir_all(&bed.places.acme).unwrap();
    std::fs::set_permissions(&bed.places.acme, std::fs::Permissions::from_mode(0o755)).unwrap();
    let outcomes = bed.tend(&wanted).await;
    assert!(matches!(outcomes[0].what, What::Issued { .. }), "{outcomes:?}");
    assert_eq!(outcomes[1].what, What::Failed);

    assert_eq!((mode(&bed.places.acme), mode(&bed.places.certs), mode(&bed.places.memory)), (0o700, 0o700, 0o600));
    let kept = files(&bed.places.acme);
    assert!(kept.len() >= 2, "an account, and the order of b.fr with its key: {kept:?}");
    for path in kept {
        assert_eq!(mode(&path), 0o600, "{path:?}");
    }
    assert_eq!((mode(&bed.places.certs.join("a.fr.key")), mode(&bed.places.certs.join("a.fr.crt"))), (0o600, 0o644));

    // A damaged account is told by its path, not by what it holds.
    let secrets = secrets(&bed);
    let account = files(&bed.places.acme).into_iter().find(|path| path.extension().is_some_and(|ending| ending == "json")).unwrap();
    let text = std::fs::read_to_string(&account).unwrap();
    std::fs::write(&account, text.trim_end_matches('}')).unwrap();
    let damaged = bed.tend_forced(&wanted, &["a.fr"]).await;
    assert!(damaged[0].error.as_ref().unwrap().said.contains("is damaged"), "{damaged:?}");

    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("listening"), "the log was listened to");
    let memory = std::fs::read_to_string(&bed.places.memory).unwrap();
    let told = format!("{log}\n{memory}\n{wanted:?}\n{outcomes:?}\n{damaged:?}\n{:?}", bed.settings());
    assert!(told.contains(&wanted[0].authorities[0].directory) && told.contains("b.fr"));
    for secret in &secrets {
        assert!(!told.contains(secret.as_str()), "{} characters of a secret are told", secret.len());
    }
}
