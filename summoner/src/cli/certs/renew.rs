//! `summoner certs renew`

use super::super::context::Context;
use super::super::tending::{Tended, missing};
use crate::acme::What;
use crate::error::{Error, Kind, Result};
use crate::plan::cert::{Wanted, covers};

/// Ask for the certificates that are due
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only those of these hosts
    #[arg(value_name = "HOST")]
    hosts: Vec<String>,
    /// Ask for new ones although they are not due; an authority that wants to be left alone still is
    #[arg(long)]
    force: bool,
    /// What waits for its time is no failure
    #[arg(long, hide = true)]
    scheduled: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    let mut tended = Tended::of(context, &loaded).await?;
    for host in &args.hosts {
        named(&tended.wanted, host)?;
    }
    if !args.hosts.is_empty() {
        tended.wanted.retain(|wanted| args.hosts.iter().any(|host| is(wanted, host)));
    }
    if tended.wanted.is_empty() {
        if !args.scheduled {
            context.note("nothing is signed by an authority on the network; summoner install renews what the own one signed");
        }
        return Ok(0);
    }
    if args.force {
        tended.force = tended.wanted.iter().map(|wanted| wanted.stem.clone()).collect();
    }
    let outcomes = tended.tend(context, &loaded, None).await?;
    let mut failed = 0;
    for outcome in &outcomes {
        match &outcome.what {
            What::Kept if !args.scheduled => context.note(&format!("{}: {}", outcome.stem, outcome.reason)),
            What::Issued { .. } | What::Kept => {}
            What::Waiting | What::Failed => {
                failed += usize::from(outcome.what == What::Failed || !args.scheduled);
                if let Some(missing) = missing(outcome) {
                    context.note(&missing);
                }
            }
        }
    }
    if failed == 0 {
        return Ok(0);
    }
    let kind = if failed == outcomes.len() && failed == 1 { Kind::External } else { Kind::Partial };
    Err(Error::new(kind, format!("{failed} of {} certificates could not be had", outcomes.len())).next("summoner certs"))
}

/// Whether a certificate is that of a host.
pub(super) fn is(wanted: &Wanted, host: &str) -> bool {
    wanted.stem == host || wanted.hosts.iter().any(|known| known == host) || covers(&wanted.names, host)
}

/// The certificate of a host.
pub(super) fn named<'a>(all: &'a [Wanted], host: &str) -> Result<&'a Wanted> {
    all.iter().find(|wanted| is(wanted, host)).ok_or_else(|| {
        let names = all.iter().flat_map(|wanted| &wanted.hosts).map(String::as_str);
        let error = Error::usage(format!("no authority on the network signs for {host}"));
        match crate::fault::did_you_mean(host, names) {
            Some(help) => error.next(help),
            None => error.next("summoner certs"),
        }
    })
}
