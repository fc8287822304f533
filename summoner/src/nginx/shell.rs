//! A small shell that stays open in nginx's container: a question there costs the engine nothing but two messages,
//! where a new command costs it up to 100 ms.
//!
//! The script is fixed; only paths of ours go in, one a line. Whoever uses it falls back to commands when it fails.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::docker::{Engine, ExecPiece, ExecSession, ExecSpec};
use crate::error::{Error, Result};

/// `t FILE` tests a configuration, `h` tells nginx, the container's first process or its child, to load its own.
const SCRIPT: &str = r#"while read -r word file; do
  case $word in
    t) nginx -t -c "$file" 2>&1 ;;
    h) kill -HUP "$(cat /run/nginx.pid 2>/dev/null || cat /var/run/nginx.pid)" 2>&1 ;;
  esac
  printf '\n=%s\n' "$?"
done"#;
/// Far more than nginx says.
const MAX_ANSWER_BYTES: usize = 256 << 10;

/// The open shell.
pub(super) struct Shell {
    session: ExecSession,
}

impl Shell {
    pub(super) async fn open<E: Engine>(engine: &E, container: &str) -> Result<Self> {
        let command = ["sh", "-c", SCRIPT].map(str::to_owned).to_vec();
        let session = engine.open_exec(container, &ExecSpec { command, ..ExecSpec::default() }).await?;
        Ok(Self { session })
    }

    /// What `nginx -t` says; None when it accepts the file.
    pub(super) async fn test(&mut self, file: &str, within: Duration) -> Result<Option<String>> {
        let (code, said) = self.ask(&format!("t {file}\n"), within).await?;
        Ok((code != 0).then_some(said))
    }

    /// Tells nginx to load its configuration.
    pub(super) async fn hang_up(&mut self, within: Duration) -> Result<()> {
        match self.ask("h\n", within).await? {
            (0, _) => Ok(()),
            (_, said) => Err(Error::external("nginx cannot be told to load its configuration").cause(said.trim())),
        }
    }

    async fn ask(&mut self, question: &str, within: Duration) -> Result<(i32, String)> {
        let broken = || Error::external("the shell in nginx's container broke off");
        let talk = async {
            self.session.input.write_all(question.as_bytes()).await.map_err(|error| broken().cause(error))?;
            self.session.input.flush().await.map_err(|error| broken().cause(error))?;
            let mut said = Vec::new();
            loop {
                match self.session.output.next().await {
                    Some(piece) => match piece? {
                        ExecPiece::Out(bytes) | ExecPiece::Err(bytes) => said.extend(bytes),
                    },
                    None => return Err(broken()),
                }
                if let Some(answer) = answer(&said) {
                    return Ok(answer);
                }
                if said.len() > MAX_ANSWER_BYTES {
                    return Err(broken().cause("it says too much"));
                }
            }
        };
        timeout(within, talk).await.map_err(|_| broken().cause("it does not answer"))?
    }
}

/// The exit code at the end of what was said, and the words before it.
fn answer(said: &[u8]) -> Option<(i32, String)> {
    let text = String::from_utf8_lossy(said);
    let (words, code) = text.strip_suffix('\n')?.rsplit_once("\n=")?;
    Some((code.parse().ok()?, words.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_whole_or_not_there() {
        assert_eq!(answer(b"nginx: ok\n\n=0\n"), Some((0, "nginx: ok\n".to_owned())));
        assert_eq!(answer(b"\n=1\n"), Some((1, String::new())));
        assert_eq!(answer(b"nginx: ok\n\n=1"), None, "a code that may go on");
        assert_eq!(answer(b"nginx: a\n=b\n"), None);
    }
}
