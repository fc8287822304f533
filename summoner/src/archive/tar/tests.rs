use std::io::Read;
use std::process::{Command, Stdio};

use super::*;
use crate::archive::node::Xattrs;

fn all() -> Vec<(Node, Vec<u8>)> {
    let node = |path: &[u8], kind: Kind| Node { kind, ..Node::plain(path, 0o640) };
    let long = [b"files/".as_slice(), &b"n".repeat(200)].concat();
    let time = |seconds, nanos| Time { seconds, nanos };
    let xattrs: Xattrs = vec![(b"user.a=%b".to_vec(), b"line\nand \0 and \xff".to_vec()), (b"user.empty".to_vec(), Vec::new())];
    vec![
        (Node { mode: 0o2755, uid: 3_000_000, gid: 4_294_967_294, ..node(b"files", Kind::Folder) }, Vec::new()),
        (Node { mtime: time(-2, 500_000_000), ..node(b"files/\xff\xfe", Kind::File) }, b"content".to_vec()),
        (Node { mtime: time(1_800_000_000, 1), xattrs, ..node(b"files/a", Kind::File) }, vec![7; 512]),
        (node(b"files/fifo", Kind::Fifo), Vec::new()),
        (node(b"files/link", Kind::Link(b"files/a".to_vec())), Vec::new()),
        (Node { mtime: time(-5, 0), ..node(&long, Kind::File) }, Vec::new()),
        (node(b"files/p", Kind::Link(long)), Vec::new()),
        (node(b"files/symlink", Kind::Symlink(b"/x".repeat(100))), Vec::new()),
    ]
}

fn written(nodes: &[(Node, Vec<u8>)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (node, content) in nodes {
        writer.append(node, content).unwrap();
    }
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> io::Result<Vec<(Node, Vec<u8>)>> {
    let mut reader = Reader::new(bytes);
    let mut found = Vec::new();
    while let Some((node, size)) = reader.next_entry()? {
        let mut content = Vec::new();
        reader.content().read_to_end(&mut content)?;
        assert_eq!(content.len() as u64, size);
        found.push((node, content));
    }
    Ok(found)
}

#[test]
fn what_is_written_is_read() {
    let nodes = all();
    assert_eq!(read(&written(&nodes)).unwrap(), nodes);
}

#[test]
fn gnu_tar_lists_it_without_a_word() {
    let mut tar = Command::new("tar");
    let tar = tar.args(["--list", "--verbose", "--full-time", "--utc", "--numeric-owner"]);
    let tar = tar.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = tar.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&written(&all())).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let text = String::from_utf8(output.stdout).unwrap().replace(&"n".repeat(200), "NAME").replace(&"/x".repeat(100), "TARGET");
    insta::assert_snapshot!(text, @r"
    drwxr-sr-x 3000000/4294967294 0 1970-01-01 00:00:00 files/
    -rw-r----- 0/0                7 1969-12-31 23:59:59.5 files/\377\376
    -rw-r----- 0/0              512 2027-01-15 08:00:00.000000001 files/a
    prw-r----- 0/0                0 1970-01-01 00:00:00           files/fifo
    hrw-r----- 0/0                0 1970-01-01 00:00:00           files/link link to files/a
    -rw-r----- 0/0                0 1969-12-31 23:59:55           files/NAME
    hrw-r----- 0/0                0 1970-01-01 00:00:00           files/p link to files/NAME
    lrw-r----- 0/0                0 1970-01-01 00:00:00           files/symlink -> TARGET
    ");
}

#[test]
fn an_archive_that_was_cut_or_changed_is_refused() {
    let bytes = written(&all());
    for length in (0..bytes.len() - 1024).step_by(97) {
        assert!(read(&bytes[..length]).is_err(), "cut at {length}");
    }
    let mut wrong = bytes.clone();
    wrong[3] ^= 1;
    assert!(read(&wrong).unwrap_err().to_string().contains("checksum"));
    let behind = [bytes.as_slice(), b"x"].concat();
    assert!(read(&behind).unwrap_err().to_string().contains("behind its end"));
}

#[test]
fn a_device_node_and_unknown_kinds_are_refused() {
    for (kind, words) in [(b'3', "is a device node"), (b'4', "is a device node"), (b'g', "unknown kind"), (b'S', "unknown kind")] {
        let header = Header { kind, ..Header::of(&Node::plain(b"files/x", 0o600), 0) };
        let bytes = [header.encode().as_slice(), &[0; 1024]].concat();
        assert!(read(&bytes).unwrap_err().to_string().contains(words), "{}", kind.escape_ascii());
    }
}
