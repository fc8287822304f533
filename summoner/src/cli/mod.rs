//! The command line: parse, call, show. One file a command; logic lives below this layer.
//!
//! Standard output carries the result, standard error the story.

mod bans;
mod certs;
mod completions;
mod compose;
mod config;
mod context;
mod credentials;
mod daemon;
mod doctor;
mod drill;
mod exec;
mod forget;
mod from;
mod init;
mod install;
mod invoke;
mod keys;
mod lifecycle;
mod logs;
mod man;
mod metrics;
mod minions;
mod news;
mod notify;
mod open;
mod plan;
mod progress;
mod proxy;
mod rebuild;
mod recovery_card;
mod rehearse;
mod remove;
mod restore;
mod routes;
mod run_due;
mod schedule;
mod select;
mod show;
mod snapshots;
mod status;
mod sync;
mod take;
mod tending;
mod verify;
mod version;

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::error::Result;

/// Turn a bare server and one config.yml into a team's toolbox
#[derive(Debug, Parser)]
#[command(name = "summoner", version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
pub struct Globals {
    /// Use this configuration [default: $`SUMMONER_CONFIG_FILE`, then ~/.summoner, then ./config.yml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Show engine calls (twice: everything)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Show only results
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Tell what happens as text or as JSON, one object a line, on standard error
    #[arg(long, global = true, value_enum, default_value_t = Progress::Text, value_name = "FORM")]
    progress: Progress,
    /// Wait for another command to end instead of failing
    #[arg(long, global = true)]
    wait: bool,
    /// Answer every question with what it suggests
    #[arg(short, long, global = true)]
    yes: bool,
}

/// How the story is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Progress {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Doctor(doctor::Args),
    #[command(subcommand)]
    Config(config::Command),
    Minions(minions::Args),
    #[command(subcommand)]
    Compose(compose::Command),
    Plan(plan::Args),
    Install(install::Args),
    Invoke(invoke::Args),
    Remove(remove::Args),
    Start(lifecycle::StartArgs),
    Stop(lifecycle::StopArgs),
    Restart(lifecycle::RestartArgs),
    Status(status::Args),
    Dump(take::DumpArgs),
    Backup(take::BackupArgs),
    Snapshots(snapshots::Args),
    Verify(verify::Args),
    Forget(forget::Args),
    Sync(sync::Args),
    Restore(restore::Args),
    Drill(drill::Args),
    Rehearse(rehearse::Args),
    Logs(logs::Args),
    Exec(exec::Args),
    Open(open::Args),
    Credentials(credentials::Args),
    Keys(keys::Args),
    RecoveryCard(recovery_card::Args),
    Routes(routes::Args),
    Proxy(proxy::Args),
    Schedule(schedule::Args),
    Metrics(metrics::Args),
    Notify(notify::Args),
    RunDue(run_due::Args),
    Daemon(daemon::Args),
    Certs(certs::Args),
    Bans(bans::Args),
    Completions(completions::Args),
    Man(man::Args),
    Version(version::Args),
}

/// Runs the command; the number is the exit code.
///
/// # Errors
/// Whatever failed, ready to be shown.
pub async fn run(cli: Cli) -> Result<u8> {
    let context = context::Context::new(cli.globals)?;
    match cli.command {
        Command::Init(args) => init::run(&context, &args).await,
        Command::Doctor(args) => doctor::run(&context, &args).await,
        Command::Config(command) => config::run(&context, &command),
        Command::Minions(args) => minions::run(&context, &args),
        Command::Compose(command) => compose::run(&command),
        Command::Plan(args) => plan::run(&context, &args).await,
        Command::Install(args) => install::run(&context, &args).await,
        Command::Invoke(args) => invoke::run(&context, &args).await,
        Command::Remove(args) => remove::run(&context, &args).await,
        Command::Start(args) => lifecycle::start(&context, &args).await,
        Command::Stop(args) => lifecycle::stop(&context, &args).await,
        Command::Restart(args) => lifecycle::restart(&context, &args).await,
        Command::Status(args) => status::run(&context, &args).await,
        Command::Dump(args) => take::dump(&context, &args).await,
        Command::Backup(args) => take::backup(&context, &args).await,
        Command::Snapshots(args) => snapshots::run(&context, &args).await,
        Command::Verify(args) => verify::run(&context, &args).await,
        Command::Forget(args) => forget::run(&context, &args).await,
        Command::Sync(args) => sync::run(&context, &args).await,
        Command::Restore(args) => restore::run(&context, &args).await,
        Command::Drill(args) => drill::run(&context, &args).await,
        Command::Rehearse(args) => rehearse::run(&context, &args).await,
        Command::Logs(args) => logs::run(&context, &args).await,
        Command::Exec(args) => exec::run(&context, &args).await,
        Command::Open(args) => open::run(&context, &args),
        Command::Credentials(args) => credentials::run(&context, &args),
        Command::Keys(args) => keys::run(&context, &args),
        Command::RecoveryCard(args) => recovery_card::run(&context, &args),
        Command::Routes(args) => routes::run(&context, &args).await,
        Command::Proxy(args) => proxy::run(&context, &args).await,
        Command::Schedule(args) => schedule::run(&context, &args),
        Command::Metrics(args) => metrics::run(&context, &args).await,
        Command::Notify(args) => notify::run(&context, &args).await,
        Command::RunDue(args) => run_due::run(&context, &args).await,
        Command::Daemon(args) => daemon::run(&context, &args).await,
        Command::Certs(args) => certs::run(&context, &args).await,
        Command::Bans(args) => bans::run(&context, &args).await,
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
        Command::Version(args) => version::run(&args),
    }
}

/// The whole command line, for completions and manuals.
fn command() -> clap::Command {
    Cli::command()
}

/// What remains to be done when a command is interrupted.
pub struct Rest {
    globals: Globals,
    hears_signals: bool,
}

impl Rest {
    /// Whether the command itself ends when it is asked to.
    #[must_use]
    pub fn hears_signals(&self) -> bool {
        self.hears_signals
    }

    /// Ends what the interrupted command began: its journal is replayed.
    ///
    /// # Errors
    /// Something does not start again; the next command tries again.
    pub async fn make_whole(self) -> Result<()> {
        context::Context::new(self.globals)?.make_whole().await.map(drop)
    }
}

impl Cli {
    /// To be asked for before the command runs.
    #[must_use]
    pub fn rest(&self) -> Rest {
        let hears_signals = matches!(self.command, Command::Daemon(_) | Command::RunDue(_) | Command::Proxy(_) | Command::Rehearse(_));
        Rest { globals: self.globals.clone(), hears_signals }
    }

    /// How much the log shows, as `tracing` filters spell it.
    #[must_use]
    pub fn log_filter(&self) -> &'static str {
        match self.globals.verbose {
            0 => "off",
            1 => "summoner=debug",
            _ => "debug",
        }
    }
}
