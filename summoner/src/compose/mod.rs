//! Compose files, read properly: text and variables in, a resolved [`Project`] out, or every fault at once.
//!
//! Knows the Compose specification's subset that catalogue and wild files use; everything else is refused by file,
//! line, service and key, never dropped. Starts nothing, reads only the files that the text names (`env_file`,
//! `include`, `extends`). The model is in long form only: every short syntax is expanded, every unit is converted.
//! The real `docker compose config` is the oracle (`tests/compose_oracle.rs`); wiki/compose.md says what is understood.

mod document;
mod dotenv;
mod environment;
mod extend;
mod grants;
mod include;
mod interpolate;
mod limits;
mod merge;
pub mod model;
mod mounts;
mod order;
mod ports;
mod process;
mod project;
mod rebase;
mod refused;
mod relations;
mod sections;
mod service;
#[cfg(test)]
mod tests;
mod units;
mod values;
mod work;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::fault::{Fault, Source};
pub use dotenv::{DotenvError, dotenv};
pub use interpolate::{Expansion, InterpolationError, escape, expand, interpolate};
pub use model::*;
pub use order::start_order;

/// What is to be read, and with what.
#[derive(Debug, Clone)]
pub struct Input<'a> {
    /// The main file.
    pub source: Arc<Source>,
    /// The folder that its relative paths start from; absolute.
    pub folder: &'a Path,
    /// The project's name; None takes `COMPOSE_PROJECT_NAME`, the file's `name:`, or the folder's.
    pub project: Option<&'a str>,
    /// Values for interpolation. What `.env` says is among them when the caller wants it ([`dotenv()`]).
    pub variables: &'a BTreeMap<String, String>,
    /// Active profiles; `*` activates all.
    pub profiles: &'a [String],
    /// What `~` stands for.
    pub home: Option<&'a Path>,
}

/// A project and what its author should know.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The project, resolved.
    pub project: Project,
    /// Missing variables, obsolete keys, keys without effect: each with its place.
    pub warnings: Vec<Fault>,
}

/// Reads a Compose file and the files that it names.
///
/// # Errors
/// Every fault of every file, in the order of the files.
pub fn load(input: &Input) -> Result<Loaded, Vec<Fault>> {
    let mut work = work::Work::new(input);
    let project = project::read(&mut work);
    work.finish(project).map(|(project, warnings)| Loaded { project, warnings })
}
