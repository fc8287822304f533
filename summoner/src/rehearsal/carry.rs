//! Brings images of this host into the machine, as a stream from one engine to the other.

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use super::Rehearsal;
use super::machine::command;
use crate::docker::{Engine, ExecPiece};
use crate::error::{Error, Result};

/// What the other engine says of a load is kept to this length.
const SAID_MAX: usize = 64 << 10;

impl Rehearsal<'_> {
    /// Loads images into the machine's engine: the same ids, and the names that they have here.
    ///
    /// # Errors
    /// One is not here, or the other engine refuses.
    pub async fn carry(&self, images: &[String]) -> Result<()> {
        if images.is_empty() {
            return Ok(());
        }
        self.say(format!("carrying {} images over", images.len()));
        let session = self.docker.open_exec(self.name(), &command(&["docker", "load", "-q"])).await?;
        let (mut input, mut output) = (session.input, session.output);
        let fail = |error: std::io::Error| Error::external("cannot carry the images over").cause(error);
        let send = async {
            let mut bytes = Box::pin(self.docker.save(images));
            while let Some(piece) = bytes.next().await {
                input.write_all(&piece?).await.map_err(fail)?;
            }
            input.shutdown().await.map_err(fail)
        };
        let mut said = Vec::new();
        let receive = async {
            while let Some(piece) = output.next().await {
                let (ExecPiece::Out(bytes) | ExecPiece::Err(bytes)) = piece?;
                said.extend_from_slice(&bytes[..bytes.len().min(SAID_MAX.saturating_sub(said.len()))]);
            }
            Ok::<_, Error>(())
        };
        tokio::try_join!(send, receive)?;
        match self.docker.exec_state(&session.id).await?.exit_code {
            Some(0) => Ok(()),
            _ => Err(Error::external("the engine of the empty machine refused the images").cause(String::from_utf8_lossy(&said))),
        }
    }
}
