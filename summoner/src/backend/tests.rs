use super::faulty::{Fault, Faulty};
use super::local::Local;
use super::*;

mod suite;

fn names(backend: &dyn Backend, prefix: &str) -> Vec<String> {
    backend.list(prefix).unwrap().into_iter().map(|blob| blob.name).collect()
}

/// What every driver keeps.
pub(super) fn suite(backend: &dyn Backend) {
    assert_eq!((text(backend, "a/b"), names(backend, "a/")), (None, vec![]));
    backend.put("a/b", &mut b"first".as_slice()).unwrap();
    backend.put("a/b", &mut b"second".as_slice()).unwrap();
    backend.put("a/c/d", &mut b"".as_slice()).unwrap();
    backend.put("ab", &mut b"beside".as_slice()).unwrap();
    assert_eq!(text(backend, "a/b").as_deref(), Some("second"));
    assert_eq!(names(backend, "a/"), ["a/b", "a/c/d"]);
    // Sizes are those of what lies there, and so is a receipt.
    for blob in backend.list("a/").unwrap() {
        assert_eq!(backend.read_back(&blob.name).unwrap().map(|receipt| receipt.bytes), Some(blob.bytes), "{}", blob.name);
    }
    let receipt = backend.put("a/b", &mut b"second".as_slice()).unwrap();
    assert_eq!((backend.read_back("a/b").unwrap(), backend.read_back("a/none").unwrap()), (Some(receipt), None));
    backend.link("a/b", "x/y").unwrap();
    assert!(backend.link("none", "x/z").is_err());
    backend.delete("a/b").unwrap();
    assert_eq!((text(backend, "x/y").as_deref(), names(backend, "")), (Some("second"), vec!["a/c/d".into(), "ab".into(), "x/y".into()]));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "taken").unwrap();
    backend.take("t/f", &file).unwrap();
    assert_eq!((text(backend, "t/f").as_deref(), file.exists()), (Some("taken"), false));
    // A source that breaks leaves what was there.
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("broken"))
        }
    assert!(backend.put("t/f", &mut b"half".as_slice().chain(Broken)).is_err());
    assert_eq!((text(backend, "t/f").as_deref(), names(backend, "t/")), (Some("taken"), vec!["t/f".into()]));
    let first = backend.lock("locks/a", Hold::Shared).unwrap().unwrap();
    let second = backend.lock("locks/a", Hold::Shared).unwrap().unwrap();
    assert!(backend.lock("locks/a", Hold::Alone).unwrap().is_none());
    drop((first, second));
    let alone = backend.lock("locks/a", Hold::Alone).unwrap().unwrap();
    assert!(backend.lock("locks/a", Hold::Shared).unwrap().is_none());
    assert!(backend.lock("locks/b", Hold::Alone).unwrap().is_some());
    drop(alone);
use suite::{suite, text};

#[test]
fn a_folder_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let backend = Local::new(folder.path());
    suite(&backend);
    backend.put("a/b", &mut b"second".as_slice()).unwrap();
    assert_eq!(backend.list("a/").unwrap(), [Blob { name: "a/b".into(), bytes: 6 }, Blob { name: "a/c/d".into(), bytes: 0 }]);
}

#[test]
fn the_faulty_one_keeps_it_until_it_fails() {
    let folder = tempfile::tempdir().unwrap();
    suite(&Faulty::new(Local::new(folder.path()), u64::MAX, Fault::Full));
}

#[test]
fn it_fails_as_it_was_told() {
    for (fault, left) in [(Fault::Full, None), (Fault::Short, None), (Fault::After, Some("a long text".to_owned()))] {
        let folder = tempfile::tempdir().unwrap();
        let backend = Faulty::new(Local::new(folder.path()), 1, fault);
        backend.put("a", &mut b"a".as_slice()).unwrap();
        assert!(backend.put("b", &mut b"a long text".as_slice()).is_err());
        assert_eq!(text(&backend, "b"), left, "{fault:?}");
        assert!(backend.put("c", &mut b"another long text".as_slice()).is_err());
    }
}

#[test]
fn a_place_is_opened_as_its_settings_say() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("attic");
    let place = |path: &std::path::Path| RepositorySettings::at(Place::Folder(path.to_path_buf()));
    let error = open(&place(&path)).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("mkdir -p") && !path.exists(), "{error}");
    std::fs::create_dir(&path).unwrap();
    let free = open(&place(&path)).unwrap();
    suite(free.as_ref());
    assert!(!free.append_only());
    let kept = open(&RepositorySettings { append_only: true, bytes_per_second: Some(1 << 30), ..place(&path) }).unwrap();
    kept.put("a/b", &mut b"stays".as_slice()).unwrap();
    let error = kept.delete("a/b").unwrap_err();
    assert!(kept.append_only() && error.message.contains("stays"), "{error}");
    assert_eq!(text(kept.as_ref(), "a/b").as_deref(), Some("stays"));
}
