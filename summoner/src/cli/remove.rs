//! `summoner remove`

use std::io::IsTerminal;

use super::context::{Context, Loaded};
use super::{invoke, plan, select, show};
use crate::apply;
use crate::config::{self, Instance, edit};
use crate::error::{Error, Result};
use crate::fault::Source;
use crate::name::InstanceId;
use crate::plan::deploy::Scope;

/// Take an application away: containers and route go, data stays unless told otherwise
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which instance
    selector: String,
    /// Delete its data too; the instance's id must be given again
    #[arg(long, value_name = "ID", num_args = 0..=1, default_missing_value = "")]
    delete_data: Option<String>,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let before = context.load()?;
    let instance = select::one(&before.config, &args.selector)?.clone();
    if instance.id == before.config.proxy_instance.id {
        return Err(Error::usage(format!("{} is the proxy: every other instance needs it", instance.id))
            .next(format!("summoner stop {}", instance.id)));
    }
    let path = before.config.path.clone();
    let source = config::read(&path)?;
    let text = edit::remove_instance(&source.text, instance.id.app.as_str(), &instance.id.domain)
        .map_err(|error| invoke::not_edited(&path, &error))?;
    let (config, _) = context.resolve(&path, &Source::new(path.display().to_string(), text.clone()), &before.catalogue)?;
    let loaded = Loaded { config, catalogue: before.catalogue };
    let scope = Scope { only: Some(std::collections::BTreeSet::new()), removed: Some(instance.id.clone()) };
    if args.dry_run {
        return plan::print(context, &loaded, &scope, false).await;
    }
    if let Some(name) = &args.delete_data {
        agree(context, &instance.id, name)?;
    }
    let engine = context.engine().await?;
    let _lock = context.lock(&loaded, &engine, &format!("remove {}", instance.id)).await?;
    // The wish first: what a crash leaves standing, the next install takes away.
    invoke::save(&path, &source.text, &text)?;
    let listener = context.listener();
    apply::run(&context.world(&loaded, &engine, &*listener), &scope).await?;
    drop(listener);
    context.note(&format!("{} is removed from {}", instance.id, path.display()));
    let data = data(&loaded, &instance)?;
    if args.delete_data.is_some() {
        apply::data::delete(&engine, &loaded.config.layout, &instance.id, &data).await?;
        context.note(&format!("the data of {} is deleted", instance.id));
        return Ok(0);
    }
    let kept: Vec<String> = data.iter().filter(|path| path.exists()).map(|path| format!("  {}\n", path.display())).collect();
    if !kept.is_empty() {
        show::text(&format!(
            "its data is kept in\n{}summoner invoke {} brings it back with that data\n",
            kept.concat(),
            invocation(&instance)
        ))?;
    }
    Ok(0)
}

fn invocation(instance: &Instance) -> String {
    if instance.minion == instance.id.app.as_str() {
        instance.minion.clone()
    } else {
        format!("{} --as {}", instance.minion, instance.id.app)
    }
}

/// The folders that belong to the instance alone.
fn data(loaded: &Loaded, instance: &Instance) -> Result<Vec<std::path::PathBuf>> {
    let layout = &loaded.config.layout;
    let minion = loaded.catalogue.get(&instance.minion)?;
    let database = |kind| {
        layout.database_files(&crate::name::ContainerName { role: crate::name::Role::Database(kind), instance: instance.id.clone() })
    };
    let databases = minion.databases.iter().map(|found| database(found.kind));
    Ok([layout.instance_files(&instance.id), layout.secrets(&instance.id)].into_iter().chain(databases).collect())
}

/// Deleting data asks for the name: a slip of the finger is no agreement.
fn agree(context: &Context, id: &InstanceId, given: &str) -> Result<()> {
    let wanted = id.to_string();
    let answer = if !given.is_empty() {
        given.to_owned()
    } else if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        context.note(&format!("all data of {wanted} will be deleted and cannot be brought back"));
        dialoguer::Input::<String>::new()
            .with_prompt(format!("type {wanted} to delete it"))
            .interact_text()
            .map_err(|error| Error::external("cannot ask on this terminal").cause(error))?
    } else {
        return Err(Error::usage(format!("deleting the data of {wanted} needs its name"))
            .next(format!("summoner remove {wanted} --delete-data {wanted}")));
    };
    if answer == wanted { Ok(()) } else { Err(Error::usage(format!("`{answer}` is not {wanted}: nothing was deleted"))) }
}
