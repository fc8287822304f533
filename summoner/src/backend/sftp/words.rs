//! What a person reads when the other host, or ssh, says no.

use super::session::{Fault, NO_SUCH_FILE, PERMISSION_DENIED};
use crate::config::repositories::Sftp;
use crate::error::Error;

const AGAIN: &str = "run the same command again; what arrived is not sent twice";

/// The error of an operation that failed; `said` is what ssh printed.
pub(super) fn explain(message: String, fault: &Fault, said: &str, settings: &Sftp) -> Error {
    let error = Error::external(message);
    match fault {
        Fault::Source(source) => error.cause(source),
        Fault::Refused(code, text) => {
            let text = if text.is_empty() { "the server gives no reason" } else { text };
            match *code {
                PERMISSION_DENIED => error.cause(text).next(format!(
                    "let {} write below {} there; an account that may only add wants append_only: true",
                    settings.user, settings.path
                )),
                NO_SUCH_FILE => error.cause(text).next(format!("see whether {} is there", settings.path)),
                _ => error.cause(format!("the server refused: {text}")).next(AGAIN),
            }
        }
        Fault::Lost(source) if source.kind() == std::io::ErrorKind::NotFound => {
            error.cause("there is no program `ssh` on this host").next("apt-get install openssh-client")
        }
        Fault::Lost(source) if said.is_empty() => error.cause(source).next(AGAIN),
        Fault::Lost(_) => hint(error.cause(said), said, settings),
    }
}

/// What to do about ssh's own words.
fn hint(error: Error, said: &str, settings: &Sftp) -> Error {
    let Sftp { user, host, port, key_file, known_hosts, .. } = settings;
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if says(&["REMOTE HOST IDENTIFICATION HAS CHANGED"]) {
        return error.next(format!("the key of {host} is another than the one that is known: ask its owner why before anything else"));
    }
    if says(&["Host key verification failed", "host key is known"]) {
        let file = known_hosts.as_ref().map_or_else(|| "~/.ssh/known_hosts".to_owned(), |file| file.display().to_string());
        return error
            .next(format!("ssh-keyscan -p {port} {host} >> {file}"))
            .next("and compare what it says with what the owner of that host tells you: ssh-keygen -lf");
    }
    if says(&["UNPROTECTED PRIVATE KEY", "bad permissions"]) {
        return error.next(format!("chmod 600 {}", key_file.as_ref().map_or_else(String::new, |file| file.display().to_string())));
    }
    if says(&["Permission denied"]) {
        let key = key_file.as_ref().map_or_else(|| "the key".to_owned(), |file| file.display().to_string());
        return error.next(format!("let {user} sign in there with {key}: its public half (ssh-keygen -y -f) belongs into authorized_keys"));
    }
    if says(&["subsystem request failed"]) {
        return error.next(format!("let {user} use SFTP there: `Subsystem sftp internal-sftp` in sshd_config"));
    }
    error.next(format!("see whether {host} answers on port {port}, then run the same command again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::repositories::Place;

    #[test]
    fn each_refusal_says_what_to_do() {
        let Ok(Place::Sftp(settings)) = "sftp://backup@other.example.org:2222/srv/x".parse() else { panic!() };
        let settings = Sftp { key_file: Some("/etc/key".into()), known_hosts: Some("/etc/hosts".into()), ..settings };
        let lost = || Fault::Lost(std::io::ErrorKind::UnexpectedEof.into());
        let said = [
            (lost(), "Host key verification failed."),
            (lost(), "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed."),
            (lost(), "backup@other.example.org: Permission denied (publickey)."),
            (lost(), "ssh: connect to host other.example.org port 2222: Connection refused"),
            (lost(), "subsystem request failed on channel 0"),
            (lost(), "WARNING: UNPROTECTED PRIVATE KEY FILE!\nPermission denied (publickey)."),
            (Fault::Lost(std::io::ErrorKind::NotFound.into()), ""),
            (Fault::Refused(PERMISSION_DENIED, "Permission denied".to_owned()), ""),
            (Fault::Refused(4, "Failure".to_owned()), ""),
        ]
        .map(|(fault, said)| explain("cannot store a".to_owned(), &fault, said, &settings).to_string());
        insta::assert_snapshot!(said.join("\n"), @r"
        error: cannot store a
          cause: Host key verification failed.
          next:  ssh-keyscan -p 2222 other.example.org >> /etc/hosts
          next:  and compare what it says with what the owner of that host tells you: ssh-keygen -lf
        error: cannot store a
          cause: @ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @
                 Host key verification failed.
          next:  the key of other.example.org is another than the one that is known: ask its owner why before anything else
        error: cannot store a
          cause: backup@other.example.org: Permission denied (publickey).
          next:  let backup sign in there with /etc/key: its public half (ssh-keygen -y -f) belongs into authorized_keys
        error: cannot store a
          cause: ssh: connect to host other.example.org port 2222: Connection refused
          next:  see whether other.example.org answers on port 2222, then run the same command again
        error: cannot store a
          cause: subsystem request failed on channel 0
          next:  let backup use SFTP there: `Subsystem sftp internal-sftp` in sshd_config
        error: cannot store a
          cause: WARNING: UNPROTECTED PRIVATE KEY FILE!
                 Permission denied (publickey).
          next:  chmod 600 /etc/key
        error: cannot store a
          cause: there is no program `ssh` on this host
          next:  apt-get install openssh-client
        error: cannot store a
          cause: Permission denied
          next:  let backup write below /srv/x there; an account that may only add wants append_only: true
        error: cannot store a
          cause: the server refused: Failure
          next:  run the same command again; what arrived is not sent twice
        ");
    }
}
