//! `summoner certs import`

use std::path::PathBuf;

use super::super::context::Context;
use super::super::tending;
use crate::acme::{self, Places};
use crate::docker::Engine;
use crate::error::{Error, Result};
use crate::name::Domain;
use crate::observe;
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
    let engine = context.engine().await?;
    let asking = observe::asking(&engine, &loaded.config, &engine.containers().await?).await?;
    let ours = cert::hosts(&loaded.config, &loaded.catalogue)?;
    let containers = cert::of_all(&loaded.config, &ours, &asking).hosts;
    let known: Vec<Domain> = ours.into_iter().map(|(host, _)| host).chain(containers).collect();
    if !known.contains(&args.host) {
        let names = known.iter().map(Domain::as_str);
        let help = crate::fault::did_you_mean(args.host.as_str(), names).unwrap_or_else(|| "summoner certs".to_owned());
        return Err(Error::usage(format!("nothing here answers as {}", args.host)).next(help));
    }
    let places = Places::of(&loaded.config.layout);
    let observed = acme::import(&places, &args.host, &args.cert, &args.key, context.now).await?;
    context.note(&format!("{} is served with your own certificate until {}", args.host, observed.not_after.format("%Y-%m-%d")));
    tending::reload(context, &loaded).await?;
    Ok(0)
}
