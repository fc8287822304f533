//! What the engine's refusals mean for a person: the sentence and the next command.

use std::io::ErrorKind;

use bollard::errors::Error as Client;

use crate::error::Error;

/// How to get an engine where there is none.
const GET_DOCKER: &str = "scripts/engine installs and starts Docker; on Debian and Ubuntu also: apt-get install docker.io";

/// "cannot {doing}" with the engine's reason and what to do about it.
pub(super) fn explain(doing: &str, error: &Client) -> Error {
    let cause = reason(error);
    let failed = Error::external(format!("cannot {doing}")).cause(&cause);
    if let Some(connection) = connection(error) {
        return connection;
    }
    hint(failed, &cause)
}

/// The status of an answer, when there was one.
pub(super) fn status(error: &Client) -> Option<u16> {
    match error {
        Client::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Faults of reaching the engine at all, which matter more than what was being done.
pub(super) fn connection(error: &Client) -> Option<Error> {
    let kind = match error {
        Client::SocketNotFoundError(path) => return Some(no_docker(path)),
        Client::IOError { err } => err.kind(),
        other => io_kind(other)?,
    };
    Some(match kind {
        ErrorKind::NotFound => no_docker("its socket"),
        ErrorKind::ConnectionRefused => Error::external("Docker is installed but does not run")
            .cause(reason(error))
            .next("systemctl start docker   (or scripts/engine)"),
        ErrorKind::PermissionDenied => {
            Error::external("this user may not talk to Docker").cause(reason(error)).next("run the command as root (sudo)")
        }
        _ => return None,
    })
}

fn no_docker(socket: &str) -> Error {
    Error::external("there is no Docker Engine here, or it does not run").cause(format!("{socket} does not exist")).next(GET_DOCKER)
}

/// The I/O error at the end of a chain of sources.
fn io_kind(error: &Client) -> Option<ErrorKind> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(at) = source {
        if let Some(io) = at.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        source = at.source();
    }
    None
}

fn reason(error: &Client) -> String {
    match error {
        Client::DockerResponseServerError { message, .. } => message.clone(),
        Client::DockerStreamError { error } => error.clone(),
        Client::RequestTimeoutError => "the engine did not answer in time".into(),
        other => {
            let mut text = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(at) = source {
                let more = at.to_string();
                if !text.contains(&more) {
                    text = format!("{text}: {more}");
                }
                source = at.source();
            }
            text
        }
    }
}

/// The next command for the refusals that people meet.
fn hint(failed: Error, cause: &str) -> Error {
    let has = |text: &str| cause.contains(text);
    if has("no space left on device") {
        failed.next("free space on the disk of Docker (docker system df), then run the same command again: nothing was lost")
    } else if has("port is already allocated") || has("address already in use") {
        failed.next("summoner doctor   names who holds the port; config.yml can choose another: proxy.http_port, proxy.https_port")
    } else if has("is too new. Maximum supported API version") || has("is too old") {
        failed.next("update Docker Engine to 20.10 or newer")
    } else if has("Pool overlaps") {
        failed.next("choose another private range in config.yml: networks.range")
    } else {
        failed
    }
}

/// A pull that failed: the image is named, and what can be done is said.
pub(super) fn pull(reference: &str, error: &Client) -> Error {
    if let Some(connection) = connection(error) {
        return connection;
    }
    let cause = reason(error);
    let lower = cause.to_lowercase();
    let has = |text: &str| lower.contains(text);
    let failed = Error::external(format!("cannot pull the image {reference}")).cause(&cause);
    if has("no space left") {
        return hint(failed, &lower);
    }
    if has("toomanyrequests") || has("rate limit") {
        return failed.next("docker login   (the registry limits anonymous pulls), or try again in an hour");
    }
    if has("unauthorized") || has("denied") || has("no basic auth") || has("authentication required") {
        let registry = reference.split('/').next().filter(|first| first.contains('.') || first.contains(':')).unwrap_or_default();
        return failed.next(format!("docker login {registry}").trim_end().to_owned() + ", then the same command again");
    }
    if has("manifest unknown") || has("not found") || has("does not exist") {
        return failed
            .next("check the version in config.yml: the registry has no such tag")
            .next(format!("scripts/images {reference}   builds it here, where there is a recipe"));
    }
    failed.next(format!("scripts/images {reference}   builds it here from packages, where there is a recipe for it"))
}
