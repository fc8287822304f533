//! Extended headers: what a `ustar` header has no room for (POSIX.1-2001, `pax`), and attributes as `star` began it.

use super::super::node::{Kind, Node, Time, Xattrs};
use super::header::{LONG_MAX, NAME, OWNER_MAX};

const XATTR: &[u8] = b"SCHILY.xattr.";

/// What an extended header said.
#[derive(Debug, Default)]
pub struct Records {
    pub path: Option<Vec<u8>>,
    pub link: Option<Vec<u8>>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub mtime: Option<Time>,
    pub xattrs: Xattrs,
}

/// The name as it stands in the archive: folders end with a slash.
pub fn full_name(node: &Node) -> Vec<u8> {
    let mut name = node.path.clone();
    if node.kind == Kind::Folder {
        name.push(b'/');
    }
    name
}

/// The records that an entry needs.
pub fn write(node: &Node) -> Vec<u8> {
    let mut out = Vec::new();
    let name = full_name(node);
    if name.len() > NAME {
        record(&mut out, b"path", &name);
    }
    if let Kind::Symlink(to) | Kind::Link(to) = &node.kind
        && to.len() > NAME
    {
        record(&mut out, b"linkpath", to);
    }
    for (key, owner) in [("uid", node.uid), ("gid", node.gid)] {
        if owner > OWNER_MAX {
            record(&mut out, key.as_bytes(), owner.to_string().as_bytes());
        }
    }
    if node.mtime.nanos > 0 || u64::try_from(node.mtime.seconds).is_ok_and(|seconds| seconds <= LONG_MAX).eq(&false) {
        record(&mut out, b"mtime", decimal(node.mtime).as_bytes());
    }
    for (name, value) in &node.xattrs {
        let mut key = XATTR.to_vec();
        // As GNU tar: the key ends at the first `=`.
        for byte in name {
            match byte {
                b'%' => key.extend(b"%25"),
                b'=' => key.extend(b"%3D"),
                other => key.push(*other),
            }
        }
        record(&mut out, &key, value);
    }
    out
}

/// `<length> <key>=<value>\n`, where the length counts itself.
fn record(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    out.extend(length.to_string().as_bytes());
    out.push(b' ');
    out.extend(key);
    out.push(b'=');
    out.extend(value);
    out.push(b'\n');
}

/// Takes an extended header apart.
pub fn read(mut bytes: &[u8]) -> Result<Records, String> {
    let mut records = Records::default();
    while !bytes.is_empty() {
        let blank = bytes.iter().position(|byte| *byte == b' ').ok_or("an extended header without lengths")?;
        let length = std::str::from_utf8(&bytes[..blank]).ok().and_then(|text| text.parse::<usize>().ok());
        let length =
            length.filter(|length| *length > blank + 1 && *length <= bytes.len()).ok_or("an extended header with a wrong length")?;
        let body = bytes[blank + 1..length].strip_suffix(b"\n").ok_or("an extended header whose record does not end")?;
        let equals = body.iter().position(|byte| *byte == b'=').ok_or("an extended header without keys")?;
        take(&mut records, &body[..equals], &body[equals + 1..])?;
        bytes = &bytes[length..];
    }
    Ok(records)
}

fn take(records: &mut Records, key: &[u8], value: &[u8]) -> Result<(), String> {
    let number = || std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or("an owner that is no number");
    match key {
        b"path" => records.path = Some(value.to_vec()),
        b"linkpath" => records.link = Some(value.to_vec()),
        b"uid" => records.uid = Some(number()?),
        b"gid" => records.gid = Some(number()?),
        b"mtime" => records.mtime = Some(std::str::from_utf8(value).ok().and_then(time).ok_or("a time that is none")?),
        _ => {
            let name = key.strip_prefix(XATTR).ok_or_else(|| format!("an unknown record `{}`", key.escape_ascii()))?;
            records.xattrs.push((decoded(name), value.to_vec()));
        }
    }
    Ok(())
}

fn decoded(name: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = name;
    while let Some((first, behind)) = rest.split_first() {
        (rest, _) = match rest {
            [b'%', b'2', b'5', behind @ ..] => (behind, out.push(b'%')),
            [b'%', b'3', b'D', behind @ ..] => (behind, out.push(b'=')),
            _ => (behind, out.push(*first)),
        };
    }
    out
}

/// `-1.500000000` is a second and a half before 1970, which is two seconds before it and half a second later.
fn decimal(time: Time) -> String {
    let Time { seconds, nanos } = time;
    if seconds < 0 && nanos > 0 {
        return format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanos);
    }
    if nanos == 0 { seconds.to_string() } else { format!("{seconds}.{nanos:09}") }
}

fn time(text: &str) -> Option<Time> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits: String = part.chars().chain(std::iter::repeat('0')).take(9).collect();
    let nanos: u32 = if digits.bytes().all(|c| c.is_ascii_digit()) { digits.parse().ok()? } else { return None };
    let seconds: i64 = whole.parse().ok()?;
    match (whole.starts_with('-'), nanos) {
        (true, 1..) => Some(Time { seconds: seconds.checked_sub(1)?, nanos: 1_000_000_000 - nanos }),
        _ => Some(Time { seconds, nanos }),
    }
}
