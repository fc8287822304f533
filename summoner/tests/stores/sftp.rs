//! The driver for SFTP in front of OpenSSH, whole and broken, and an account that may only add.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use summoner::backend::sftp::Sftp as Driver;
use summoner::backend::{self, Backend};
use summoner::config::repositories::{Place, RepositorySettings, Sftp};

use crate::bed::{APPEND_ONLY, FREE, MIB, Sshd, bytes, free_port, repository};
use crate::faults;
use crate::suite::{names, suite, text};

/// All files below a folder of this host, hidden ones too.
fn files(folder: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(files(&path)) } else { all.push(path.display().to_string()) }
    }
    all
}

#[test]
fn a_folder_of_another_host_keeps_the_contract() {
    let sshd = Sshd::new();
    let settings = sshd.settings(FREE);
    suite(&Driver::open(&settings, false));
    // Its folder need not be there, and is nobody else's.
    let deep = Sftp { path: "/store/deep/down".to_owned(), ..settings };
    let driver = backend::open(&repository("elsewhere", Place::Sftp(deep))).unwrap();
    assert_eq!(names(driver.as_ref(), ""), Vec::<String>::new());
    suite(driver.as_ref());
    let store = sshd.store(FREE).join("deep/down");
    assert_eq!(std::fs::metadata(&store).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(std::fs::metadata(store.join("ab")).unwrap().permissions().mode() & 0o777, 0o400);
    assert!(!files(&sshd.store(FREE)).iter().any(|name| name.contains(".new-")), "{:?}", files(&sshd.store(FREE)));

    // More than is under way at once, and a reader that is left in the middle.
    let receipt = driver.put("packs/large", &mut bytes(9 * MIB + 3)).unwrap();
    assert_eq!((receipt.bytes, driver.read_back("packs/large").unwrap()), (9 * MIB + 3, Some(receipt.clone())));
    let mut begun = driver.get("packs/large").unwrap().unwrap();
    begun.read_exact(&mut [0; 1000]).unwrap();
    drop(begun);
    // Several at a time.
    std::thread::scope(|scope| {
        for at in 0..6 {
            let (driver, receipt) = (&driver, &receipt);
            scope.spawn(move || {
                let name = format!("packs/{at}");
                assert_eq!(driver.put(&name, &mut bytes(9 * MIB + 3)).unwrap(), *receipt);
                assert_eq!(driver.read_back(&name).unwrap().as_ref(), Some(receipt));
            });
        }
    });
    assert_eq!(names(driver.as_ref(), "packs/").len(), 7);
}

/// What somebody does who has the key and no manners.
fn by_hand(sshd: &Sshd, account: &str, batch: &str) -> String {
    let Sftp { user, host, port, key_file, known_hosts, .. } = sshd.settings(account);
    let mut child = Command::new("sftp")
        .args(["-q", "-b", "-", "-o", "StrictHostKeyChecking=yes", "-o"])
        .arg(format!("UserKnownHostsFile={}", known_hosts.unwrap().display()))
        .arg("-i")
        .arg(key_file.unwrap())
        .args(["-P", &port.to_string(), &format!("{user}@{host}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(batch.as_bytes()).unwrap();
    let said = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr)
}

#[test]
fn an_account_that_may_only_add_adds_and_no_more() {
    let sshd = Sshd::new();
    let settings = RepositorySettings { append_only: true, ..repository("elsewhere", Place::Sftp(sshd.settings(APPEND_ONLY))) };
    let driver = backend::open(&settings).unwrap();
    let receipt = driver.put("snapshots/a/manifest.json", &mut b"first".as_slice()).unwrap();
    driver.put("packs/a/large", &mut bytes(3 * MIB)).unwrap();
    assert_eq!(names(driver.as_ref(), ""), ["packs/a/large", "snapshots/a/manifest.json"]);
    assert_eq!(driver.read_back("snapshots/a/manifest.json").unwrap(), Some(receipt.clone()));
    // The same again is no fault, another thing is one, and removing is refused before anybody is asked.
    assert_eq!(driver.put("snapshots/a/manifest.json", &mut b"first".as_slice()).unwrap(), receipt);
    let error = driver.put("snapshots/a/manifest.json", &mut b"other".as_slice()).unwrap_err();
    assert!(error.to_string().contains("cannot replace snapshots/a/manifest.json"), "{error}");
    assert!(driver.append_only() && driver.delete("packs/a/large").is_err());
    assert!(!files(&sshd.store(APPEND_ONLY)).iter().any(|name| name.contains(".new-")));

    // Whoever takes the key of this host: the other one refuses by itself.
    let burglar = Driver::open(&sshd.settings(APPEND_ONLY), false);
    let error = burglar.delete("packs/a/large").unwrap_err();
    assert!(error.to_string().contains("append_only: true"), "{error}");
    assert!(burglar.put("packs/a/large", &mut b"".as_slice()).is_err());
    let other = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    for deed in [
        "rm /store/packs/a/large\n".to_owned(),
        "rmdir /store/packs/a\n".to_owned(),
        "rename /store/snapshots/a/manifest.json /store/packs/a/large\n".to_owned(),
        "chmod 600 /store/packs/a/large\n".to_owned(),
        "symlink /etc/passwd /store/packs/b\n".to_owned(),
        format!("put {} /store/packs/a/large\n", other.display()),
        "get /etc/passwd /dev/null\n".to_owned(),
        "ls /../daemon/store\n".to_owned(),
    ] {
        let said = by_hand(&sshd, APPEND_ONLY, &deed);
        let refused = ["denied", "Failure", "not found", "No such file"].iter().any(|word| said.contains(word));
        assert!(refused, "{deed}{said}");
    }
    let stored = sshd.store(APPEND_ONLY).join("packs/a/large");
    assert_eq!(std::fs::read(stored).unwrap().len() as u64, 3 * MIB);
    assert_eq!(text(driver.as_ref(), "snapshots/a/manifest.json").as_deref(), Some("first"));
}

#[test]
fn two_hosts_that_keep_each_others_snapshots_see_only_their_own() {
    // The account of one host and that of the other on the same server, as two hosts would have one each.
    let sshd = Sshd::new();
    let (one, other) = (Driver::open(&sshd.settings(FREE), false), Driver::open(&sshd.settings(APPEND_ONLY), true));
    one.put("packs/one", &mut b"of one".as_slice()).unwrap();
    other.put("packs/other", &mut b"of the other".as_slice()).unwrap();
    assert_eq!((names(&one, ""), names(&other, "")), (vec!["packs/one".to_owned()], vec!["packs/other".to_owned()]));
    let outside = Driver::open(&Sftp { path: "/run".to_owned(), ..sshd.settings(FREE) }, false);
    assert_eq!(names(&outside, ""), Vec::<String>::new());
    assert!(outside.put("x", &mut b"x".as_slice()).is_err());
}

#[test]
fn a_line_that_breaks_at_any_megabyte_leaves_nothing_to_see() {
    let sshd = Sshd::new();
    for megabyte in 0..4 {
        // SSH's own words come first.
        let port = faults::cut(sshd.port, vec![megabyte * MIB + 20_000]);
        sshd.also_at(port);
        let driver = Driver::open(&Sftp { port, ..sshd.settings(FREE) }, false);
        let name = format!("packs/{megabyte}");
        let error = driver.put(&name, &mut bytes(4 * MIB)).unwrap_err();
        assert!(error.message.contains(&name) && error.message.contains(&port.to_string()), "{error}");
        assert!(!error.next.is_empty(), "{error}");
        assert_eq!(names(&driver, "packs/"), Vec::<String>::new(), "cut after {megabyte} MiB");
        let receipt = driver.put(&name, &mut bytes(4 * MIB)).unwrap();
        assert_eq!(driver.read_back(&name).unwrap(), Some(receipt));
        driver.delete(&name).unwrap();
    }
}

#[test]
fn whoever_is_not_known_is_not_trusted() {
    let mut sshd = Sshd::new();
    let settings = sshd.settings(FREE);
    let said = |settings: Sftp| Driver::open(&settings, false).list("").map(|_| ()).unwrap_err().to_string();
    let strange = said(Sftp { known_hosts: Some("/dev/null".into()), ..settings.clone() });
    assert!(strange.contains("Host key verification failed") || strange.contains("host key is known"), "{strange}");
    assert!(strange.contains("ssh-keyscan"), "{strange}");
    let refused = said(Sftp { key_file: Some(sshd.strange_key()), ..settings.clone() });
    assert!(refused.contains("Permission denied") && refused.contains("authorized_keys"), "{refused}");
    let closed = said(Sftp { port: free_port(), ..settings.clone() });
    assert!(closed.contains("Connection refused") || closed.contains("verification failed"), "{closed}");
    // A server that goes away between two calls is found to be gone, and named.
    let driver = Driver::open(&settings, false);
    driver.put("a", &mut b"a".as_slice()).unwrap();
    sshd.kill();
    let after = driver.put("b", &mut b"b".as_slice());
    assert!(after.is_ok() || after.unwrap_err().message.contains("cannot store b"));
}
