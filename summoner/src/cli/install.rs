//! `summoner install`

use super::context::{Context, Loaded};
use super::{plan, rebuild, show, tending};
use crate::apply::{self, Outcome, service};
use crate::error::{Error, Result};
use crate::plan::deploy::Scope;
use crate::recovery::Progress;
use crate::state::{card, secrets};

/// Make the server what config.yml says
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    rebuild: rebuild::From,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    if args.rebuild.restore_from.is_some() {
        return rebuild::run(context, &args.rebuild, args.dry_run).await;
    }
    let loaded = context.load_aloud()?;
    Progress::refuse_open(&loaded.config.layout)?;
    if args.dry_run {
        return plan::print(context, &loaded, &Scope::default(), false).await;
    }
    card::require(&loaded.config)?;
    apply(context, &loaded, &Scope::default(), "install").await
}

/// Applies a scope under the lock and says what a person needs next.
pub(super) async fn apply(context: &Context, loaded: &Loaded, scope: &Scope, command: &str) -> Result<u8> {
    let engine = context.engine().await?;
    let _lock = context.lock(loaded, &engine, command).await?;
    let outcome = {
        let listener = context.listener();
        apply::run(&context.world(loaded, &engine, &*listener), scope).await?
    };
    context.remember(&loaded.config)?;
    tending::after_install(context, loaded, &engine).await;
    let exe = std::env::current_exe().map_err(|error| Error::io("find", std::path::Path::new("/proc/self/exe"), &error))?;
    if let Some(done) = service::ensure(&loaded.config, &exe)? {
        context.note(&done);
    }
    finish(context, loaded, outcome)
}

fn finish(context: &Context, loaded: &Loaded, mut outcome: Outcome) -> Result<u8> {
    let (done, failed, kind) = (outcome.ready.len(), outcome.failed.len(), outcome.failure());
    if let Some((_, first)) = outcome.failed.pop() {
        for (_, error) in &outcome.failed {
            context.note(&format!("{error}\n"));
        }
        let message = if failed > 1 {
            format!("{failed} instances could not be installed; the last: {}", first.message)
        } else {
            first.message.clone()
        };
        return Err(Error { kind: kind.unwrap_or(first.kind), message, ..first });
    }
    if outcome.unchanged {
        context.note(&format!(
            "nothing to do: {} as config.yml says",
            if done == 1 { "1 instance is".to_owned() } else { format!("{done} instances are") }
        ));
    }
    show::text(&summary(loaded)?)?;
    Ok(0)
}

/// What a person needs next.
fn summary(loaded: &Loaded) -> Result<String> {
    let config = &loaded.config;
    let mut rows = Vec::new();
    let mut known = Vec::new();
    for instance in &config.instances {
        let minion = loaded.catalogue.get(&instance.minion)?;
        let Some(host) = &instance.host else { continue };
        rows.push(vec![instance.id.to_string(), super::open::url(config, host, "")]);
        if minion
            .administrator
            .as_ref()
            .is_some_and(|administrator| secrets::path(&config.layout, &instance.id, &administrator.password).exists())
        {
            known.push(instance.id.to_string());
        }
    }
    let mut text = String::from("\n");
    if !rows.is_empty() {
        text += &show::table(&["INSTANCE", "URL"], &rows);
        text += "\n";
    }
    match known.as_slice() {
        [] => {}
        [one] => text += &format!("sign in    summoner credentials {one}\n"),
        _ => text += "sign in    summoner credentials INSTANCE\n",
    }
    text += &format!("data       {}\n", config.layout.files.display());
    text += &format!("databases  {}\n", config.layout.databases.display());
    text += &format!("trust      {}\n", config.layout.authority().display());
    text += "           to be imported once on each computer that visits (wiki/proxy.md)\n";
    text += "next       summoner status, summoner logs INSTANCE, summoner invoke MINION\n";
    Ok(text)
}
