//! `summoner proxy`

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::context::Context;
use crate::config::Bans;
use crate::config::certificates::{Authority, Certificates};
use crate::daemon;
use crate::docker::engine::Docker;
use crate::error::Result;
use crate::event::{Event, Listener};
use crate::layout::Layout;
use crate::proxy::{self, Alone, Where};
use crate::vhost::{self, Globals};

/// Where the proxy keeps its data on a host without a config.yml.
pub(super) const DATA: &str = "/var/lib/summoner";
/// The stock image that our own container is made of.
const IMAGE: &str = "nginx:1.30.6";
/// The container of our own.
const NAME: &str = "summoner-proxy";
/// Where nginx-proxy's users put the engine's socket.
const SOCKET: &str = "/tmp/docker.sock";
/// The value of `--nginx` for a child of this process.
const HERE: &str = "here";
/// The value of `--nginx` for a container that is found by its label.
const LABELLED: &str = "label";
/// The label that people give it, unless `NGINX_CONTAINER_LABEL` says another one.
const LABEL: &str = "com.github.nginx-proxy.nginx-proxy.nginx";

/// Lead host names to the containers that ask for them by `VIRTUAL_HOST`, as nginx-proxy does
///
/// Stays until it is ended. On a host it makes and keeps a container of its own, summoner-proxy, from the stock nginx
/// image; that one goes on serving when this command has ended. Settings of the proxy itself are nginx-proxy's variables.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Port of the host for http
    #[arg(long, value_name = "PORT", default_value_t = 80)]
    http_port: u16,
    /// Port of the host for https
    #[arg(long, value_name = "PORT", default_value_t = 443)]
    https_port: u16,
    /// Join only these networks (may be repeated) [default: those of the containers that ask]
    #[arg(long, value_name = "NAME")]
    network: Vec<String>,
    /// Run nginx as a child of this command (here), or use the one in this container, or in the one with the label
    /// com.github.nginx-proxy.nginx-proxy.nginx (label), which shares its conf.d
    #[arg(long, value_name = "here|label|CONTAINER", env = "NGINX_CONTAINER")]
    nginx: Option<String>,
    /// Name the own container so
    #[arg(long, value_name = "NAME", default_value = NAME)]
    name: String,
    /// Make the own container from this image
    #[arg(long, value_name = "IMAGE", default_value = IMAGE)]
    image: String,
    /// Ask this ACME authority for certificates, where a container names no other (its directory)
    #[arg(long, value_name = "URL")]
    ca: Option<String>,
    /// Keep data here [default: where config.yml says, else /var/lib/summoner]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Lock out who fails to sign in with a password of htpasswd (only with the own container)
    #[arg(long, conflicts_with = "nginx")]
    bans: bool,
    /// Take the own container away and end; its data stays
    #[arg(long)]
    down: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let layout = layout(context, args.data.as_deref());
    let engine = Docker::connect_to(socket()).await?;
    let listener = Plain(context.clone());
    if args.down {
        proxy::down(&engine, &args.name, &layout, &listener, context.now).await?;
        return Ok(0);
    }
    let environment: BTreeMap<String, String> = std::env::vars().collect();
    let (globals, refusals) = vhost::globals(&environment);
    for refusal in refusals {
        context.note(&format!("{} is not followed: {}", refusal.key, refusal.reason));
    }
    for (key, reason) in &globals.unused {
        context.note(&format!("{key} has no effect: {reason}"));
    }
    let nginx = match &args.nginx {
        None => globals.nginx_label.clone().map_or_else(|| Where::Own(args.image.clone()), Where::Labelled),
        Some(here) if here == HERE => Where::Here,
        Some(label) if label == LABELLED => Where::Labelled(globals.nginx_label.clone().unwrap_or_else(|| LABEL.to_owned())),
        Some(name) => Where::Container(name.clone()),
    };
    let ports = match nginx {
        Where::Own(_) => (args.http_port, args.https_port),
        Where::Here | Where::Container(_) | Where::Labelled(_) => (globals.http_port, globals.https_port),
    };
    let networks: BTreeSet<String> = args.network.iter().cloned().collect();
    let bans = args.bans.then(|| (policy(context), engine.clone()));
    let alone = Alone {
        certificates: certificates(context, args, &globals),
        nginx,
        layout,
        name: args.name.clone(),
        ports,
        networks,
        globals,
        bans,
        ready,
    };
    proxy::run(&engine, &alone, &listener, context.now, daemon::asked_to_end()).await?;
    if matches!(alone.nginx, Where::Own(_)) {
        context.note(&format!("{} goes on serving what it serves now; summoner proxy --down takes it away", args.name));
    }
    Ok(0)
}

/// A plain line for each thing that happens: it is the log of a service.
struct Plain(Context);

impl Listener for Plain {
    fn hear(&self, event: &Event) {
        match event {
            Event::Note { message } | Event::Progress { message, .. } => self.0.note(message),
            other => self.0.note(&format!("{other:?}")),
        }
    }
}

/// As config.yml says, where there is one.
fn policy(context: &Context) -> Bans {
    context.load().map_or_else(|_| Bans::default(), |loaded| loaded.config.bans)
}

/// The words that people's scripts wait for.
fn ready() {
    // Nobody reads it any more: the proxy goes on.
    let _ = writeln!(std::io::stdout(), "Watching docker events");
}

/// Who signs: what config.yml says, when there is one, with the flag over it.
fn certificates(context: &Context, args: &Args, globals: &Globals) -> Certificates {
    let mut settings = context.load().map(|loaded| loaded.config.certificates).unwrap_or_default();
    if let Some(directory) = &args.ca {
        settings.authorities = vec![Authority::at(directory)];
    }
    if let Some(bundle) = &globals.ca_bundle {
        for authority in &mut settings.authorities {
            authority.root = Some(PathBuf::from(bundle));
        }
        // An authority of one's own judges names by itself: public name servers do not know them.
        settings.preflight = false;
    }
    settings
}

/// Where the proxy keeps its data.
pub(super) fn layout(context: &Context, data: Option<&Path>) -> Layout {
    match data {
        Some(data) => at(data),
        None => context.load().map_or_else(|_| at(Path::new(DATA)), |loaded| loaded.config.layout),
    }
}

fn at(folder: &Path) -> Layout {
    Layout { files: folder.to_owned(), databases: folder.join("database") }
}

/// nginx-proxy's place of the socket, when nobody names another one.
fn socket() -> Option<&'static Path> {
    let path = Path::new(SOCKET);
    (std::env::var_os("DOCKER_HOST").is_none() && path.exists()).then_some(path)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_image_is_the_catalogues() {
        let compose = include_str!("../../../minions/nginx/docker-compose.yml");
        assert!(compose.contains(&format!("image: {}\n", super::IMAGE)));
    }
}
