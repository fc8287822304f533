use super::faulty::{Fault, Faulty};
use super::local::Local;
use super::*;

mod suite;

pub(super) use suite::suite;
use suite::text;

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
    let place = |path: &Path| RepositorySettings::at(Place::Folder(path.to_path_buf()));
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
