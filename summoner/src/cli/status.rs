//! `summoner status`

use crate::error::{Kind, Result};
use crate::plan::status::{Problem, Report};

use super::context::Context;
use super::select;
use super::show;
use crate::observe::observe;

/// Show instances, their containers and what needs a person
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which instances [default: all]
    selector: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load()?;
    let selected = args.selector.as_deref().map(|selector| select::many(&loaded.config, selector)).transpose()?;
    let engine = context.engine().await?;
    let situation = observe(&engine, &loaded.config, &loaded.catalogue, context.now).await?;
    let mut report = Report::new(&situation.wanted, &situation.observed, context.now);
    if let Some(selected) = selected {
        let ids: Vec<String> = selected.iter().map(|instance| instance.id.to_string()).collect();
        report.only(&ids);
    }
    if args.json {
        show::json(&report)?;
    } else {
        show::text(&text(&report, args.selector.is_some()))?;
    }
    Ok(if report.problems.is_empty() { 0 } else { Kind::Partial.exit_code() })
}

fn text(report: &Report, detailed: bool) -> String {
    let rows: Vec<Vec<String>> = report
        .instances
        .iter()
        .map(|instance| {
            let certificate =
                instance.certificate.as_ref().map(|certificate| certificate.not_after.chars().take(10).collect()).unwrap_or_default();
            vec![instance.id.clone(), instance.state.to_owned(), instance.url.clone().unwrap_or_default(), certificate]
        })
        .collect();
    let mut text = show::table(&["INSTANCE", "STATE", "URL", "CERTIFICATE"], &rows);
    if detailed {
        for instance in &report.instances {
            let rows: Vec<Vec<String>> = instance
                .containers
                .iter()
                .map(|container| {
                    let health = if container.health == "none" {
                        container.state.to_owned()
                    } else {
                        format!("{}, {}", container.state, container.health)
                    };
                    vec![
                        container.name.clone(),
                        health,
                        container.image.clone(),
                        container.digest.as_deref().map(short).unwrap_or_default(),
                    ]
                })
                .collect();
            text += "\n";
            text += &show::table(&["CONTAINER", "STATE", "IMAGE", "LOCKED TO"], &rows);
        }
    }
    if !report.foreign.is_empty() {
        let rows: Vec<Vec<String>> = report
            .foreign
            .iter()
            .map(|found| vec![found.name.clone(), found.database.unwrap_or("").to_owned(), found.instance.clone()])
            .collect();
        text += "\nnot installed by Summoner, following its names (never touched):\n";
        text += &show::table(&["CONTAINER", "DATABASE", "INSTANCE"], &rows);
    }
    text + &problems(&report.problems)
}

fn problems(problems: &[Problem]) -> String {
    let mut text = String::new();
    for problem in problems {
        text += &format!("\n{}: {}\n  next: {}\n", problem.instance.as_deref().unwrap_or("host"), problem.message, problem.hint);
    }
    text
}

/// `sha256:` and twelve digits, as docker shows it.
fn short(digest: &str) -> String {
    let hash = digest.rsplit_once(':').map_or(digest, |(_, hash)| hash);
    hash.chars().take(12).collect()
}
