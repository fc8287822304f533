//! `summoner logs`

use futures_util::StreamExt;

use super::context::Context;
use super::{select, show};
use crate::error::{Error, Result};
use crate::name::{ContainerName, Role};

/// Show the log of an instance's container
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which instance
    selector: String,
    /// Which container: app, mysql, redis …
    #[arg(long, default_value = "app")]
    role: Role,
    /// Go on showing what comes
    #[arg(short, long)]
    follow: bool,
    /// How many lines from the end
    #[arg(short = 'n', long, default_value_t = 100)]
    lines: usize,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    let instance = select::one(&loaded.config, &args.selector)?;
    let engine = context.engine().await?;
    let name = ContainerName { role: args.role.clone(), instance: instance.id.clone() }.to_string();
    let mut stream = std::pin::pin!(engine.follow(&name, args.lines, args.follow));
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| explain(error, &loaded, instance))?;
        show::text(&String::from_utf8_lossy(&piece))?;
    }
    Ok(0)
}

fn explain(error: Error, loaded: &super::context::Loaded, instance: &crate::config::Instance) -> Error {
    match loaded.catalogue.get(&instance.minion) {
        Ok(minion) if !minion.databases.is_empty() => {
            let roles: Vec<&str> = minion.databases.iter().map(|database| database.kind.as_str()).collect();
            error.next(format!("summoner status {}   shows its containers (app, {} …)", instance.id, roles.join(", ")))
        }
        _ => error.next(format!("summoner status {}", instance.id)),
    }
}
