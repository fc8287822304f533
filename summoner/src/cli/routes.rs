//! `summoner routes`

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::context::{Context, Loaded};
use super::show::{self, JSON_VERSION};
use crate::apply;
use crate::error::Result;
use crate::name::Domain;
use crate::nginx::Nginx;
use crate::observe::{Situation, observe};
use crate::plan::deploy::{self, Scope};
use crate::plan::route::Site;
use crate::plan::route::site::Source;
use crate::plan::sites::{ROUTES, sites};
use crate::plan::state::Health;
use crate::proxy::{self, State, Status, Told};
use crate::vhost::HostName;

/// Show which host names lead where
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Show those of the `summoner proxy` that keeps its data here [default: with those of config.yml, else /var/lib/summoner]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
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

impl From<Told> for Route {
    fn from(told: Told) -> Self {
        let Told { host, path, target, source, state, reason } = told;
        Self { host, path, target, source, state: state.as_str(), reason }
    }
}

/// What is told, and what to say of the proxy as a whole.
struct Story {
    json: Json,
    note: Option<String>,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = if args.data.is_some() { None } else { context.load().ok() };
    let status = proxy::read_status(&super::proxy::layout(context, args.data.as_deref()))?;
    let mut stories = Vec::new();
    if let Some(loaded) = &loaded {
        stories.push(installed(context, loaded).await?);
    } else if status.is_none() {
        if args.data.is_none() {
            // Why there is no configuration is the answer then.
            drop(context.load()?);
        }
        context.note("no proxy has worked here yet: summoner proxy");
    }
    stories.extend(status.map(watched));
    let mut json = Json { version: JSON_VERSION, generation: None, live: false, routes: Vec::new() };
    let mut notes = Vec::new();
    for (number, story) in stories.into_iter().enumerate() {
        // With both, the one of config.yml is the one.
        if number == 0 {
            (json.generation, json.live) = (story.json.generation, story.json.live);
        }
        // A container that asks is told of by both, where both work on one machine.
        let fresh = |route: &Route| !json.routes.iter().any(|known| known.host == route.host && known.path == route.path);
        let fresh: Vec<Route> = story.json.routes.into_iter().filter(|route| number == 0 || fresh(route)).collect();
        json.routes.extend(fresh);
        notes.extend(story.note);
    }
    if args.json {
        show::json(&json)?;
        return Ok(0);
    }
    let path = |route: &Route| if route.path == "/" { String::new() } else { route.path.clone() };
    let row =
        |route: Route| vec![route.host.clone() + &path(&route), route.target, route.state.to_owned(), route.reason.unwrap_or_default()];
    let rows: Vec<Vec<String>> = json.routes.into_iter().map(row).collect();
    show::text(&show::table(&["HOST", "TARGET", "STATE", ""], &rows))?;
    notes.iter().for_each(|note| context.note(note));
    Ok(0)
}

/// What `summoner proxy` said last.
fn watched(status: Status) -> Story {
    let routes = status.routes.into_iter().map(Route::from).collect();
    let note = (!status.live).then(|| "summoner proxy wrote its configuration, and nginx did not say yet that it runs it".to_owned());
    Story { json: Json { version: JSON_VERSION, generation: Some(status.generation), live: status.live, routes }, note }
}

/// The routes of config.yml.
async fn installed(context: &Context, loaded: &Loaded) -> Result<Story> {
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
    routes.extend(outside(loaded, &situation));
    let note = match (&generation, &running) {
        (Some(linked), Some(live)) if linked == live => None,
        (Some(_), Some(_)) => Some("nginx runs another generation than the one on disk: summoner install".to_owned()),
        _ => Some("the proxy does not run: summoner install".to_owned()),
    };
    let live = running.is_some() && running == generation;
    Ok(Story { json: Json { version: JSON_VERSION, live, generation, routes }, note })
}

/// Why the route of an installed instance is closed.
fn closed(refused: Option<&str>) -> String {
    match refused {
        Some(reason) => format!("the proxy refuses it: {reason}"),
        None => "the proxy does not serve it yet: summoner install".to_owned(),
    }
}

/// What leads to no instance: `routes:` of config.yml, and containers that ask.
fn outside(loaded: &Loaded, situation: &Situation) -> Vec<Route> {
    let (wanted, observed) = (&situation.wanted, &situation.observed);
    let settings = apply::proxy_settings(&loaded.config, situation);
    let sites = sites(deploy::open(wanted, observed, &Scope::default()), wanted, observed, &settings);
    let generation = observed.generation.as_deref();
    let others: Vec<Site> = sites.all.into_iter().filter(|site| !matches!(site.source, Source::Instance(_))).collect();
    let mut closed = BTreeMap::new();
    for site in &others {
        let host = site.name.to_string();
        let served = match &site.name {
            HostName::Exact(name) => name.parse().is_ok_and(|host: Domain| observed.served.contains(&host)),
            // Their files bear hashes: they are there as soon as a generation is.
            _ => generation.is_some(),
        };
        if !served {
            closed.insert(host, "the proxy does not serve it yet: summoner install".to_owned());
        }
    }
    let aliases = others.iter().flat_map(|site| {
        site.aliases.iter().map(|alias| Route {
            host: alias.to_string(),
            path: "/".into(),
            target: site.name.to_string(),
            source: ROUTES.to_owned(),
            state: if closed.contains_key(&site.name.to_string()) { "closed" } else { "open" },
            reason: closed.get(&site.name.to_string()).cloned(),
        })
    });
    let told = proxy::told(&others, &closed).into_iter().map(Route::from);
    let refused = sites.refused.into_iter().map(|refused| Route {
        host: refused.host.unwrap_or_else(|| "*".to_owned()),
        path: "/".into(),
        target: refused.source.clone(),
        source: refused.source,
        state: State::Closed.as_str(),
        reason: Some(refused.reason),
    });
    let mut all: Vec<Route> = told.chain(aliases).chain(refused).collect();
    all.sort_by(|one, other| (&one.host, &one.path, &one.target).cmp(&(&other.host, &other.path, &other.target)));
    all
}
