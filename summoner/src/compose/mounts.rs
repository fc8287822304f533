//! `volumes` and `tmpfs` of a service: short and long forms into mounts, host paths made absolute.

use std::ops::Range;
use std::path::Path;

use super::model::{Mount, MountKind};
use super::rebase::is_path;
use super::values::{bytes, file_mode, flag, inert, refuse, word, word_of};
use super::work::{Work, absolute, clean};
use super::{refused, units};
use crate::yaml::{Fields, Node};

/// Reads the list of mounts; of two with one target the later counts, as in Compose, which does not say so.
pub(super) fn read(work: &mut Work, node: &Node, what: &str) -> Vec<Mount> {
    let mut all: Vec<Mount> = Vec::new();
    let Some(items) = node.as_list() else {
        work.faults.error(&node.span, format!("{what} must be a list"));
        return all;
    };
    for (at, item) in items.iter().enumerate() {
        let what = format!("{what}[{at}]");
        let mount = match item.as_str() {
            Some(text) => short(work, text, &item.span, &what),
            None => long(work, item, &what),
        };
        let Some(mut mount) = mount else { continue };
        mount.target = clean_target(&mount.target);
        match all.iter().position(|known| known.target == mount.target) {
            Some(known) => {
                work.faults.warning(
                    &item.span,
                    format!("{what}: something is mounted at {} already; this one counts", mount.target),
                    "remove one of them",
                );
                all[known] = mount;
            }
            None => all.push(mount),
        }
    }
    all
}

/// Reads the service key `tmpfs`: `/run`, `/tmp:size=64m,mode=1777`.
pub(super) fn tmpfs(work: &mut Work, node: &Node, what: &str) -> Vec<Mount> {
    let mut all = Vec::new();
    for text in node.texts(what, &mut work.faults).unwrap_or_default() {
        let (target, options) = text.split_once(':').unwrap_or((&text, ""));
        let mut mount = empty(MountKind::Tmpfs, target);
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option.split_once('=').unwrap_or((option, "")) {
                ("size", size) if units::bytes(size).is_some() => mount.tmpfs_size_bytes = units::bytes(size),
                ("mode", mode) if units::octal_mode(mode).is_some() => mount.tmpfs_mode = units::octal_mode(mode),
                ("ro", "") => mount.read_only = true,
                // What the engine does anyway.
                ("rw" | "noexec" | "nosuid" | "nodev", "") => {}
                _ => work.faults.error_with_help(
                    &node.span,
                    format!("{what}: the option `{option}` is not implemented"),
                    "size=, mode=, ro and rw are",
                ),
            }
        }
        if target.starts_with('/') {
            all.push(mount);
        } else {
            work.faults.error(&node.span, format!("{what}: `{target}` is no absolute path"));
        }
    }
    all
}

fn empty(kind: MountKind, target: &str) -> Mount {
    Mount {
        kind,
        source: None,
        target: target.to_owned(),
        read_only: false,
        create_host_path: false,
        nocopy: false,
        tmpfs_size_bytes: None,
        tmpfs_mode: None,
        propagation: None,
        selinux: None,
    }
}

/// `/data/` and `/data` are one place.
fn clean_target(target: &str) -> String {
    clean(Path::new(target)).display().to_string()
}

fn short(work: &mut Work, text: &str, span: &Range<usize>, what: &str) -> Option<Mount> {
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, options) = match parts[..] {
        [target] => (None, target, ""),
        [source, target] => (Some(source), target, ""),
        [source, target, options] => (Some(source), target, options),
        _ => {
            work.faults.error(span, format!("{what} `{text}` has too many colons: write source:target:options"));
            return None;
        }
    };
    if !target.starts_with('/') {
        work.faults.error(span, format!("{what} `{text}`: the target `{target}` is no absolute path"));
        return None;
    }
    let mut mount = match source {
        Some("") => {
            work.faults.error(span, format!("{what} `{text}`: the source is empty"));
            return None;
        }
        Some(source) if source.len() == 1 && !is_path(source) => {
            let help = "give the volume a name of two or more characters";
            work.faults.error_with_help(span, format!("{what} `{text}`: `{source}:` is a drive of Windows to Compose"), help);
            return None;
        }
        Some(source) if is_path(source) => {
            let source = host_path(work, source, span, what)?;
            Mount { source: Some(source), create_host_path: true, ..empty(MountKind::Bind, target) }
        }
        source => Mount { source: source.map(str::to_owned), ..empty(MountKind::Volume, target) },
    };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        match option {
            "rw" => {}
            "ro" => mount.read_only = true,
            "z" | "Z" if mount.kind == MountKind::Bind => mount.selinux = Some(option.to_owned()),
            "nocopy" | "volume-nocopy" if mount.kind == MountKind::Volume => mount.nocopy = true,
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" if mount.kind == MountKind::Bind => {
                mount.propagation = Some(option.to_owned());
            }
            "cached" | "delegated" | "consistent" => {
                work.faults.warning(span, format!("{what}: `{option}` has no effect"), "only Docker Desktop for macOS knew it");
            }
            _ => work.faults.error_with_help(
                span,
                format!("{what} `{text}`: the option `{option}` is not implemented"),
                "ro, rw, z, Z, nocopy and propagation are",
            ),
        }
    }
    Some(mount)
}

/// A path of the host as an absolute one.
fn host_path(work: &mut Work, source: &str, span: &Range<usize>, what: &str) -> Option<String> {
    let Some(inside) = source.strip_prefix('~') else {
        return Some(absolute(work.input.folder, source).display().to_string());
    };
    if !(inside.is_empty() || inside.starts_with('/')) {
        work.faults.error(span, format!("{what}: `{source}` is another person's home; write the path"));
        return None;
    }
    let Some(home) = work.input.home else {
        work.faults.error(span, format!("{what}: `{source}` needs HOME, which is not set"));
        return None;
    };
    Some(absolute(home, inside.trim_start_matches('/')).display().to_string())
}

fn long(work: &mut Work, node: &Node, what: &str) -> Option<Mount> {
    let mut fields = Fields::open(node, what, &mut work.faults)?;
    let faults = &mut work.faults;
    let kind = fields.require("type", faults).and_then(|node| word_of(node, &format!("{what}.type"), &["bind", "volume", "tmpfs"], faults));
    let kind = match kind.as_deref() {
        Some("bind") => MountKind::Bind,
        Some("tmpfs") => MountKind::Tmpfs,
        Some(_) => MountKind::Volume,
        None => return None,
    };
    let target = fields.require("target", faults).and_then(|node| node.text(&format!("{what}.target"), faults));
    let mut mount = empty(kind, target.as_deref().unwrap_or_default());
    if target.is_some() && !mount.target.starts_with('/') {
        faults.error(&node.span, format!("{what}.target `{}` is no absolute path", mount.target));
    }
    mount.read_only = flag(&mut fields, "read_only", faults).unwrap_or_default();
    inert(&mut fields, "consistency", "only Docker Desktop for macOS knew it", faults);
    let source = if kind == MountKind::Bind { fields.require("source", faults) } else { fields.take("source") };
    options(&mut mount, &mut fields, faults);
    fields.finish(faults);
    if let Some(node) = source {
        let text = node.text(&format!("{what}.source"), faults)?;
        mount.source = match kind {
            MountKind::Bind => Some(host_path(work, &text, &node.span, what)?),
            MountKind::Volume if text.is_empty() => None,
            MountKind::Volume => Some(text),
            MountKind::Tmpfs => {
                faults.error(&node.span, format!("{what}: a tmpfs has no source"));
                None
            }
        };
    }
    target.map(|_| mount)
}

/// The part named after the kind of mount; the parts of other kinds are refused as unknown.
fn options(mount: &mut Mount, fields: &mut Fields, faults: &mut crate::fault::Faults) {
    let (key, table): (_, refused::Table) = match mount.kind {
        MountKind::Bind => ("bind", refused::BIND),
        MountKind::Volume => ("volume", refused::VOLUME),
        MountKind::Tmpfs => ("tmpfs", &[]),
    };
    let path = fields.name(key);
    let Some(node) = fields.take(key) else { return };
    let Some(mut part) = Fields::open(node, path, faults) else { return };
    refuse(node, &mut part, table, faults);
    match mount.kind {
        MountKind::Bind => {
            mount.create_host_path = flag(&mut part, "create_host_path", faults).unwrap_or_default();
            let kinds = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];
            mount.propagation = word(&mut part, "propagation", &kinds, faults);
            mount.selinux = word(&mut part, "selinux", &["z", "Z"], faults);
        }
        MountKind::Volume => mount.nocopy = flag(&mut part, "nocopy", faults).unwrap_or_default(),
        MountKind::Tmpfs => {
            mount.tmpfs_size_bytes = bytes(&mut part, "size", faults);
            mount.tmpfs_mode = file_mode(&mut part, "mode", faults);
        }
    }
    part.finish(faults);
}
