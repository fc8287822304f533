//! `summoner exec`

use super::context::Context;
use super::select;
use crate::error::Result;
use crate::name::Role;

/// Run a command in an instance's container
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which instance, or the whole name of a container
    selector: String,
    /// Which container: app, mysql, redis …
    #[arg(long, default_value = "app")]
    role: Role,
    /// As this user
    #[arg(short, long)]
    user: Option<String>,
    /// The command and its arguments
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    let name = select::container(&loaded.config, &args.selector, &args.role)?.to_string();
    let engine = context.engine().await?;
    engine.attached(&name, &args.command, args.user.as_deref()).await
}
