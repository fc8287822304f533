//! `summoner certs revoke`

use clap::ValueEnum;

use super::super::context::Context;
use super::super::tending::Tended;
use super::renew::named;
use crate::acme::{self, Reason};
use crate::error::{Error, Result};

/// Take a certificate back at its authority and ask for another one
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Whose
    host: String,
    /// Why, as the authority publishes it
    #[arg(long, value_enum, default_value_t = Why::Unspecified)]
    reason: Why,
}

/// RFC 5280, 5.3.1: those that a host may give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Why {
    Unspecified,
    KeyCompromise,
    Superseded,
    CessationOfOperation,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    let mut tended = Tended::of(context, &loaded).await?;
    let wanted = named(&tended.wanted, &args.host)?.clone();
    if !context.globals.yes {
        return Err(Error::usage(format!("revoking the certificate of {} cannot be undone", wanted.stem))
            .next(format!("summoner --yes certs revoke {}", args.host)));
    }
    let reason = match args.reason {
        Why::Unspecified => Reason::Unspecified,
        Why::KeyCompromise => Reason::KeyCompromise,
        Why::Superseded => Reason::Superseded,
        Why::CessationOfOperation => Reason::CessationOfOperation,
    };
    acme::revoke(tended.places(), &wanted, reason, context.now).await?;
    context.note(&format!("the certificate of {} is revoked; asking for another one", wanted.stem));
    tended.wanted = vec![wanted];
    let outcomes = tended.tend(context, &loaded, None).await?;
    match outcomes.first().and_then(super::super::tending::missing) {
        None => Ok(0),
        Some(why) => {
            Err(Error::external("the revoked certificate is still served: no other one could be had").cause(why).next("summoner certs"))
        }
    }
}
