//! `summoner notify`

use serde_json::json;

use super::context::Context;
use super::show;
use crate::error::{Error, Kind, Result};
use crate::notify::Desk;

/// Try out whether hooks and pings arrive
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Send a test through all of them and say what each answered
    Test {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let Command::Test { json } = args.command;
    let loaded = context.load()?;
    let Some(desk) = Desk::of(&loaded.config, Vec::new()) else {
        return Err(Error::usage("config.yml names nobody to tell").next("add `hooks:` or `ping:` to it: wiki/monitoring.md"));
    };
    let (answers, notes) = desk.test(context.now).await;
    let failed = answers.iter().filter(|answer| answer.result.is_err()).count();
    let said = |result: &Result<String, String>| result.as_ref().unwrap_or_else(|why| why).clone();
    if json {
        let all =
            answers.iter().map(|answer| json!({"channel": answer.channel, "ok": answer.result.is_ok(), "message": said(&answer.result)}));
        show::json(&json!({"version": show::JSON_VERSION, "channels": all.collect::<Vec<_>>()}))?;
    } else {
        let row = |ok: bool| if ok { "ok" } else { "FAILED" }.to_owned();
        let rows: Vec<Vec<String>> =
            answers.iter().map(|answer| vec![answer.channel.clone(), row(answer.result.is_ok()), said(&answer.result)]).collect();
        show::text(&show::table(&["CHANNEL", "RESULT", "ANSWER"], &rows))?;
    }
    // What did not arrive is in the result.
    let apart = |note: &&String| !answers.iter().any(|answer| note.starts_with(&answer.channel));
    notes.iter().filter(apart).for_each(|note| context.note(note));
    if failed == 0 {
        return Ok(0);
    }
    let kind = if failed == answers.len() { Kind::External } else { Kind::Partial };
    Err(Error::new(kind, format!("{failed} of {} did not take the test", answers.len())).next("mend it, then: summoner notify test"))
}
