//! Parses, runs, and turns the result into an exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use summoner::cli::{self, Cli};
use summoner::daemon;
use summoner::error::{Error, Kind};

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let shown = error.print();
            return ExitCode::from(if error.use_stderr() || shown.is_err() { Kind::Usage.exit_code() } else { 0 });
        }
    };
    let filter = tracing_subscriber::EnvFilter::new(cli.log_filter());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    // The one place that chooses the cryptography of every TLS connection.
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        return show(&Error::internal("two providers of cryptography"));
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return show(&Error::external("cannot start the runtime").cause(error)),
    };
    let result = runtime.block_on(async {
        let rest = cli.rest();
        if rest.hears_signals() {
            return cli::run(cli).await;
        }
        tokio::select! {
            result = cli::run(cli) => return result,
            () = daemon::asked_to_end() => {}
        }
        let error = Error::new(Kind::Interrupted, "interrupted").next("the same command again finishes the work: nothing is lost");
        // What it stopped starts again; whoever is in a hurry leaves that to the next command.
        tokio::select! {
            whole = rest.make_whole() => match whole {
                Ok(()) => Err(error),
                Err(left) => Err(error.cause(left.message)),
            },
            () = daemon::asked_to_end() => Err(error.cause("stopped twice: what it stopped starts with the next command")),
        }
    });
    // A command that was interrupted may leave a blocking read of the terminal behind.
    runtime.shutdown_background();
    match result {
        Ok(code) => ExitCode::from(code),
        Err(error) => show(&error),
    }
}

fn show(error: &Error) -> ExitCode {
    // Nobody reads standard error any more: the exit code still tells.
    let _ = writeln!(std::io::stderr(), "{error}");
    ExitCode::from(error.kind.exit_code())
}
