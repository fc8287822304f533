use std::fs;
use std::io::Cursor;
use std::path::Path;

use super::*;
use crate::archive::node::{Node, Time};
use crate::archive::{object, tar};

/// Objects in memory.
#[derive(Default)]
struct Memory(HashMap<ObjectId, Vec<u8>>);

impl Source for Memory {
    fn size(&self, object: &ObjectId) -> Option<u64> {
        self.0.get(object).map(|bytes| bytes.len() as u64)
    }

    fn read(&self, objects: &[ObjectId], take: &mut dyn FnMut(ObjectId, &[u8]) -> Result<()>) -> Result<()> {
        objects.iter().try_for_each(|id| take(*id, &self.0[id]))
    }
}

fn node(path: &str, kind: Kind) -> Node {
    let mode = if kind == Kind::Folder { 0o755 } else { 0o644 };
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    Node { kind, uid, gid, mtime: Time { seconds: 1_000_000_000, nanos: 5 }, ..Node::plain(path.as_bytes(), mode) }
}

/// Extracts such a tree, and says what is below the place afterwards and beside it.
fn extracted(nodes: &[(Node, Vec<u8>)]) -> (Result<Totals>, Vec<String>) {
    let mut memory = Memory::default();
    memory.0.insert(ObjectId::of(b"content"), b"content".to_vec());
    let mut writer = tar::Writer::new(Vec::new());
    for (node, content) in nodes {
        writer.append(node, content).unwrap();
    }
    let bytes = writer.finish().unwrap();
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("precious"), "untouched").unwrap();
    let place = folder.path().join("place");
    let open = || Ok(Box::new(Cursor::new(bytes.clone())) as Box<dyn Read + Send>);
    let result = extract(&open, &memory, &[("files".into(), place.clone())], &[]);
    assert_eq!(fs::read_to_string(folder.path().join("precious")).unwrap(), "untouched");
    let mut beside: Vec<String> = names(folder.path());
    beside.retain(|name| name != "precious");
    let inside = if place.is_dir() { names(&place) } else { beside };
    (result, inside)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn content() -> Vec<u8> {
    object::list(&[ObjectId::of(b"content")])
}

#[test]
fn a_plain_tree_is_extracted() {
    let (result, names) = extracted(&[
        (node("files", Kind::Folder), vec![]),
        (node("files/a", Kind::File), content()),
        (node("files/b", Kind::Link(b"files/a".to_vec())), vec![]),
        (node("files/c", Kind::Symlink(b"../precious".to_vec())), vec![]),
        (node("other", Kind::Folder), vec![]),
    ]);
    assert_eq!(result.unwrap(), Totals { files: 2, others: 2, bytes: 7 });
    assert_eq!(names, ["a", "b", "c"]);
}

/// Each is refused, and nothing was written by then.
#[test]
fn a_tampered_tree_is_refused_before_anything_is_written() {
    let root = || (node("files", Kind::Folder), Vec::new());
    let file = |path: &str| (node(path, Kind::File), content());
    let trees: Vec<Vec<(Node, Vec<u8>)>> = vec![
        vec![root(), file("files/../precious")],
        vec![root(), file("/precious")],
        vec![root(), file("files//a")],
        vec![root(), file("files/.")],
        vec![root(), file("files/a"), file("files/a")],
        vec![root(), file("files/b"), file("files/a")],
        vec![root(), (node("files/a", Kind::Symlink(b"..".to_vec())), vec![]), file("files/a/precious")],
        vec![(node("files", Kind::Symlink(b".".to_vec())), vec![]), file("files/precious")],
        vec![root(), file("files/missing/a")],
        vec![root(), (node("files/a", Kind::Link(b"../precious".to_vec())), vec![])],
        vec![root(), (node("files/a", Kind::Link(b"files/b".to_vec())), vec![]), file("files/b")],
        vec![root(), (node("files/a", Kind::File), b"no hash".to_vec())],
        vec![root(), (node("files/a", Kind::File), format!("{}\n", "g".repeat(64)).into_bytes())],
        vec![root(), (node("files/a", Kind::File), object::list(&[ObjectId::of(b"lost")]))],
        vec![(node("other", Kind::Folder), vec![])],
    ];
    let mut said = Vec::new();
    for tree in trees {
        let (result, names) = extracted(&tree);
        assert_eq!(names, Vec::<String>::new(), "{tree:?}");
        let error = result.unwrap_err();
        said.push(error.message.replace("the tree of the snapshot is refused: ", ""));
    }
    insta::assert_snapshot!(said.join("\n"), @"
    files/../precious is a name that leads elsewhere
    /precious is a name that leads elsewhere
    files//a is a name that leads elsewhere
    files/. is a name that leads elsewhere
    files/a stands twice or out of order
    files/a stands twice or out of order
    files/a/precious lies in something that is no folder
    files/precious lies in something that is no folder
    files/missing/a lies in something that is no folder
    files/a is another name of something elsewhere
    files/a is another name of a file that does not stand before it
    files/a does not hold the names of its objects
    files/a does not hold the names of its objects
    an object of files/a is in no pack of the repository: 76f75e6129fe30135bd44d80ab7cc46fdba81907758dc808f3e2517beef2b1e9
    the snapshot holds nothing at files
    ");
}
