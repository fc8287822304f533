use super::*;
use crate::doctor::State;

fn layout() -> (tempfile::TempDir, Layout) {
    let folder = tempfile::tempdir().unwrap();
    let layout = Layout { files: folder.path().join("data"), databases: folder.path().join("data/database") };
    (folder, layout)
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

#[test]
fn a_root_that_is_absent_is_made_only_when_asked() {
    let (_folder, layout) = layout();
    let look = |installed, fix| root("storage:files", "files", &layout.files, installed, fix);
    let check = look(0, false);
    assert_eq!((check.state, check.fixable), (State::Warning, true));
    assert_eq!(check.message, format!("{} is not there yet", layout.files.display()));
    assert!(!layout.files.exists());
    let check = look(0, true);
    assert_eq!((check.state, check.fixed, check.message), (State::Ok, true, format!("made {}", layout.files.display())));
    assert_eq!(look(0, true).message, format!("{} can be written", layout.files.display()));
}

#[test]
fn a_root_that_is_gone_under_containers_is_never_made() {
    let (_folder, layout) = layout();
    let check = root("storage:files", "files", &layout.files, 3, true);
    assert_eq!((check.state, check.fixed), (State::Failed, false));
    assert_eq!(check.message, format!("{} is gone, and 3 containers were made with it", layout.files.display()));
    assert!(!layout.files.exists());
}

#[test]
fn a_file_in_the_place_of_a_root_fails() {
    let (_folder, layout) = layout();
    fs::write(&layout.files, "").unwrap();
    let check = root("storage:files", "files", &layout.files, 0, true);
    assert_eq!(check.state, State::Failed);
    assert!(check.message.contains("is a file, and a folder is needed there"), "{}", check.message);
}

#[test]
fn open_secrets_are_found_and_closed_when_asked() {
    let (_folder, layout) = layout();
    assert_eq!(closed(&layout, false).state, State::Ok, "none yet");
    let secrets = layout.own().join(SECRETS).join("ghost-a.fr");
    fs::create_dir_all(&secrets).unwrap();
    fs::write(secrets.join("db_password"), "x").unwrap();
    let all = [layout.own(), layout.own().join(SECRETS), secrets.clone(), secrets.join("db_password")];
    for path in &all {
        fs::set_permissions(path, fs::Permissions::from_mode(if path.is_dir() { 0o755 } else { 0o644 })).unwrap();
    }
    std::os::unix::fs::symlink("/etc/passwd", secrets.join("link")).unwrap();
    let before = mode(Path::new("/etc/passwd"));
    let check = closed(&layout, false);
    assert_eq!((check.state, check.fixable), (State::Failed, true));
    assert_eq!(check.message, format!("{} is open to others (0755), and 3 more", layout.own().display()));
    let check = closed(&layout, true);
    assert_eq!((check.state, check.fixed), (State::Ok, true));
    assert!(check.message.starts_with(&format!("closed {} (was 0755), and 3 more", layout.own().display())), "{}", check.message);
    assert_eq!(all.map(|path| mode(&path)), [0o700, 0o700, 0o700, 0o600]);
    assert_eq!(mode(Path::new("/etc/passwd")), before, "a link is not followed");
    assert_eq!(closed(&layout, true).message, "closed to others");
}
