//! On the real engine: the program is killed before each of its effects, and the next install finishes the work.

#![expect(clippy::unwrap_used, reason = "a test ends where its ground gives way")]

mod support;

use support::{Bed, PAIR_COMPOSE, PAIR_MINION};

/// Far above the number of effects of these installs.
const MANY: usize = 60;

/// Kills an install at its k-th effect; true when it came to its end before.
fn killed_at(bed: &Bed, effect: usize) -> bool {
    let output = bed.command(&["install"]).env("SUMMONER_CRASH_AT", effect.to_string()).output().unwrap();
    let said = support::Said::of(output);
    let finished = said.code == 0;
    assert!(finished || said.err.contains("crash point"), "neither killed nor done: {} {}", said.code, said.err);
    finished
}

fn assert_whole(bed: &Bed, after: &str) {
    bed.ok(&["install"]);
    bed.assert_nothing_to_do(after);
    let names: Vec<String> = ["cache-pair", "nginx", "pair"].map(|name| bed.id(name)).into();
    assert_eq!(bed.containers(), names, "after {after}");
}

/// One bed: each effect is killed once, in the order in which a first install comes to it, so every kill meets the
/// half-done work of the one before.
#[test]
fn a_first_install_killed_at_every_effect_is_finished_by_the_next() {
    let bed = Bed::new("crash");
    bed.minion("pair", PAIR_MINION, PAIR_COMPOSE).config("  pair:\n");
    let mut secrets = std::collections::BTreeMap::new();
    let (mut effect, mut left) = (2, usize::MAX);
    for round in 0..MANY {
        if killed_at(&bed, effect) {
            assert!(round > 8, "an install has more effects than {round}");
            assert_whole(&bed, "every first install");
            return;
        }
        let now = bed.secrets();
        assert!(secrets.iter().all(|(path, value)| now.get(path) == Some(value)), "a secret changed in round {round}");
        secrets = now;
        // One effect further a round; some are done in every run, such as testing the routes.
        let steps = bed.steps().len();
        effect = if steps < left { 2 } else { effect + 1 };
        left = steps;
    }
    panic!("the install never came to its end");
}

#[test]
fn a_change_killed_at_every_effect_is_finished_by_the_next() {
    let bed = Bed::new("change");
    bed.minion("pair", PAIR_MINION, PAIR_COMPOSE).config("  pair:\n");
    bed.ok(&["install"]);
    let secrets = bed.secrets();
    for effect in 1..MANY {
        let compose = PAIR_COMPOSE.replace("MARK: \"one\"", &format!("MARK: \"{effect}\""));
        bed.minion("pair", PAIR_MINION, &compose);
        if killed_at(&bed, effect) {
            assert!(effect > 4, "a change has more effects than {effect}");
            break;
        }
        assert_whole(&bed, &format!("a kill at effect {effect} of a change"));
        assert_eq!(bed.secrets(), secrets, "a secret changed");
    }
    let mark = bed.docker(&["inspect", "-f", "{{range .Config.Env}}{{println .}}{{end}}", &bed.id("pair")]);
    assert!(mark.contains("MARK="), "{mark}");
}

#[test]
fn a_polite_end_is_said_and_finished_later() {
    let bed = Bed::new("polite");
    bed.minion("pair", PAIR_MINION, PAIR_COMPOSE).config("  pair:\n");
    let child = bed.command(&["install"]).stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(900));
    let sent = std::process::Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(sent.success(), "the install ended before it could be asked to");
    let said = support::Said::of(child.wait_with_output().unwrap());
    assert_eq!(said.code, 130, "{}", said.err);
    said.assert_says(&["error: interrupted", "next:  the same command again"]);
    assert_whole(&bed, "an interruption");
}
