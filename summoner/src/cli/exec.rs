//! `summoner exec`

use super::context::Context;
use super::select;
use crate::error::Result;
use crate::name::{ContainerName, Role};

/// Run a command in an instance's container
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which instance
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
    let instance = select::one(&loaded.config, &args.selector)?;
    let engine = context.engine().await?;
    let name = ContainerName { role: args.role.clone(), instance: instance.id.clone() }.to_string();
    engine.attached(&name, &args.command, args.user.as_deref()).await
}
