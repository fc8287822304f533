//! `summoner plan`

use serde::Serialize;

use super::context::{Context, Loaded};
use super::show::{self, JSON_VERSION};
use crate::error::{Error, Kind, Result};
use crate::event::Silent;
use crate::plan::deploy::Scope;
use crate::plan::{Plan, Step};

/// Show what `install` would do and why
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Exit with 4 when something would change
    #[arg(long)]
    check: bool,
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    steps: &'a [Step],
    obstacles: &'a [crate::plan::Obstacle],
}

pub(super) async fn run(context: &Context, args: &Args) -> Result<u8> {
    let loaded = context.load_aloud()?;
    let plan = decide(context, &loaded, &Scope::default()).await?;
    show_plan(&plan, args.json)?;
    if args.check && !plan.is_empty() { Ok(Kind::Pending.exit_code()) } else { blocked(&plan) }
}

/// Prints the plan of a scope, for `--dry-run`.
pub(super) async fn print(context: &Context, loaded: &Loaded, scope: &Scope, json: bool) -> Result<u8> {
    let plan = decide(context, loaded, scope).await?;
    show_plan(&plan, json)?;
    blocked(&plan)
}

async fn decide(context: &Context, loaded: &Loaded, scope: &Scope) -> Result<Plan> {
    let engine = context.engine().await?;
    let (_, plan) = context.world(loaded, &engine, &Silent).plan(scope).await?;
    Ok(plan)
}

fn show_plan(plan: &Plan, json: bool) -> Result<()> {
    if json {
        return show::json(&Json { version: JSON_VERSION, steps: &plan.steps, obstacles: &plan.obstacles });
    }
    if plan.is_empty() {
        return show::text("nothing to do\n");
    }
    let mut text = steps(plan);
    for obstacle in &plan.obstacles {
        text += &format!("{}\n  cannot be installed: {}\n  next: {}\n", obstacle.instance, obstacle.message, obstacle.hint);
    }
    text += &format!("\n{} step{}; summoner install does them\n", plan.steps.len(), if plan.steps.len() == 1 { "" } else { "s" });
    show::text(&text)
}

/// Prints steps as text, or as `plan --json` does.
pub(super) fn show_steps(plan: &Plan, json: bool) -> Result<()> {
    if json { show_plan(plan, true) } else { show::text(&steps(plan)) }
}

/// Steps by instance, each with its reason.
pub(super) fn steps(plan: &Plan) -> String {
    let mut text = String::new();
    let mut last = None;
    for step in &plan.steps {
        let whose = step.instance.as_ref().map_or_else(|| "host".to_owned(), ToString::to_string);
        if last.as_ref() != Some(&whose) {
            text += &format!("{whose}\n");
            last = Some(whose);
        }
        let mark = if step.destructive { "!" } else { " " };
        text += &format!(" {mark}{:<20} {}\n                       because {}\n", step.action.words(), step.object, step.reason);
    }
    text
}

/// A plan that cannot be carried out is no success.
fn blocked(plan: &Plan) -> Result<u8> {
    match plan.obstacles.first() {
        None => Ok(0),
        Some(first) => Err(Error::external(format!("{} cannot be installed: {}", first.instance, first.message)).next(first.hint.clone())),
    }
}
