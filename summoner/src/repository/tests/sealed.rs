//! A repository that is encrypted: it opens with the key, says so without it, tells nothing to a stranger, and the way out
//! that is written down works.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::*;
use crate::backend::identity;
use crate::backend::sealed::Sealed;
use crate::config::encryption::fingerprint;

/// Names that must not be read from outside.
const TELLING: [&str; 3] = ["dismissal-of-jane-doe.odt", "Ärzteliste", "salaries/ledger"];

struct Keys {
    folder: tempfile::TempDir,
}

impl Keys {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// The file of a private key, and its recipient.
    fn make(&self, name: &str) -> (PathBuf, String) {
        let path = self.folder.path().join(name);
        let recipient = identity::make(&path, &[], DateTime::UNIX_EPOCH).unwrap();
        (path, recipient)
    }
}

fn on(bed: &Bed, recipients: &[&String], identity: Option<&Path>) -> Repository {
    let recipients: Vec<String> = recipients.iter().map(|recipient| (*recipient).clone()).collect();
    let sealed = Sealed::new(Arc::new(Local::new(&bed.path("backups"))), &recipients, identity).unwrap();
    Repository::on(Arc::new(sealed), &bed.path("spool")).unwrap()
}

/// A bed with telling names, an empty repository and a place for drafts.
fn bed() -> Bed {
    let bed = Bed::new();
    everything(&bed.path("files"));
    fs::create_dir(bed.path("files/salaries")).unwrap();
    for name in TELLING {
        fs::write(bed.path("files").join(name), format!("the secret text of {name}")).unwrap();
    }
    fs::create_dir(bed.path("spool")).unwrap();
    bed.repository();
    bed
}

/// Every blob of a snapshot.
fn blobs(repository: &Repository, manifest: &Manifest) -> Vec<String> {
    let folder = layout::artefact(&manifest.id.instance, &manifest.id.stamp(), "");
    let packs = repository.backend.list(&layout::packs(&manifest.id.instance)).unwrap().into_iter();
    let wanted = manifest.files.as_ref().unwrap().packs.clone();
    let mut all: Vec<String> = repository.backend.list(&folder).unwrap().into_iter().map(|blob| blob.name).collect();
    all.extend(packs.map(|blob| blob.name).filter(|name| wanted.iter().any(|id| name.contains(id))));
    all
}

#[test]
fn it_opens_with_the_key_and_with_no_other() {
    let (mut bed, keys) = (bed(), Keys::new());
    let ((file, recipient), (other, _)) = (keys.make("key"), keys.make("other"));
    let repository = on(&bed, &[&recipient], Some(&file));
    let before = view(&bed.path("files"));
    let id = bed.backup_to(&repository).unwrap().manifest.id;
    assert_eq!(repository.verify(&id, true, bed.now).unwrap().fault, None);
    let back = bed.path("back");
    repository.extract(&id, &[("files/app".into(), back.clone())], &[]).unwrap();
    assert_eq!(view(&back), before);
    for identity in [None, Some(other.as_path())] {
        let error = on(&bed, &[&recipient], identity).snapshot(&id).unwrap_err();
        assert_eq!((error.kind.exit_code(), error.to_string().contains(&fingerprint(&recipient))), (12, true), "{error}");
    }
    // A pack that was cut off is told, although its envelope opens.
    let pack = fs::read_dir(bed.path("backups/packs/ghost-a.fr")).unwrap().map(|entry| entry.unwrap().path());
    let pack = pack.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    let whole = fs::read(&pack).unwrap();
    fs::write(&pack, &whole[..whole.len() - 20]).unwrap();
    let fault = repository.verify(&id, false, bed.now).unwrap().fault.unwrap();
    assert!(fault.contains("the pack packs/ghost-a.fr/") && fault.contains("cannot be read"), "{fault}");
}

#[test]
fn what_lies_there_names_no_file() {
    let (mut bed, keys) = (bed(), Keys::new());
    let (file, recipient) = keys.make("key");
    let repository = on(&bed, &[&recipient], Some(&file));
    let id = bed.backup_to(&repository).unwrap().manifest.id;
    repository.verify(&id, false, bed.now).unwrap();
    let mut seen = 0;
    let mut plain = Vec::new();
    let mut folders = vec![bed.path("backups")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            seen += 1;
            let (name, bytes) = (path.display().to_string(), fs::read(&path).unwrap());
            if !name.ends_with(".age") {
                plain.push(path.strip_prefix(bed.path("backups")).unwrap().display().to_string());
            }
            for telling in TELLING.iter().flat_map(|name| name.split('/')).chain(["noise", "secret text"]) {
                let told = bytes.windows(telling.len()).any(|part| part == telling.as_bytes()) || name.contains(telling);
                assert!(!told, "{name} tells {telling}");
            }
        }
    }
    plain.sort();
    assert!(seen > 8, "{seen}");
    let locks = ["locks/ghost-a.fr.read", "locks/ghost-a.fr.write"];
    assert_eq!(plain, ["README.txt", "keys.json", locks[0], locks[1], "repository.json", "restore.sh"]);
}

/// A key that is no longer used opens what was written while it was, and a new snapshot needs both.
#[test]
fn after_a_new_key_each_snapshot_says_what_it_needs() {
    let (mut bed, keys) = (bed(), Keys::new());
    let ((one, first), (other, second), (stranger, _)) = (keys.make("1"), keys.make("2"), keys.make("3"));
    let both = keys.folder.path().join("both");
    fs::write(&both, [fs::read(&one).unwrap(), fs::read(&other).unwrap()].concat()).unwrap();
    let old = bed.backup_to(&on(&bed, &[&first], Some(&one))).unwrap().manifest;
    fs::write(bed.path("files/new"), "new").unwrap();
    let new = bed.backup_to(&on(&bed, &[&second], Some(&both))).unwrap().manifest;
    let names = |manifest: &Manifest| blobs(&on(&bed, &[], Some(&both)), manifest);
    let shut = |identity: &Path, manifest: &Manifest, read_data| {
        let (repository, mut opened) = (on(&bed, &[], Some(identity)), opening::Opened::default());
        let shut = repository.shut(&names(manifest), read_data, &mut opened).unwrap();
        assert_eq!(opened.refusal().is_some(), !shut.is_empty());
        shut
    };
    for read_data in [false, true] {
        assert_eq!(shut(&both, &old, read_data).len() + shut(&both, &new, read_data).len(), 0);
        assert_eq!(shut(&one, &old, read_data), Vec::<String>::new());
        assert_eq!(shut(&other, &old, read_data), names(&old));
        assert_eq!(shut(&stranger, &new, read_data), names(&new));
        // The new one relies on packs of the old one, and its dump is the same as the old one's.
        let left = shut(&other, &new, read_data);
        assert!(
            left.iter().any(|name| name.starts_with("packs/")) && !left.iter().any(|name| name.ends_with(layout::MANIFEST)),
            "{left:?}"
        );
        assert!(shut(&one, &new, read_data).iter().any(|name| name.ends_with(layout::MANIFEST)));
    }
    let names = names(&old);
    fs::remove_file(bed.path("backups").join(format!("{}.age", names[0]))).unwrap();
    assert!(on(&bed, &[], Some(&one)).shut(&names, false, &mut opening::Opened::default()).unwrap_err().message.contains("is missing"));
}

/// The lines between the fences after a mark in a text.
fn fenced(text: &str, mark: &str) -> Vec<String> {
    let after = text.split_once(mark).unwrap_or_else(|| panic!("no {mark}")).1;
    after
        .lines()
        .skip_while(|line| !line.starts_with("```"))
        .skip(1)
        .take_while(|line| !line.starts_with("```"))
        .map(str::to_owned)
        .collect()
}

/// The lines of README.txt and of the wiki are typed as they stand there, with a real file in the place of KEYFILE.
#[test]
fn the_way_out_works_as_it_is_written_down() {
    assert!(Command::new("age").arg("--version").output().is_ok(), "this test needs the stock program age");
    let (mut bed, keys) = (bed(), Keys::new());
    let ((file, recipient), (_, second)) = (keys.make("a key's file"), keys.make("second"));
    let repository = on(&bed, &[&second, &recipient], Some(&file));
    let before = view(&bed.path("files"));
    let id = bed.backup_to(&repository).unwrap().manifest.id;
    repository.verify(&id, false, bed.now).unwrap();
    let readme = fs::read_to_string(bed.path("backups/README.txt")).unwrap();
    let decrypt = readme.lines().map(str::trim).find(|line| line.starts_with("find . -name '*.age'")).unwrap().to_owned();
    assert_eq!(decrypt, crate::plan::card::decrypt(crate::plan::card::KEY_FILE), "the card says the same");
    let wiki = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../wiki/encryption.md")).unwrap();
    let lines = fenced(&wiki, "<!-- A test runs these lines. -->");
    assert_eq!(lines[0], decrypt);
    let copy = bed.path("copy");
    assert!(Command::new("cp").arg("-r").arg(bed.path("backups")).arg(&copy).status().unwrap().success());
    let run = |line: &str| {
        let target = bed.path("by-hand");
        let line = line.replace("KEYFILE", &format!("\"{}\"", file.display())).replace("INSTANCE/TIME", &id.to_string());
        let line = line.replace("FOLDER", target.to_str().unwrap());
        let output = Command::new("sh").arg("-c").arg(&line).current_dir(&copy).env("LC_ALL", "C").output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr))
    };
    let early = run(&lines[2]);
    assert!(early.0 == Some(1) && early.1.contains("is encrypted: decrypt everything first"), "{early:?}");
    let (wrong, _) = keys.make("wrong");
    let refused = run(&lines[0].replace("KEYFILE", wrong.to_str().unwrap()));
    assert!(refused.0 != Some(0) && copy.join(format!("snapshots/{id}/manifest.json.age")).exists(), "{refused:?}");
    assert_eq!(run(&lines[0]).0, Some(0));
    let listed = run(&lines[1]);
    assert!(listed.0 == Some(2) && listed.1.contains(&format!("{id}\n")), "{listed:?}");
    let restored = run(&lines[2]);
    assert_eq!(restored.0, Some(0), "{restored:?}");
    assert_eq!(view(&bed.path("by-hand/files/app")), before);
    assert_eq!(fs::read_to_string(bed.path("by-hand/mysql.sql")).unwrap(), "-- a dump\n");
    // What it made is nobody else's to read.
    let mode = fs::metadata(bed.path("by-hand/mysql.sql")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0);
}
