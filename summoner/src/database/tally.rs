//! Rows and their content, added up table by table while a dump passes: the same for what was dumped and what was restored.
//!
//! The sum of a table does not depend on the order of its rows. It finds faults, not forgers: those meet the artefact's hash.

use std::collections::BTreeMap;

use crc::{CRC_64_XZ, Crc, Table};

use crate::plan::snapshot::DatabaseFacts;

/// Of a row, or of a document.
pub(super) static CRC: Crc<u64, Table<16>> = Crc::<u64, Table<16>>::new(&CRC_64_XZ);

/// What one table holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Rows or documents.
    pub rows: u64,
    /// The sum of their checksums.
    pub sum: u64,
}

impl Tally {
    /// One more.
    pub(super) fn add(&mut self, checksum: u64) {
        self.rows += 1;
        self.sum = self.sum.wrapping_add(checksum);
    }
}

/// Tables by their whole names.
pub(super) type Tallies = BTreeMap<String, Tally>;

/// Puts them into the facts of a dump; a table without rows has no content.
pub(super) fn tell(tallies: &Tallies, facts: &mut DatabaseFacts) {
    facts.rows = tallies.iter().map(|(name, tally)| (name.clone(), tally.rows)).collect();
    let filled = tallies.iter().filter(|(_, tally)| tally.rows > 0);
    facts.sample = Some(filled.map(|(name, tally)| (name.clone(), format!("{:016x}", tally.sum))).collect());
}
