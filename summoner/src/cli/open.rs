//! `summoner open`

use std::io::IsTerminal;

use super::context::Context;
use super::{select, show};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::name::Domain;

/// Print an instance's address, and open it in a browser where there is one
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which instance
    selector: String,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    let instance = select::one(&loaded.config, &args.selector)?;
    let host = instance.host.as_ref().ok_or_else(|| Error::usage(format!("{} has no address: nothing is routed to it", instance.id)))?;
    let url = url(&loaded.config, host, "/");
    show::text(&format!("{url}\n"))?;
    let desktop = std::env::var_os("DISPLAY").is_some() || std::env::var_os("WAYLAND_DISPLAY").is_some();
    if desktop && std::io::stdout().is_terminal() {
        let opened = std::process::Command::new("xdg-open")
            .arg(&url)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn();
        if let Err(error) = opened {
            context.note(&format!("no browser was opened: xdg-open: {error}"));
        }
    }
    Ok(0)
}

/// The address of a path on a host.
pub(super) fn url(config: &Config, host: &Domain, path: &str) -> String {
    match config.proxy.https_port {
        443 => format!("https://{host}{path}"),
        port => format!("https://{host}:{port}{path}"),
    }
}
