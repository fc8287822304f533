//! `summoner credentials`

use serde::Serialize;

use super::context::Context;
use super::show::{self, JSON_VERSION};
use super::{open, select};
use crate::error::{Error, Result};
use crate::minion::template::{Inputs, Variables};
use crate::state::secrets;

/// Show how to sign in to an instance
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which instance
    selector: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Json {
    version: u32,
    instance: String,
    url: String,
    user: String,
    password: String,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    let config = &loaded.config;
    let instance = select::one(config, &args.selector)?;
    let minion = loaded.catalogue.get(&instance.minion)?;
    let none = || Error::usage(format!("{} has no sign-in that Summoner made", instance.id));
    let administrator = minion.administrator.as_ref().ok_or_else(none)?;
    let host = instance.host.as_ref().ok_or_else(none)?;
    let password = secrets::read(&config.layout, &instance.id, &administrator.password)?
        .ok_or_else(|| Error::external(format!("{} is not installed yet: it has no password", instance.id)).next("summoner install"))?;
    let inputs = Inputs {
        id: &instance.id,
        minion,
        layout: &config.layout,
        host: Some(host.as_str()),
        https_port: config.proxy.https_port,
        http_port: config.proxy.http_port,
        proxy_address: config.proxy.address,
        proxy_subnet: "",
        email: &config.email,
        timezone: &config.timezone,
    };
    let variables = Variables::new(&inputs, &std::collections::BTreeMap::from([(administrator.password.clone(), password.clone())]));
    let user = variables
        .and_then(|variables| variables.text(&administrator.user))
        .map_err(|error| Error::internal("the administrator's name cannot be filled in").cause(error))?;
    let url = open::url(config, host, &administrator.path);
    if args.json {
        show::json(&Json { version: JSON_VERSION, instance: instance.id.to_string(), url, user, password })?;
    } else {
        show::text(&format!("url       {url}\nuser      {user}\npassword  {password}\n"))?;
    }
    Ok(0)
}
