//! What nginx does about bans and floods of sign-ins: tells who signs in, slows them down, shuts out who is listed.
//!
//! Pieces for `base` and `host`, each named after the block that it belongs into. The list itself is no part of a
//! generation: `crate::ban` writes it beside them, and nginx reads it without a reload where it has njs.

use super::writer::{Param, Text, Unsafe};
use crate::minion::SignIn;
use crate::plan::ban::line;

/// The file of the script, beside `nginx.conf`.
pub const SCRIPT_FILE: &str = "guard.js";
/// The list for the script, in the folder of generations.
pub const LIST: &str = "bans";
/// The list for an nginx without njs, in nginx's own words.
pub const MAP: &str = "bans.map";
/// The socket that hears of sign-ins, in the folder of generations.
pub const SOCKET: &str = "sign-ins.sock";
/// Where both the package of nginx.org and that of Debian put the module.
const MODULE: &str = "/usr/lib/nginx/modules/ngx_http_js_module.so";
/// When a lock-out of the first level may end, for an nginx that does not know better.
const RETRY_S: u64 = 300;

/// A configuration that only an nginx accepts for which [`Means::Script`] is right: njs 0.8.1 or newer, as a module.
pub const PROBE: &str = "load_module /usr/lib/nginx/modules/ngx_http_js_module.so;
events {}
http {
    js_shared_dict_zone zone=probe:64k timeout=1d evict;
    server {
        listen 127.0.0.1:8198;
        location @probe {
            js_periodic probe.read interval=1s;
        }
    }
}
";

/// How nginx learns who is locked out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// njs reads the list whenever it changed.
    Script,
    /// The list is a part of the configuration: a change of it needs a reload.
    Map,
}

/// The first nginx whose images hold an njs that can do all of it (0.8.1), as major and minor.
const SCRIPTED: (u32, u32) = (1, 26);

impl Means {
    /// What an nginx of this image can, by its name: the official images hold njs beside nginx, but the slim ones. One that
    /// is not known gets what every nginx can.
    #[must_use]
    pub fn of_image(image: &str) -> Self {
        let image = image.split_once('@').map_or(image, |(name, _)| name);
        let name = image.rsplit('/').next().unwrap_or_default();
        let Some(("nginx", tag)) = name.split_once(':') else { return Self::Map };
        let mut numbers = tag.split(['.', '-']).map(str::parse::<u32>);
        let version = match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => (major, minor),
            _ => return Self::Map,
        };
        if version >= SCRIPTED && !tag.contains("slim") { Self::Script } else { Self::Map }
    }
}

/// The guard of one proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// How nginx learns of bans.
    pub means: Means,
    /// The folder of list and socket as nginx sees it, [`super::INSIDE`] in our own container.
    pub folder: String,
}

/// The ways in of one site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch<'a> {
    /// Whose they are, as bans name it: the instance.
    pub instance: String,
    /// What its minion says.
    pub sign_ins: &'a [SignIn],
}

/// The script, to be written beside `nginx.conf` as [`SCRIPT_FILE`].
///
/// # Errors
/// The folder's name holds what a script or a configuration would read in its own way.
pub fn script(guard: &Guard) -> Result<String, Unsafe> {
    let folder = folder(guard)?;
    Ok(include_str!("guard.js").replace("@LIST@", &format!("{folder}/{LIST}")))
}

/// At the top of the whole configuration, before `events`.
pub fn main(text: &mut Text, guard: &Guard) {
    if guard.means == Means::Script {
        text.line("load_module", &[Param::ours(MODULE)]);
    }
}

/// Inside `http`, before any server.
///
/// # Errors
/// As [`script`].
pub fn http(text: &mut Text, guard: &Guard) -> Result<(), Unsafe> {
    let path = path(guard, MAP)?;
    match guard.means {
        Means::Script => {
            text.remark("Who is locked out: see wiki/bans.md.");
            text.ours("js_import guard from guard.js");
            text.ours("js_shared_dict_zone zone=summoner_bans:8m timeout=400d evict");
            text.ours("js_set $summoner_ban guard.level");
            text.ours("js_set $summoner_ban_left guard.left");
            text.ours("js_set $summoner_client guard.client");
        }
        Means::Map => {
            text.remark("Who is locked out: see wiki/bans.md. This nginx has no njs, so a change needs a reload.");
            text.block("geo", &[Param::ours("$summoner_ban")], |text| {
                text.ours("default \"\"");
                text.line("include", &[path]);
            });
            constant(text, "$summoner_ban_left", RETRY_S);
            text.block("map", &[Param::ours("$host"), Param::ours("$summoner_client")], |text| text.ours("default $binary_remote_addr"));
        }
    }
    text.remark("Sites with a way in set it: whose it is, and which statuses mean what.");
    text.block("map", &[Param::ours("$host"), Param::ours("$summoner_rule")], |text| text.ours("default \"\""));
    text.block("map", &[Param::ours("$summoner_rule"), Param::ours("$summoner_limit")], |text| {
        text.ours("default \"$summoner_rule $summoner_client\"");
        text.ours("\"\" \"\"");
    });
    text.ours("limit_req_zone $summoner_limit zone=summoner_sign_in:10m rate=10r/m");
    text.remark("A name was sent, and this proxy refused its password by itself.");
    text.block("map", &[Param::ours("$remote_user"), Param::ours("$summoner_basic")], |text| {
        text.ours("default 1");
        text.ours("\"\" \"\"");
    });
    text.block("map", &[Param::ours("$status:$upstream_status:$summoner_basic"), Param::ours("$summoner_refused")], |text| {
        text.ours("default \"\"");
        text.ours("401::1 1");
    });
    text.block("map", &[Param::ours("$summoner_rule$summoner_refused"), Param::ours("$summoner_watched")], |text| {
        text.ours("default 1");
        text.ours("\"\" 0");
    });
    text.remark("No word of the client's stands in it, so nobody can pose as another.");
    text.ours(line::FORMAT);
    Ok(())
}

/// Beside every `access_log` that is written, in the same block: a block with one of its own inherits none.
///
/// # Errors
/// As [`script`].
pub fn log(text: &mut Text, guard: &Guard) -> Result<(), Unsafe> {
    let server =
        Param::ours("syslog:server=unix:").then(&path(guard, SOCKET)?).then(&Param::ours(",nohostname,tag=")).then(&Param::ours(line::TAG));
    text.line("access_log", &[server, Param::ours("summoner_sign_in"), Param::ours("if=$summoner_watched")]);
    Ok(())
}

/// Inside one server, whichever: the clock of the script.
pub fn clock(text: &mut Text, guard: &Guard) {
    if guard.means == Means::Script {
        text.block("location", &[Param::ours("@summoner_clock")], |text| text.ours("js_periodic guard.read interval=250ms"));
    }
}

/// Inside every server that serves a site, before its locations. `watch` is None where nobody signs in.
///
/// # Errors
/// A rule holds what cannot be written into nginx's configuration.
pub fn server(text: &mut Text, watch: Option<&Watch<'_>>) -> Result<(), Unsafe> {
    text.block("if ($summoner_ban = 1)", &[], |text| text.ours("return 463"));
    text.block("if ($summoner_ban)", &[], |text| text.ours("return 444"));
    text.ours("error_page 463 =403 @summoner_banned");
    text.block("location", &[Param::ours("@summoner_banned")], |text| {
        text.ours("default_type text/html");
        text.ours("add_header Retry-After $summoner_ban_left always");
        text.ours("add_header Cache-Control no-store always");
        text.line("return", &[Param::ours("403"), Param::ours(BANNED)]);
    });
    let Some(watch) = watch else { return Ok(()) };
    rules(text, watch)?;
    text.ours("limit_req zone=summoner_sign_in burst=10 nodelay");
    text.ours("limit_req_status 429");
    text.ours("error_page 429 = @summoner_slow");
    text.block("location", &[Param::ours("@summoner_slow")], |text| {
        text.ours("default_type text/html");
        text.ours("add_header Retry-After 6 always");
        text.ours("add_header Cache-Control no-store always");
        text.line("return", &[Param::ours("429"), Param::ours(SLOW)]);
    });
    Ok(())
}

const BANNED: &str = "<!doctype html><meta charset=utf-8><title>Locked out</title><p>Too many failed sign-ins came from your address. \
                      Wait a few minutes, then try again.";
const SLOW: &str =
    "<!doctype html><meta charset=utf-8><title>Too fast</title><p>Too many sign-ins in a short time. Wait a few seconds, then try again.";

fn rules(text: &mut Text, watch: &Watch<'_>) -> Result<(), Unsafe> {
    text.ours("set $summoner_rule \"\"");
    text.ours("set $summoner_request \"$request_method $uri\"");
    for sign_in in watch.sign_ins {
        let rule = Param::data("a way to sign in", &line::rule(&watch.instance, sign_in))?;
        for path in &sign_in.paths {
            let pattern = pattern(&sign_in.method, path)?;
            let condition = [Param::ours("($summoner_request"), Param::ours("~*"), pattern, Param::ours(")")];
            text.block("if", &condition, |text| text.line("set", &[Param::ours("$summoner_rule"), rule.clone()]));
        }
    }
    Ok(())
}

/// A path with stars as a regular expression over "METHOD path". Capitals do not matter: many frameworks ignore them.
fn pattern(method: &str, path: &str) -> Result<Param, Unsafe> {
    let what = "the path of a way to sign in";
    let fits = |c: char| c.is_ascii_alphanumeric() || "/_.-*".contains(c);
    if !path.starts_with('/') || !path.chars().all(fits) || !method.chars().all(|c| c.is_ascii_uppercase()) {
        return Err(Unsafe::Form { what, reason: "holds more than letters, digits, `/`, `_`, `.`, `-` and `*`" });
    }
    let words = path.replace('.', "\\.").replace('*', ".*");
    Ok(Param::data(what, &format!("^{method} {words}"))?.then(&Param::ours("$")))
}

fn constant(text: &mut Text, name: &'static str, value: u64) {
    let words = [Param::number(value)];
    text.block("map", &[Param::ours("$host"), Param::ours(name)], |text| text.line("default", &words));
}

fn path(guard: &Guard, name: &'static str) -> Result<Param, Unsafe> {
    Ok(Param::data("the guard's folder", folder(guard)?)?.then(&Param::ours("/")).then(&Param::ours(name)))
}

fn folder(guard: &Guard) -> Result<&str, Unsafe> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "/_.-".contains(c);
    if guard.folder.starts_with('/') && guard.folder.chars().all(fits) {
        Ok(&guard.folder)
    } else {
        Err(Unsafe::Form { what: "the guard's folder", reason: "is not a plain absolute path" })
    }
}

#[cfg(test)]
mod tests;
