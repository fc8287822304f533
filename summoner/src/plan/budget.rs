//! What the applications of config.yml ask of a machine, added up, and whether a machine has it. Pure.

use std::collections::BTreeMap;

use crate::minion::Needs;

/// An application that fills more than this of the memory leaves too little for the system and for busy hours.
const COMFORTABLE_PERCENT: u64 = 90;

/// What all applications ask for together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Budget {
    /// Memory of each instance, the largest first.
    pub memory: Vec<Share>,
    /// Disk of each instance that is not installed yet, the largest first.
    pub disk: Vec<Share>,
    /// CPU features and the instances that ask for them.
    pub cpu: BTreeMap<String, Vec<String>>,
    /// Instances that have images for some architectures only.
    pub architectures: Vec<(String, Vec<String>)>,
    /// Kernel settings, each with the greatest least value and who asks.
    pub sysctls: BTreeMap<String, Least>,
}

/// What one instance asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The instance.
    pub instance: String,
    /// How much.
    pub bytes: u64,
}

/// The least value of a kernel setting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Least {
    /// The value.
    pub value: u64,
    /// The instances that ask for the setting.
    pub instances: Vec<String>,
}

/// Whether something fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fit {
    /// With room to spare.
    Well,
    /// Just so, or with the help of swap.
    Tight,
    /// It does not.
    Not,
}

impl Budget {
    /// Adds what one instance asks for. An installed one has its disk already.
    pub fn add(&mut self, instance: &str, needs: &Needs, installed: bool) {
        let share = |bytes| Share { instance: instance.to_owned(), bytes };
        insert(&mut self.memory, share(needs.memory_bytes));
        if !installed {
            insert(&mut self.disk, share(needs.disk_bytes));
        }
        for feature in &needs.cpu {
            self.cpu.entry(feature.clone()).or_default().push(instance.to_owned());
        }
        if !needs.architectures.is_empty() {
            self.architectures.push((instance.to_owned(), needs.architectures.clone()));
        }
        for (name, value) in &needs.sysctls {
            let least = self.sysctls.entry(name.clone()).or_default();
            least.value = least.value.max(*value);
            least.instances.push(instance.to_owned());
        }
    }

    /// Whether the memory suffices. Swap saves an application that sleeps, not one that works: it makes the fit tight.
    #[must_use]
    pub fn memory_fit(&self, memory_bytes: u64, swap_bytes: u64) -> Fit {
        let needed = total(&self.memory);
        if needed <= memory_bytes / 100 * COMFORTABLE_PERCENT {
            Fit::Well
        } else if needed <= memory_bytes.saturating_add(swap_bytes) {
            Fit::Tight
        } else {
            Fit::Not
        }
    }

    /// Instances that have no image for this architecture.
    pub fn without_image<'a>(&'a self, architecture: &'a str) -> impl Iterator<Item = &'a str> {
        let lacks = move |known: &[String]| !known.iter().any(|known| known == architecture);
        self.architectures.iter().filter(move |(_, known)| lacks(known)).map(|(instance, _)| instance.as_str())
    }
}

fn insert(shares: &mut Vec<Share>, share: Share) {
    let at = shares.partition_point(|other| other.bytes >= share.bytes);
    shares.insert(at, share);
}

/// The sum of all shares.
#[must_use]
pub fn total(shares: &[Share]) -> u64 {
    shares.iter().fold(0, |sum, share| sum.saturating_add(share.bytes))
}

/// "gitlab-a.fr 4 GB, ghost-a.fr 1 GB and 3 more".
#[must_use]
pub fn largest(shares: &[Share]) -> String {
    const SHOWN: usize = 3;
    let named: Vec<String> = shares.iter().take(SHOWN).map(|share| format!("{} {}", share.instance, gigabytes(share.bytes))).collect();
    match shares.len().saturating_sub(SHOWN) {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}

/// "4 GB", "1.5 GB", "512 MB": powers of 1024, as minions spell their needs and memory is sold. Rounded down.
#[must_use]
pub fn gigabytes(bytes: u64) -> String {
    const GB: u64 = 1 << 30;
    if bytes < GB {
        return format!("{} MB", bytes >> 20);
    }
    match (bytes / GB, bytes % GB * 10 / GB) {
        (whole, 0) => format!("{whole} GB"),
        (whole, _) if whole >= 100 => format!("{whole} GB"),
        (whole, tenths) => format!("{whole}.{tenths} GB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1 << 30;

    fn needs(memory_bytes: u64) -> Needs {
        Needs { memory_bytes, disk_bytes: GB, ..Needs::default() }
    }

    #[test]
    fn needs_add_up_and_the_largest_are_named_first() {
        let mut budget = Budget::default();
        budget.add("ghost-a.fr", &needs(GB), true);
        budget.add("gitlab-a.fr", &needs(4 * GB), false);
        for name in ["etherpad-a.fr", "wekan-a.fr"] {
            budget.add(name, &needs(GB / 2), false);
        }
        assert_eq!(total(&budget.memory), 6 * GB);
        assert_eq!(total(&budget.disk), 3 * GB, "an installed instance has its disk already");
        assert_eq!(largest(&budget.memory), "gitlab-a.fr 4 GB, ghost-a.fr 1 GB, etherpad-a.fr 512 MB and 1 more");
    }

    #[test]
    fn swap_makes_a_tight_fit_and_never_a_good_one() {
        let mut budget = Budget::default();
        budget.add("gitlab-a.fr", &needs(4 * GB), false);
        assert_eq!(budget.memory_fit(8 * GB, 0), Fit::Well);
        assert_eq!(budget.memory_fit(4 * GB, 0), Fit::Tight);
        assert_eq!(budget.memory_fit(2 * GB, 0), Fit::Not);
        assert_eq!(budget.memory_fit(2 * GB, 4 * GB), Fit::Tight);
    }

    #[test]
    fn kernel_settings_take_the_greatest_least_value_and_architectures_must_match() {
        let mut budget = Budget::default();
        let asks = |value, architecture: &str| Needs {
            sysctls: [("vm.max_map_count".to_owned(), value)].into(),
            architectures: vec![architecture.to_owned()],
            ..Needs::default()
        };
        budget.add("elastic-a.fr", &asks(1_048_576, "amd64"), false);
        budget.add("sonarqube-a.fr", &asks(524_288, "arm64"), false);
        let least = &budget.sysctls["vm.max_map_count"];
        assert_eq!((least.value, least.instances.len()), (1_048_576, 2));
        assert_eq!(budget.without_image("arm64").collect::<Vec<_>>(), ["elastic-a.fr"]);
    }

    #[test]
    fn sizes_read_as_memory_is_sold() {
        assert_eq!(
            [gigabytes(512 << 20), gigabytes(4 * GB), gigabytes(GB * 3 / 2), gigabytes(250 * GB + GB / 2)],
            ["512 MB", "4 GB", "1.5 GB", "250 GB"]
        );
    }
}
