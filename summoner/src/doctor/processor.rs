//! The processor: its architecture and its features against what the images need.

use std::collections::BTreeSet;

use super::{Check, NO_CONFIG, Patient, read_text};
use crate::plan::budget::Budget;

pub(super) fn checks(patient: &Patient<'_>, budget: Option<&Budget>) -> [Check; 2] {
    let engine = patient.engine.as_ref().ok().map(|seen| seen.info.architecture.as_str()).filter(|name| !name.is_empty());
    let architecture = engine.unwrap_or_else(|| docker_word(std::env::consts::ARCH));
    let cpuinfo = read_text("/proc/cpuinfo").ok().flatten();
    [judge_architecture(architecture, budget), judge_features(architecture, cpuinfo.as_deref(), budget)]
}

/// Docker's word for an architecture.
fn docker_word(rust: &str) -> &str {
    match rust {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn judge_architecture(architecture: &str, budget: Option<&Budget>) -> Check {
    let check = Check::new("architecture", "architecture", "An image runs only on the processors that it was built for.");
    let Some(budget) = budget else { return check.unknown(format!("{architecture}; {NO_CONFIG}")) };
    let without: Vec<&str> = budget.without_image(architecture).collect();
    if without.is_empty() {
        return check.ok(architecture);
    }
    check
        .failed(format!("{architecture}: there are no images for {}", without.join(", ")))
        .fix("take them out of config.yml, or use a machine with another processor (summoner minions show NAME)")
}

/// The features that the processor has: `flags` on x86, `Features` on ARM.
fn features(cpuinfo: &str) -> Option<BTreeSet<&str>> {
    let (_, list) = cpuinfo.lines().filter_map(|line| line.split_once(':')).find(|(key, _)| matches!(key.trim(), "flags" | "Features"))?;
    Some(list.split_whitespace().collect())
}

/// Features of x86 alone, which images for other processors do not ask for.
fn of_x86(feature: &str) -> bool {
    ["avx", "sse", "ssse"].iter().any(|family| feature.starts_with(family))
}

fn judge_features(architecture: &str, cpuinfo: Option<&str>, budget: Option<&Budget>) -> Check {
    let check =
        Check::new("cpu", "processor", "A program that uses an instruction which the processor lacks ends at once, without a word.");
    let Some(budget) = budget else { return check.unknown(NO_CONFIG) };
    let asked: Vec<_> = budget.cpu.iter().filter(|(feature, _)| architecture == "amd64" || !of_x86(feature)).collect();
    if asked.is_empty() {
        return check.ok("nothing special is needed");
    }
    let Some(has) = cpuinfo.and_then(features) else { return check.unknown("/proc/cpuinfo does not tell what this processor can") };
    let lacking: Vec<String> = asked
        .iter()
        .filter(|(feature, _)| !has.contains(feature.as_str()))
        .map(|(feature, instances)| format!("{feature}, which {} needs", instances.join(" and ")))
        .collect();
    if lacking.is_empty() {
        let names: Vec<&str> = asked.iter().map(|(feature, _)| feature.as_str()).collect();
        return check.ok(format!("has {}", names.join(", ")));
    }
    check
        .failed(format!("lacks {}", lacking.join("; ")))
        .fix("in a virtual machine, choose the processor type `host` (Proxmox, libvirt); on old hardware, take the application out of config.yml")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use crate::minion::Needs;

    fn wekan() -> Budget {
        let mut budget = Budget::default();
        let needs = Needs { cpu: vec!["avx".into()], architectures: vec!["amd64".into()], ..Needs::default() };
        budget.add("wekan-a.fr", &needs, false);
        budget
    }

    #[test]
    fn a_feature_that_is_lacking_is_named_with_who_needs_it() {
        let check = judge_features("amd64", Some("processor\t: 0\nflags\t\t: fpu sse2 aes\n"), Some(&wekan()));
        assert_eq!((check.state, check.message.as_str()), (State::Failed, "lacks avx, which wekan-a.fr needs"));
        assert_eq!(judge_features("amd64", Some("flags : avx avx2"), Some(&wekan())).message, "has avx");
        assert_eq!(judge_features("arm64", Some("Features : fp asimd"), Some(&wekan())).state, State::Ok);
        assert_eq!(judge_features("amd64", Some("model name: none"), Some(&wekan())).state, State::Unknown);
        assert_eq!(judge_features("amd64", Some("flags : avx"), None).state, State::Unknown);
    }

    #[test]
    fn an_architecture_without_images_is_named() {
        let check = judge_architecture("arm64", Some(&wekan()));
        assert_eq!((check.state, check.message.as_str()), (State::Failed, "arm64: there are no images for wekan-a.fr"));
        assert_eq!(judge_architecture("amd64", Some(&wekan())).state, State::Ok);
        assert!(judge_architecture("amd64", None).message.starts_with("amd64; not checked"));
    }
}
