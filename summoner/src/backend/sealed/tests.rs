use std::fs;

use age::secrecy::ExposeSecret;

use super::*;
use crate::backend::local::Local;
use crate::backend::tests::suite;

/// A private key in a file, and its recipient.
fn key(folder: &Path, name: &str) -> (std::path::PathBuf, String) {
    let identity = Identity::generate();
    let path = folder.join(name);
    fs::write(&path, identity.to_string().expose_secret()).unwrap();
    (path, identity.to_public().to_string())
}

fn sealed(place: &Path, recipients: &[&String], identity: Option<&Path>) -> Sealed {
    let recipients: Vec<String> = recipients.iter().map(|recipient| (*recipient).clone()).collect();
    Sealed::new(Arc::new(Local::new(place)), &recipients, identity).unwrap()
}

fn text(backend: &Sealed, name: &str) -> Result<Option<String>> {
    let Some(mut bytes) = backend.get(name)? else { return Ok(None) };
    let mut text = String::new();
    bytes.read_to_string(&mut text).map_err(|error| Error::external("cannot read").cause(error))?;
    Ok(Some(text))
}

#[test]
fn it_keeps_the_contract() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (identity, recipient) = key(keys.path(), "key");
    suite(&sealed(folder.path(), &[&recipient], Some(&identity)));
    // Without recipients it is the place itself.
    let folder = tempfile::tempdir().unwrap();
    suite(&sealed(folder.path(), &[], None));
    assert!(!folder.path().join("keys.json").exists());
}

#[test]
fn a_few_names_stay_plain_and_nothing_else_is() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (_, recipient) = key(keys.path(), "key");
    let place = sealed(folder.path(), &[&recipient], None);
    let plain = ["README.txt", "repository.json", "restore.sh", "snapshots/a-b.fr/20261121T020000Z/parts.json"];
    let hidden = [
        "packs/a-b.fr/1.tar.zst",
        "snapshots/a-b.fr/20261121T020000Z/manifest.json",
        "snapshots/parts.json/x",
        "xparts.json",
        "a/keys.json",
    ];
    for name in plain.iter().chain(&hidden) {
        place.put(name, &mut b"what it says".as_slice()).unwrap();
    }
    for name in plain {
        assert_eq!(fs::read(folder.path().join(name)).unwrap(), b"what it says");
    }
    for name in hidden {
        let bytes = fs::read(folder.path().join(format!("{name}.age"))).unwrap();
        assert!(bytes.starts_with(b"age-encryption.org/v1\n") && !bytes.windows(4).any(|part| part == b"says"), "{name}");
    }
    let names: Vec<String> = place.list("").unwrap().into_iter().map(|blob| blob.name).collect();
    let mut all: Vec<&str> = plain.into_iter().chain(hidden).collect();
    all.sort_unstable();
    assert_eq!(names, all);
}

/// Each file of age ends with a mark: what was cut off anywhere is an error, and so is a bit that fell over.
#[test]
fn what_was_cut_off_or_changed_is_an_error() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (identity, recipient) = key(keys.path(), "key");
    let place = sealed(folder.path(), &[&recipient], Some(&identity));
    let long = vec![7_u8; 3 * CHUNK + 5];
    let receipt = place.put("a/b", &mut long.as_slice()).unwrap();
    let file = folder.path().join("a/b.age");
    let whole = fs::read(&file).unwrap();
    assert_eq!((receipt.bytes, receipt.sha256), (whole.len() as u64, hex::encode(sha2_of(&whole))));
    let read = || {
        let mut out = Vec::new();
        place.get("a/b").and_then(|bytes| {
            bytes.unwrap().read_to_end(&mut out).map_err(|error| Error::external("cannot read").cause(error))?;
            Ok(out.len())
        })
    };
    assert_eq!(read().unwrap(), long.len());
    let header = whole.len() - (long.len() + 16 + 4 * 16);
    for end in [0, 10, header - 3, header, header + 8, header + 16, header + 16 + CHUNK + 16, whole.len() - CHUNK, whole.len() - 1] {
        fs::write(&file, &whole[..end]).unwrap();
        assert!(read().is_err(), "cut at {end} of {}", whole.len());
    }
    for at in [0, 30, header - 1, header + 3, header + 40, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        fs::write(&file, &bytes).unwrap();
        assert!(read().is_err(), "changed at {at}");
    }
    let longer = [whole.as_slice(), b"x"].concat();
    fs::write(&file, longer).unwrap();
    assert!(read().is_err());
}

fn sha2_of(bytes: &[u8]) -> [u8; 32] {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).into()
}

/// Gives a long stream and knows how much of it was asked for at most before something came out.
struct Long {
    left: usize,
}

impl Read for Long {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(self.left);
        buffer[..count].fill(3);
        self.left -= count;
        Ok(count)
    }
}

#[test]
fn a_stream_is_encrypted_chunk_by_chunk() {
    let recipient = Identity::generate().to_public();
    let encryptor = Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient)).unwrap();
    let mut long = Long { left: 64 << 20 };
    let mut sealing = Sealing::begin(encryptor, &mut long).unwrap();
    let (mut most, mut total, mut buffer) = (0, 0, vec![0; 10_000]);
    loop {
        let read = sealing.read(&mut buffer).unwrap();
        most = most.max(sealing.made.0.borrow().capacity());
        total += read;
        if read == 0 {
            break;
        }
    }
    assert!(total > 64 << 20);
    assert!(most <= 4 * CHUNK, "{most} bytes waited at once");
}

#[test]
fn a_wrong_key_names_those_that_fit() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ((one, first), (other, second), (stranger, strange)) = (key(keys.path(), "1"), key(keys.path(), "2"), key(keys.path(), "3"));
    sealed(folder.path(), &[&first], None).put("a", &mut b"of the first".as_slice()).unwrap();
    sealed(folder.path(), &[&second], None).put("b", &mut b"of the second".as_slice()).unwrap();
    sealed(folder.path(), &[&second, &first], None).put("c", &mut b"of both".as_slice()).unwrap();
    let open = |identity: &Path, name: &str| text(&sealed(folder.path(), &[], Some(identity)), name);
    assert_eq!(open(&one, "a").unwrap().as_deref(), Some("of the first"));
    assert_eq!(open(&other, "b").unwrap().as_deref(), Some("of the second"));
    assert_eq!([open(&one, "c").unwrap(), open(&other, "c").unwrap()], [Some("of both".into()), Some("of both".into())]);
    for error in
        [open(&stranger, "a").unwrap_err(), open(&other, "a").unwrap_err(), text(&sealed(folder.path(), &[], None), "a").unwrap_err()]
    {
        assert_eq!(error.kind.exit_code(), 12);
        let said = error.to_string();
        assert!(said.contains(&fingerprint(&first)) && said.contains(&fingerprint(&second)), "{said}");
    }
    assert!(open(&stranger, "a").unwrap_err().to_string().contains(&fingerprint(&strange)));
    assert_eq!(open(&stranger, "none").unwrap(), None);
}

#[test]
fn keys_that_were_ever_used_stay_on_the_list() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ((_, first), (_, second)) = (key(keys.path(), "1"), key(keys.path(), "2"));
    sealed(folder.path(), &[&first], None).put("a", &mut b"".as_slice()).unwrap();
    let before = fs::read(folder.path().join("keys.json")).unwrap();
    sealed(folder.path(), &[&first], None).put("b", &mut b"".as_slice()).unwrap();
    assert_eq!(fs::read(folder.path().join("keys.json")).unwrap(), before, "written only when it changes");
    sealed(folder.path(), &[&second], None).put("c", &mut b"".as_slice()).unwrap();
    let known = Keys::of(&Local::new(folder.path())).unwrap();
    let shown: Vec<(&str, bool)> = known.keys.iter().map(|key| (key.recipient.as_str(), key.last_used_at.is_some())).collect();
    assert_eq!(shown, [(first.as_str(), true), (second.as_str(), false)]);
    // Who knows nothing of the configuration writes for those that the place names.
    sealed(folder.path(), &[], None).put("d", &mut b"".as_slice()).unwrap();
    assert!(folder.path().join("d.age").exists());
    // The first one is in use again.
    sealed(folder.path(), &[&second, &first], None).put("e", &mut b"".as_slice()).unwrap();
    assert_eq!(Keys::of(&Local::new(folder.path())).unwrap().present().count(), 2);
    fs::write(folder.path().join("keys.json"), "{\"version\": 9}").unwrap();
    assert!(Keys::of(&Local::new(folder.path())).unwrap_err().to_string().contains("a newer Summoner"));
}

#[test]
fn what_lay_there_in_the_clear_stays_readable_and_goes_with_the_rest() {
    let (folder, keys) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (identity, recipient) = key(keys.path(), "key");
    let inner = Local::new(folder.path());
    for name in ["a/old", "a/both"] {
        inner.put(name, &mut b"in the clear".as_slice()).unwrap();
    }
    let place = sealed(folder.path(), &[&recipient], Some(&identity));
    place.put("a/both", &mut b"encrypted".as_slice()).unwrap();
    assert_eq!(text(&place, "a/old").unwrap().as_deref(), Some("in the clear"));
    assert_eq!(text(&place, "a/both").unwrap().as_deref(), Some("encrypted"));
    assert_eq!(place.list("a/").unwrap().len(), 2);
    place.link("a/old", "b/old").unwrap();
    place.link("a/both", "b/both").unwrap();
    assert_eq!(text(&place, "b/old").unwrap().as_deref(), Some("in the clear"));
    assert_eq!(text(&place, "b/both").unwrap().as_deref(), Some("encrypted"));
    place.delete("a/both").unwrap();
    assert_eq!(inner.list("a/").unwrap().len(), 1);
}
