//! `versions`, `needs` and `webhooks`: what the machine must have, and how the application moves on.

use std::collections::BTreeMap;

use regex::Regex;

use super::actions::{Exec, exec};
use super::reader::Reader;
use super::route::size;
use crate::yaml::{Fields, Node};

/// What the machine must have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Memory in use by one small team.
    pub memory_bytes: u64,
    /// Disk for images and first data.
    pub disk_bytes: u64,
    /// CPU features such as `avx`.
    pub cpu: Vec<String>,
    /// Architectures that have images, `amd64`, `arm64`; empty is any.
    pub architectures: Vec<String>,
    /// Kernel settings and their least values.
    pub sysctls: BTreeMap<String, u64>,
}

/// Which versions there are and how to step between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions {
    /// Regular expression that the tags of stable versions match, whole.
    pub tags: String,
    /// How far an update may go in one step.
    pub step: VersionStep,
    /// Versions at which an upgrade must stop, in order.
    pub stops: Vec<String>,
    /// Which version may read the data of a snapshot.
    pub restore: RestorePolicy,
    /// Services whose images bear the same tag and move together; `app` is always among them.
    pub services: Vec<String>,
    /// A command that succeeds once an upgrade's background work is over; the next step waits for it.
    pub settled: Option<Exec>,
}

/// How far an update may go in one step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VersionStep {
    /// Within the first number.
    #[default]
    Minor,
    /// One first number further.
    Major,
    /// Any newer version.
    Any,
}

/// Which version may read the data of a snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RestorePolicy {
    /// The same only.
    #[default]
    Exact,
    /// The same first number, not older.
    SameMajor,
    /// Any that is not older.
    Newer,
}

/// Which webhooks a minion speaks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Webhooks {
    /// Formats that it sends: `slack`, `json` …
    pub sends: Vec<String>,
    /// Formats that it takes.
    pub takes: Vec<String>,
}

impl Versions {
    /// Whether a tag is a stable version of this application.
    #[must_use]
    pub fn matches(&self, tag: &str) -> bool {
        whole(&self.tags).is_ok_and(|pattern| pattern.is_match(tag))
    }
}

fn whole(pattern: &str) -> Result<Regex, regex::Error> {
    Regex::new(&format!("^(?:{pattern})$"))
}

pub(super) fn needs(node: &Node, reader: &mut Reader) -> Option<Needs> {
    let mut fields = Fields::open(node, "needs", &mut reader.faults)?;
    let memory_bytes = size(&mut fields, "memory", reader).unwrap_or_default();
    let disk_bytes = size(&mut fields, "disk", reader).unwrap_or_default();
    let cpu = fields.texts("cpu", &mut reader.faults);
    let architectures = fields.texts("architectures", &mut reader.faults);
    let mut sysctls = BTreeMap::new();
    for entry in reader.map(&mut fields, "sysctls") {
        if let Some(value) = entry.node.integer::<u64>(&entry.path, &mut reader.faults) {
            sysctls.insert(entry.key, value);
        }
    }
    fields.finish(&mut reader.faults);
    Some(Needs { memory_bytes, disk_bytes, cpu, architectures, sysctls })
}

pub(super) fn versions(node: &Node, reader: &mut Reader) -> Option<Versions> {
    let mut fields = Fields::open(node, "versions", &mut reader.faults)?;
    let tags = fields.require("tags", &mut reader.faults).and_then(|node| {
        let text = node.text("versions.tags", &mut reader.faults)?;
        if let Err(error) = whole(&text) {
            reader.faults.error(
                &node.span,
                format!("versions.tags is no regular expression: {}", error.to_string().lines().last().unwrap_or_default()),
            );
        }
        Some(text)
    });
    let steps = [("minor", VersionStep::Minor), ("major", VersionStep::Major), ("any", VersionStep::Any)];
    let step = reader.word(&mut fields, "step", &steps).unwrap_or_default();
    let stops = fields.texts("stops", &mut reader.faults);
    let policies = [("exact", RestorePolicy::Exact), ("same-major", RestorePolicy::SameMajor), ("newer", RestorePolicy::Newer)];
    let restore = reader.word(&mut fields, "restore", &policies).unwrap_or_default();
    let mut services = fields.texts("services", &mut reader.faults);
    if !services.iter().any(|service| service == "app") {
        services.insert(0, "app".into());
    }
    let settled = fields.take("settled").and_then(|node| exec(node, "versions.settled".into(), reader));
    fields.finish(&mut reader.faults);
    Some(Versions { tags: tags?, step, stops, restore, services, settled })
}

pub(super) fn webhooks(node: &Node, reader: &mut Reader) -> Option<Webhooks> {
    let mut fields = Fields::open(node, "webhooks", &mut reader.faults)?;
    let (sends, takes) = (fields.texts("sends", &mut reader.faults), fields.texts("takes", &mut reader.faults));
    fields.finish(&mut reader.faults);
    Some(Webhooks { sends, takes })
}
