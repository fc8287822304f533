//! `summoner invoke`

use super::context::{Context, Loaded};
use super::{install, plan};
use crate::config;
use crate::config::edit::{self, AppSettings};
use crate::disk;
use crate::error::{Error, Kind, Result};
use crate::fault::Source;
use crate::name::{App, Domain};
use crate::plan::deploy::Scope;

/// Add an application to config.yml and install it
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which minion: see `summoner minions`
    minion: String,
    /// Where it lives [default: the first domain of config.yml]
    #[arg(long)]
    domain: Option<Domain>,
    /// Its name, when it is not the minion's
    #[arg(long = "as", value_name = "NAME")]
    name: Option<App>,
    /// The part before the domain [default: what the minion suggests]
    #[arg(long)]
    subdomain: Option<String>,
    /// Print the plan and change nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let before = context.load()?;
    before.catalogue.get(&args.minion)?;
    let name = args.name.as_ref().map_or(args.minion.as_str(), App::as_str);
    let domain = args.domain.clone().unwrap_or_else(|| before.config.domain.clone());
    let path = before.config.path.clone();
    let source = config::read(&path)?;
    let there = before.config.instances.iter().any(|instance| instance.id.app.as_str() == name && instance.id.domain == domain);
    let (text, loaded) = if there {
        (None, before)
    } else {
        let settings = AppSettings {
            minion: (name != args.minion).then(|| args.minion.clone()),
            domain: args.domain.clone().filter(|domain| *domain != before.config.domain),
            subdomain: args.subdomain.clone(),
        };
        let text = edit::add_app(&source.text, name, &settings).map_err(|error| not_edited(&path, &error))?;
        let (config, _) = context.resolve(&path, &Source::new(path.display().to_string(), text.clone()), &before.catalogue)?;
        (Some(text), Loaded { config, catalogue: before.catalogue })
    };
    let instance = loaded.config.instances.iter().find(|instance| instance.id.app.as_str() == name && instance.id.domain == domain);
    let instance = instance.ok_or_else(|| Error::internal(format!("{name} on {domain} was added and is not there")))?;
    let scope = Scope { only: Some([instance.id.clone()].into()), ..Scope::default() };
    if args.dry_run {
        return plan::print(context, &loaded, &scope, false).await;
    }
    let code = install::apply(context, &loaded, &scope, &format!("invoke {name}")).await.map_err(|error| match &text {
        Some(_) => error.next(format!(
            "{} was not changed; the same command again goes on from here, summoner install takes away what it left",
            path.display()
        )),
        None => error,
    })?;
    if let Some(text) = text {
        save(&path, &source.text, &text)?;
        context.note(&format!("{} now has {name}", path.display()));
    }
    Ok(code)
}

/// Writes the new text, unless somebody edited the file meanwhile; the old one stays beside it.
pub(super) fn save(path: &std::path::Path, old: &str, new: &str) -> Result<()> {
    if config::read(path)?.text != old {
        return Err(Error::new(Kind::Config, format!("{} was changed by somebody else while this command ran", path.display()))
            .next("the same command again"));
    }
    disk::write_atomic(&path.with_extension("yml.bak"), old.as_bytes(), 0o644)?;
    disk::write_atomic(path, new.as_bytes(), 0o644)
}

pub(super) fn not_edited(path: &std::path::Path, error: &edit::EditError) -> Error {
    Error::new(Kind::Config, format!("{} was not changed", path.display())).cause(error)
}
