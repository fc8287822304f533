use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};

use super::*;
use crate::archive::{Capture, Root, Seen};
use crate::plan::snapshot::{Artefact, Consistency, Files, Purpose, Snapshot};

mod broken;
mod exit;
mod faults;
mod forgetting;
mod rounds;
mod sealed;

/// A repository with a folder to back up.
pub(crate) struct Bed {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) now: DateTime<Utc>,
    seen: Seen,
    compression: Compression,
}

impl Bed {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("files")).unwrap();
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        Self { folder, now, seen: Seen::default(), compression: Compression::Zstd }
    }

    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }

    pub(crate) fn repository(&self) -> Repository {
        Repository::create_or_open(&self.path("backups"), self.now).unwrap()
    }

    fn roots(&self) -> Vec<Root> {
        vec![Root { name: "files/app".into(), path: self.path("files"), leave_out: Vec::new() }]
    }

    pub(crate) fn backup(&mut self) -> Snapshot {
        let repository = self.repository();
        self.backup_to(&repository).unwrap()
    }

    fn backup_to(&mut self, repository: &Repository) -> Result<Snapshot> {
        self.now += chrono::TimeDelta::hours(1);
        let id = SnapshotId::new(instance(), self.now);
        let draft = repository.begin(id.clone(), self.compression)?;
        let mut packs = draft.packer()?;
        let mut capture = Capture::begin(self.roots(), self.seen.clone());
        capture.live(&mut packs, &|| Ok(()))?;
        capture.still(&draft.folder().join("staging"), &|| Ok(()))?;
        let mut sink = draft.create(TREE)?;
        let captured = capture.finish(&mut packs, &mut sink, &|| Ok(()))?;
        let tree = sink.finish()?;
        let packed = packs.finish()?;
        let mut sink = draft.create("mysql.sql")?;
        sink.write_all(b"-- a dump\n").unwrap();
        let dump = sink.finish()?;
        let artefact = |stored: Stored, content| {
            let Stored { name, bytes, bytes_raw, sha256 } = stored;
            Artefact { name, content, bytes, bytes_raw, sha256, database: None }
        };
        let manifest = Manifest {
            version: 1,
            id,
            kind: crate::plan::snapshot::Kind::Backup,
            consistency: Consistency::Application,
            purpose: Purpose::Asked,
            summoner: "0.1.0".into(),
            engine: "28".into(),
            minion: "ghost".into(),
            minion_version: None,
            ended_at: self.now,
            artefacts: vec![artefact(tree, Content::Tree), artefact(dump, Content::Dump)],
            files: Some(Files { files: captured.files, others: captured.others, bytes: captured.bytes, packs: packed.packs }),
            images: BTreeMap::new(),
            bytes_total: captured.bytes,
            bytes_added: 0,
            downtime_ms: None,
            downtime_predicted_ms: None,
            duration_ms: 0,
            notes: captured.notes,
        };
        let snapshot = draft.commit(manifest)?;
        self.seen = captured.seen;
        Ok(snapshot)
    }

    /// Restores into a new folder and says whether it is as `wanted` says.
    pub(crate) fn restores(&self, id: &SnapshotId, wanted: &[String]) {
        let into = tempfile::tempdir().unwrap();
        let place = into.path().join("back");
        self.repository().extract(id, &[("files/app".into(), place.clone())], &[]).unwrap();
        assert_eq!(view(&place), wanted);
    }
}

pub(crate) fn instance() -> InstanceId {
    "ghost-a.fr".parse().unwrap()
}

/// Everything about a folder that a restore brings back, a line an entry.
pub(crate) fn view(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut inodes = HashMap::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(path) = folders.pop() {
        let found = fs::symlink_metadata(&path).unwrap();
        let below = path.strip_prefix(root).unwrap().to_path_buf();
        let content = if found.is_file() {
            ObjectIdText(&fs::read(&path).unwrap()).to_string()
        } else if found.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().as_os_str().as_bytes().escape_ascii())
        } else {
            String::new()
        };
        let size = if found.is_file() { found.len() } else { 0 };
        let parent = fs::File::open(path.parent().unwrap()).unwrap();
        let name = std::ffi::CString::new(path.file_name().unwrap().as_bytes()).unwrap();
        let xattrs = archive::attributes::read(std::os::fd::AsFd::as_fd(&parent), &name).unwrap();
        let xattrs: Vec<String> = xattrs.iter().map(|(key, value)| format!("{}={}", key.escape_ascii(), value.escape_ascii())).collect();
        let (mode, owner, time) = (found.mode(), (found.uid(), found.gid()), (found.mtime(), found.mtime_nsec()));
        let below = below.as_os_str().as_bytes().escape_ascii().to_string();
        let line = format!("{below} {mode:o} {owner:?} {size} {time:?} {content} {xattrs:?}");
        lines.push((below.clone(), (found.ino(), found.is_file() && found.nlink() > 1), line));
        if found.is_dir() {
            folders.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    lines.sort();
    let named = lines.into_iter().map(|(below, (inode, several), line)| {
        let first = inodes.entry(inode).or_insert(below).clone();
        if several { format!("{line} = {first}") } else { line }
    });
    named.collect()
}

struct ObjectIdText<'a>(&'a [u8]);

impl std::fmt::Display for ObjectIdText<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        archive::ObjectId::of(self.0).fmt(out)
    }
}

/// One of everything that a file system holds.
fn everything(root: &Path) {
    use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps, XattrFlags, lsetxattr, mkfifoat, utimensat};
    let at = |name: &str| root.join(name);
    fs::create_dir_all(at("deep/er/est")).unwrap();
    fs::create_dir(at("empty")).unwrap();
    fs::write(at("text"), "some text\n").unwrap();
    fs::write(at("nothing"), "").unwrap();
    let noise: Vec<u8> = (0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    fs::write(at("deep/noise"), &noise).unwrap();
    let holes = fs::File::create(at("deep/er/holes")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&holes, b"in the middle", 5_000_000).unwrap();
    holes.set_len(9_000_001).unwrap();
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"not \xff text\nat all")), "x").unwrap();
    fs::write(at("deep").join("n".repeat(250)), "long").unwrap();
    let long = format!("{0}/{0}/{0}", "d".repeat(120));
    fs::create_dir_all(at(&long)).unwrap();
    fs::write(at(&long).join("file"), "deep down").unwrap();
    fs::hard_link(at("deep/noise"), at("another name")).unwrap();
    fs::hard_link(at("deep/noise"), at("zzz")).unwrap();
    symlink("deep/noise", at("link")).unwrap();
    symlink("/nowhere/".repeat(30), at("dangling")).unwrap();
    mkfifoat(CWD, at("fifo"), Mode::from_raw_mode(0o620)).unwrap();
    let mode = |name: &str, bits| fs::set_permissions(at(name), std::os::unix::fs::PermissionsExt::from_mode(bits)).unwrap();
    std::os::unix::fs::lchown(at("text"), Some(4_000_000_000), Some(70)).unwrap();
    std::os::unix::fs::lchown(at("link"), Some(33), Some(33)).unwrap();
    std::os::unix::fs::lchown(at("deep"), Some(999), Some(999)).unwrap();
    mode("text", 0o4751);
    mode("nothing", 0);
    mode("deep", 0o2770);
    mode("empty", 0o1777);
    lsetxattr(at("text"), "user.note", b"two\nlines \0\xff", XattrFlags::empty()).unwrap();
    lsetxattr(at("deep"), "user.a=b%", b"", XattrFlags::empty()).unwrap();
    // user::rwx user:33:rw- group::r-- mask::rw- other::---, as the kernel spells it.
    let acl = b"\x02\0\0\0\x01\0\x07\0\xff\xff\xff\xff\x02\0\x06\0\x21\0\0\0\x04\0\x04\0\xff\xff\xff\xff\x10\0\x06\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
    lsetxattr(at("deep/noise"), "system.posix_acl_access", acl, XattrFlags::empty()).unwrap();
    let times = |name: &str, tv_sec, tv_nsec| {
        let time = Timespec { tv_sec, tv_nsec };
        utimensat(CWD, at(name), &Timestamps { last_access: time, last_modification: time }, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    };
    times("text", -1, 999_999_999);
    times("nothing", 4_000_000_000, 1);
    times("link", 1_000_000_000, 5);
    times("deep", 1_000_000_000, 123_456_789);
}

/// Changes one bit in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).unwrap();
}
