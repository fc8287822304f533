//! `summoner routes`

use serde::Serialize;

use super::context::Context;
use super::show::{self, JSON_VERSION};
use crate::error::Result;
use crate::nginx::Nginx;
use crate::observe::observe;
use crate::plan::state::Health;

/// Show which host names lead where
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Json {
    version: u32,
    generation: Option<String>,
    live: bool,
    routes: Vec<Route>,
}

#[derive(Serialize)]
struct Route {
    host: String,
    path: String,
    target: String,
    source: String,
    state: &'static str,
    reason: Option<String>,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    let engine = context.engine().await?;
    let situation = observe(&engine, &loaded.config, &loaded.catalogue, context.now).await?;
    let proxy = situation.wanted.instances.iter().find(|instance| instance.proxy).and_then(|instance| instance.containers.first());
    let nginx = Nginx::new(&engine, &loaded.config.layout, proxy.map_or("", |container| container.name.as_str()));
    let (generation, running) = (nginx.current()?, nginx.running().await?);
    let served = nginx.hosts()?;
    let mut routes = Vec::new();
    for instance in &situation.wanted.instances {
        for route in &instance.routes {
            let open = served.contains(&route.host);
            let behind = instance
                .containers
                .iter()
                .find(|container| container.name == route.container)
                .and_then(|container| situation.chosen(instance, container));
            let (state, reason) = match behind {
                None => ("closed", Some("not installed".to_owned())),
                Some(_) if !open => ("closed", Some(closed(situation.observed.refused(&instance.id, &route.host)))),
                Some(known) if known.running != crate::plan::state::Running::Running => ("down", Some(known.status.clone())),
                Some(known) if matches!(known.health, Health::Starting | Health::Unhealthy) => ("waiting", Some(known.status.clone())),
                Some(_) => ("open", None),
            };
            let target = format!("{}:{}", route.container, route.settings.port);
            let source = instance.id.to_string();
            let aliases = route.aliases.iter().map(|alias| Route {
                host: alias.to_string(),
                path: "/".into(),
                target: format!("https://{}", route.host),
                source: source.clone(),
                state,
                reason: reason.clone(),
            });
            let aliases: Vec<Route> = aliases.collect();
            routes.push(Route { host: route.host.to_string(), path: "/".into(), target, source, state, reason });
            routes.extend(aliases);
        }
    }
    if args.json {
        show::json(&Json { version: JSON_VERSION, live: running.is_some() && running == generation, generation, routes })?;
        return Ok(0);
    }
    let rows: Vec<Vec<String>> =
        routes.into_iter().map(|route| vec![route.host, route.target, route.state.to_owned(), route.reason.unwrap_or_default()]).collect();
    show::text(&show::table(&["HOST", "TARGET", "STATE", ""], &rows))?;
    match (&generation, &running) {
        (Some(linked), Some(live)) if linked == live => {}
        (Some(_), Some(_)) => context.note("nginx runs another generation than the one on disk: summoner install"),
        _ => context.note("the proxy does not run: summoner install"),
    }
    Ok(0)
}

/// Why the route of an installed instance is closed.
fn closed(refused: Option<&str>) -> String {
    match refused {
        Some(reason) => format!("the proxy refuses it: {reason}"),
        None => "the proxy does not serve it yet: summoner install".to_owned(),
    }
}
