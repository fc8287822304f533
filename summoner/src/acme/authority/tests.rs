use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::acme;
use crate::plan::cert::{self, Verdict};

struct Host {
    layout: Layout,
    domain: Domain,
    now: DateTime<Utc>,
    _folder: tempfile::TempDir,
}

fn host() -> Host {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout { files: folder.path().to_owned(), databases: folder.path().join("database") };
    Host { layout, domain: "virtualdonkey.fr".parse().unwrap(), now: DateTime::UNIX_EPOCH + TimeDelta::days(20_000), _folder: folder }
}

impl Host {
    fn open(&self) -> Result<Authority> {
        Authority::open(&self.layout, &self.domain, self.now)
    }

    fn names(names: &[&str]) -> Vec<Domain> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }
}

#[test]
fn it_is_made_once_and_its_certificates_are_kept() {
    let host = host();
    let authority = host.open().unwrap();
    assert_eq!(authority.name(), "Summoner CA virtualdonkey.fr");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&secret(&host.layout)), mode(&host.layout.authority())), (0o600, 0o644));

    let names = Host::names(&["blog.virtualdonkey.fr", "www.virtualdonkey.fr"]);
    let issued = acme::renew(&host.layout, &authority, &names, host.now).unwrap();
    assert_eq!((issued.issuer.as_str(), issued.issuer_key.as_str()), (authority.name(), authority.key_id()));
    assert_eq!(issued.not_after - issued.not_before, TimeDelta::days(LEAF_DAYS));
    assert_eq!(mode(&acme::files(&host.layout, &names[0]).1), 0o600);

    let again = host.open().unwrap();
    assert_eq!(again.key_id(), authority.key_id());
    let observed = acme::observe(&host.layout, &names[0]).unwrap();
    let verdict = cert::decide(&names, observed.as_ref(), Some(again.key_id()), host.now);
    assert!(matches!(verdict, Verdict::Keep { .. }), "{verdict:?}");
}

#[test]
fn a_crash_before_the_copy_for_people_is_healed() {
    let host = host();
    let authority = host.open().unwrap();
    std::fs::remove_file(host.layout.authority()).unwrap();
    assert_eq!(host.open().unwrap().key_id(), authority.key_id());
    assert_eq!(std::fs::read_to_string(host.layout.authority()).unwrap(), authority.pem);
}

#[test]
fn damage_is_an_error_and_never_a_new_authority() {
    let host = host();
    host.open().unwrap();
    let (secret, public) = (secret(&host.layout), host.layout.authority());
    let good = std::fs::read(&secret).unwrap();
    for bad in [&good[..good.len() / 2], &good[good.len() / 2..], b""] {
        disk::write_atomic(&secret, bad, 0o600).unwrap();
        assert!(host.open().err().unwrap().cause.unwrap().contains("damaged"));
        assert_eq!(std::fs::read(&secret).unwrap(), bad, "left for a person to look at");
    }
    std::fs::remove_file(&secret).unwrap();
    assert!(host.open().err().unwrap().cause.unwrap().contains("is gone"));
    disk::write_atomic(&secret, &good, 0o600).unwrap();
    disk::write_atomic(&public, b"another", 0o644).unwrap();
    assert!(host.open().err().unwrap().cause.unwrap().contains("not the one of the key"));
}

#[test]
fn a_pair_that_does_not_fit_is_not_usable() {
    let host = host();
    let authority = host.open().unwrap();
    let names = Host::names(&["a.virtualdonkey.fr"]);
    acme::renew(&host.layout, &authority, &names, host.now).unwrap();
    let other = authority.issue(&names, host.now).unwrap();
    disk::write_atomic(&acme::files(&host.layout, &names[0]).1, other.key.as_bytes(), 0o600).unwrap();
    assert_eq!(acme::observe(&host.layout, &names[0]).unwrap(), None);
}

#[test]
fn nothing_is_signed_outside_its_time_and_no_key_is_shown() {
    let host = host();
    let authority = host.open().unwrap();
    let names = Host::names(&["a.virtualdonkey.fr"]);
    assert!(authority.issue(&names, host.now + TimeDelta::days(AUTHORITY_DAYS)).is_err());
    let late = authority.issue(&names, host.now + TimeDelta::days(AUTHORITY_DAYS - 10)).unwrap();
    assert!(!format!("{late:?}").contains("PRIVATE"));
    let observed = acme::store(&host.layout, &names[0], &late).unwrap();
    assert_eq!(observed.not_after, authority.not_after, "no certificate outlives its authority");
}
