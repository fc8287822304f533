//! The checks of the proxy's ports and of the address that they are published on.

use std::net::IpAddr;

use super::own_addresses::OwnAddresses;
use super::ports::{Holder, in_the_way, of_proxy};
use super::{Check, Patient, brief};
use crate::error::Result;
use crate::plan::cert;

const WHY: &str = "Browsers come to this port, and only one program can have it.";
/// Without a config.yml: what it would say by default.
const USUAL: [(u16, &str); 2] = [(80, "http_port"), (443, "https_port")];

pub(super) fn checks(patient: &Patient<'_>, own: &OwnAddresses) -> Vec<Check> {
    let config = patient.config();
    let address = config.and_then(|config| config.proxy.address);
    let containers = patient.engine.as_ref().map_or(&[][..], |seen| seen.containers.as_slice());
    let root = config.map(|config| config.layout.files.display().to_string());
    let ports = config.map_or(USUAL, of_proxy);
    let mut checks: Vec<Check> = Vec::new();
    checks.extend(address.map(|address| judge_address(address, own)));
    checks.extend(challenges(patient));
    for (port, key) in ports {
        let found = in_the_way(port, address, containers);
        checks.push(judge(port, key, &found, root.as_deref(), patient.engine.is_ok()));
    }
    checks
}

/// Whether something must lead authorities to the proxy.
fn challenges(patient: &Patient<'_>) -> Option<Check> {
    let (config, catalogue) = patient.config.as_ref().ok()?;
    // A minion that cannot be read has a check of its own.
    let wanted = cert::of_hosts(config, &cert::hosts(config, catalogue).ok()?);
    let said = cert::other_port(config, &wanted)?;
    let check = Check::new("http-01", "certificates", "An authority signs for a name after a look at its port 80, and at no other port.");
    Some(check.warning(said).fix(format!(
        "let port {} of the router lead to port {} of this machine, or take proxy.http_port out of config.yml, or prove names by DNS: \
         certificates.challenge: dns-01",
        cert::HTTP_PORT,
        config.proxy.http_port
    )))
}

fn judge_address(address: IpAddr, own: &OwnAddresses) -> Check {
    let check = Check::new("proxy-address", "address", "The proxy can only be reached on an address that this machine has.");
    if address.is_unspecified() || address.is_loopback() {
        return check.ok(address.to_string());
    }
    match own.has(address) {
        Some(true) => check.ok(address.to_string()),
        Some(false) => check
            .failed(format!("proxy.address is {address}, which is no address of this machine"))
            .fix("take proxy.address out of config.yml, or choose one of: ip -brief address"),
        None => check.unknown("the addresses of this machine could not be read"),
    }
}

fn judge(port: u16, key: &str, found: &Result<Option<Holder>>, root: Option<&str>, engine: bool) -> Check {
    let check = Check::new(format!("port:{}", key.trim_end_matches("_port")), format!("port {port}"), WHY);
    match found {
        // Published without a socket is possible, and only the engine could tell.
        Ok(None) if !engine => check.warning("nobody listens; what containers publish is not known without the engine"),
        Ok(None) => check.ok("free"),
        Ok(Some(holder)) if root.is_some_and(|root| holder.is_of(root)) => check.ok(format!("ours ({holder})")),
        Ok(Some(holder)) => {
            check.failed(format!("taken by {holder}")).fix(format!("{}, or choose another proxy.{key} in config.yml", holder.stop()))
        }
        Err(error) => check.unknown(brief(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::State;
    use crate::error::Error;

    fn web(owner: Option<&str>) -> Result<Option<Holder>> {
        Ok(Some(Holder::Container { name: "nginx-a.fr".into(), owner: owner.map(str::to_owned) }))
    }

    #[test]
    fn a_port_is_free_ours_or_taken_by_somebody_with_a_name() {
        let judge = |found, engine| judge(80, "http_port", &found, Some("/srv/data"), engine);
        assert_eq!(judge(Ok(None), true).message, "free");
        assert_eq!(judge(Ok(None), false).state, State::Warning, "not verified is not ok");
        assert_eq!(judge(web(Some("/srv/data")), true).message, "ours (the container nginx-a.fr)");
        let process = Holder::Process { name: "nginx".into(), id: 812, unit: Some("nginx.service".into()) };
        let check = judge(Ok(Some(process)), true);
        assert_eq!((check.id.as_str(), check.title.as_str(), check.state), ("port:http", "port 80", State::Failed));
        assert_eq!(check.message, "taken by nginx (process 812)");
        assert_eq!(check.fix.as_deref(), Some("systemctl disable --now nginx.service, or choose another proxy.http_port in config.yml"));
        assert_eq!(judge(web(None), true).message, "taken by the container nginx-a.fr");
        assert_eq!(judge(web(Some("/srv/other")), true).state, State::Failed);
        assert_eq!(judge(Err(Error::external("cannot read")), true).state, State::Unknown);
    }

    #[test]
    fn an_address_that_the_machine_lacks_fails() {
        let own = OwnAddresses::of(&["192.0.2.2"]);
        let check = judge_address("203.0.113.7".parse().unwrap(), &own);
        assert_eq!(
            (check.state, check.message.as_str()),
            (State::Failed, "proxy.address is 203.0.113.7, which is no address of this machine")
        );
        assert_eq!(judge_address("192.0.2.2".parse().unwrap(), &own).state, State::Ok);
        assert_eq!(judge_address("192.0.2.2".parse().unwrap(), &OwnAddresses::default()).state, State::Unknown);
    }
}
