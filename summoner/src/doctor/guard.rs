//! Whether clients arrive with addresses of their own: what the guard saw. Told only once somebody signed in.

use super::{Check, Patient, brief};
use crate::ban::store;
use crate::plan::ban::ProofVerdict;

pub(super) fn checks(patient: &Patient<'_>) -> Vec<Check> {
    let Some(config) = patient.config().filter(|config| config.bans.enabled) else { return Vec::new() };
    let check = Check::new("client-addresses", "clients", "Who fails to sign in is locked out by address: each client needs its own.");
    let test = match store::read(&config.layout) {
        Ok((stored, _)) => stored.test,
        Err(error) => return vec![check.unknown(format!("not checked: {}", brief(&error)))],
    };
    let Some(verdict) = test.map(|test| test.verdict).filter(|verdict| *verdict != ProofVerdict::Waiting) else { return Vec::new() };
    let judged = if verdict.bans() { check.ok(verdict.sentence()) } else { check.warning(verdict.sentence()) };
    vec![if verdict.bans() { judged } else { judged.fix("summoner bans --json   names the addresses; wiki/bans.md says what to do") }]
}
