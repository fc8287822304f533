//! `summoner logs`

use std::io::IsTerminal;

use anstream::adapter::StripBytes;
use futures_util::StreamExt;

use super::context::Context;
use super::{select, show};
use crate::error::{Error, Result};
use crate::name::Role;

/// Show the log of an instance's container
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which instance, or the whole name of a container
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
    let name = select::container(&loaded.config, &args.selector, &args.role)?;
    let instance = select::one(&loaded.config, &name.instance.to_string())?;
    let engine = context.engine().await?;
    let mut stream = std::pin::pin!(engine.follow(&name.to_string(), args.lines, args.follow));
    // Colours are for eyes: a file or another program gets the words alone.
    let mut words = (!std::io::stdout().is_terminal()).then(StripBytes::new);
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| explain(error, &loaded, instance))?;
        show::raw(&words.as_mut().map_or_else(|| piece.clone(), |words| plain(words, &piece)))?;
    }
    Ok(0)
}

/// A piece without what a terminal would obey; a sequence may begin in one piece and end in the next.
fn plain(words: &mut StripBytes, piece: &[u8]) -> Vec<u8> {
    words.strip_next(piece).flatten().copied().collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stay_and_escapes_go() {
        let mut words = StripBytes::new();
        let mut all = Vec::new();
        for piece in ["\x1b[1;31mred\x1b[0m hat\tété ☕\r\n", "\x1b[3", "8;5;200mpink\x1b[m\n", "\x1b]0;title\x07end\n"] {
            all.extend(plain(&mut words, piece.as_bytes()));
        }
        assert_eq!(String::from_utf8(all).unwrap(), "red hat\tété ☕\r\npink\nend\n");
    }
}
