//! Compose files, read properly: text and variables in, a resolved [`Project`] out, or every fault at once.
//!
//! Knows the Compose specification's subset that catalogue and wild files use; everything else is refused by file,
//! line, service and key, never dropped. Starts nothing, reads only the files that the text names (`env_file`,
//! `include`, `extends`). The model is in long form only: every short syntax is expanded, every unit is converted.

pub mod model;

pub use model::*;
