//! `summoner certs import`

use std::path::PathBuf;

use super::super::context::Context;
use super::super::tending;
use crate::acme::{self, Places};
use crate::error::{Error, Result};
use crate::name::Domain;
use crate::plan::cert;

/// Serve a host with a certificate of your own
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which host
    host: Domain,
    /// The certificate, then those that lead to its root (PEM)
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Its private key (PEM)
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    let known = cert::hosts(&loaded.config, &loaded.catalogue)?;
    if !known.iter().any(|(host, _)| *host == args.host) {
        let names = known.iter().map(|(host, _)| host.as_str());
        let help = crate::fault::did_you_mean(args.host.as_str(), names).unwrap_or_else(|| "summoner certs".to_owned());
        return Err(Error::usage(format!("nothing here answers as {}", args.host)).next(help));
    }
    let places = Places::of(&loaded.config.layout);
    let observed = acme::import(&places, &args.host, &args.cert, &args.key, context.now).await?;
    context.note(&format!("{} is served with your own certificate until {}", args.host, observed.not_after.format("%Y-%m-%d")));
    tending::reload(context, &loaded).await?;
    Ok(0)
}
