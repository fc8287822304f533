//! The contract of a driver, as a test. Included by the library's own tests and by those with real servers.

use std::io::Read;

use super::{Backend, Hold};

pub fn text(backend: &dyn Backend, name: &str) -> Option<String> {
    let mut out = String::new();
    backend.get(name).unwrap()?.read_to_string(&mut out).unwrap();
    Some(out)
}

pub fn names(backend: &dyn Backend, prefix: &str) -> Vec<String> {
    backend.list(prefix).unwrap().into_iter().map(|blob| blob.name).collect()
}

/// What every driver keeps; those that need a server are asked by `tests/stores`.
pub fn suite(backend: &dyn Backend) {
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
}
