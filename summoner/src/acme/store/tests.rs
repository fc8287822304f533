use chrono::{DateTime, Utc};

use super::*;
use crate::acme::Authority;
use crate::config::certificates::Certificates;
use crate::layout::Layout;
use crate::plan::cert::memory::Signed;

struct Bed {
    _folder: tempfile::TempDir,
    places: Places,
    layout: Layout,
    now: DateTime<Utc>,
}

fn bed() -> Bed {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout { files: folder.path().into(), databases: folder.path().join("database") };
    Bed { places: Places::of(&layout), layout, _folder: folder, now: DateTime::from_timestamp(1_795_298_400, 0).unwrap() }
}

impl Bed {
    /// A pair whose authority is not called as ours are.
    fn foreign(&self, name: &str) -> Issued {
        let ca = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "Somebody");
        let root = params.self_signed(&ca).unwrap();
        let issuer = rcgen::Issuer::from_params(&params, &ca);
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
        Issued { chain: leaf.pem() + &root.pem(), key: key.serialize_pem() }
    }

    fn wanted(&self, names: &[&str]) -> Wanted {
        Wanted::of(&Certificates::default(), &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(&self.places.certs).unwrap();
        std::fs::write(self.places.certs.join(name), text).unwrap();
    }
}

#[test]
fn a_person_s_files_are_told_from_ours() {
    let (bed, mut memory) = (bed(), Memory::default());
    assert_eq!(look(&bed.places, "a.fr", &memory).unwrap(), Lying::Nothing);
    let pair = bed.foreign("a.fr");
    bed.write("a.fr.crt", &pair.chain);
    assert!(matches!(look(&bed.places, "a.fr", &memory).unwrap(), Lying::Broken(why) if why.contains("key is missing")));
    bed.write("a.fr.key", &bed.foreign("a.fr").key);
    assert!(matches!(look(&bed.places, "a.fr", &memory).unwrap(), Lying::Broken(why) if why.contains("another certificate")));
    bed.write("a.fr.key", &pair.key);
    let Lying::Theirs(observed) = look(&bed.places, "a.fr", &memory).unwrap() else { panic!() };
    let (leaf, rest) = split(&pair.chain);
    bed.write("a.fr.crt", &format!("{rest}{leaf}"));
    assert!(matches!(look(&bed.places, "a.fr", &memory).unwrap(), Lying::Broken(why) if why.contains("wrong order")));
    bed.write("a.fr.crt", &format!("{leaf}\n{}", split(&bed.foreign("x.fr").chain).0));
    assert!(matches!(look(&bed.places, "a.fr", &memory).unwrap(), Lying::Broken(why) if why.contains("wrong order")));
    bed.write("a.fr.crt", &pair.chain);
    let signed = Signed { directory: "d", fingerprint: &observed.fingerprint, names: &observed.names, renewal: false };
    memory.signed("a.fr", &signed, bed.now);
    assert!(matches!(look(&bed.places, "a.fr", &memory).unwrap(), Lying::Ours(_)));
    // The own authority's stands in.
    let host = "a.fr".parse().unwrap();
    let authority = Authority::open(&bed.layout, &host, bed.now).unwrap();
    crate::acme::renew(&bed.layout, &authority, &[host], bed.now).unwrap();
    assert!(matches!(look(&bed.places, "a.fr", &Memory::default()).unwrap(), Lying::Placeholder(_)));
}

#[test]
fn further_hosts_get_links_and_a_person_s_file_stays() {
    let (bed, memory) = (bed(), Memory::default());
    let mut wanted = bed.wanted(&["a.fr", "www.a.fr", "shop.a.fr"]);
    bed.write("shop.a.fr.crt", "mine");
    let pair = bed.foreign("a.fr");
    store(&bed.places, &wanted, &pair, &memory).unwrap();
    assert_eq!(std::fs::read_link(bed.places.certs.join("www.a.fr.crt")).unwrap(), Path::new("./a.fr.crt"));
    assert_eq!(std::fs::read_to_string(bed.places.certs.join("www.a.fr.key")).unwrap(), pair.key);
    assert_eq!(std::fs::read_to_string(bed.places.certs.join("shop.a.fr.crt")).unwrap(), "mine");
    // A host that had a link and now has a certificate of its own leaves the other's files alone.
    wanted = bed.wanted(&["www.a.fr"]);
    let own = bed.foreign("www.a.fr");
    store(&bed.places, &wanted, &own, &memory).unwrap();
    assert_eq!(std::fs::read_to_string(bed.places.certs.join("a.fr.key")).unwrap(), pair.key);
    assert_eq!(std::fs::read_to_string(bed.places.certs.join("www.a.fr.key")).unwrap(), own.key);
}

#[test]
fn a_companion_s_volume_is_written_through_its_links() {
    let (bed, memory) = (bed(), Memory::default());
    let base = bed.places.certs.join("a.fr");
    std::fs::create_dir_all(&base).unwrap();
    let old = bed.foreign("a.fr");
    for (name, text) in [("fullchain.pem", &old.chain), ("key.pem", &old.key), ("cert.pem", &old.chain), ("chain.pem", &old.chain)] {
        std::fs::write(base.join(name), text).unwrap();
    }
    for (link, target) in [("a.fr.crt", "./a.fr/fullchain.pem"), ("a.fr.key", "./a.fr/key.pem"), ("a.fr.chain.pem", "./a.fr/chain.pem")] {
        std::os::unix::fs::symlink(target, bed.places.certs.join(link)).unwrap();
    }
    assert!(matches!(look(&bed.places, "a.fr", &memory).unwrap(), Lying::Theirs(_)));
    std::fs::write(base.join(MARK), "").unwrap();
    assert!(matches!(look(&bed.places, "a.fr", &memory).unwrap(), Lying::Ours(_)));
    let new = bed.foreign("a.fr");
    store(&bed.places, &bed.wanted(&["a.fr"]), &new, &memory).unwrap();
    assert!(bed.places.certs.join("a.fr.crt").is_symlink());
    assert_eq!(std::fs::read_to_string(base.join("key.pem")).unwrap(), new.key);
    assert_eq!(std::fs::read_to_string(base.join("fullchain.pem")).unwrap(), new.chain);
    assert_eq!(std::fs::read_to_string(base.join("cert.pem")).unwrap().trim(), split(&new.chain).0.trim());
    // A link out of the folder is not followed.
    std::fs::remove_file(bed.places.certs.join("a.fr.key")).unwrap();
    std::fs::write(bed.layout.files.join("elsewhere.key"), "x").unwrap();
    std::os::unix::fs::symlink(bed.layout.files.join("elsewhere.key"), bed.places.certs.join("a.fr.key")).unwrap();
    let error = store(&bed.places, &bed.wanted(&["a.fr"]), &new, &memory).unwrap_err();
    assert!(error.message.contains("leads out of"), "{error}");
}
