//! A command whose streams are held, in memory: the container's program is asked after everything that it is sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::io::AsyncReadExt;
use tokio::sync::mpsc;

use super::SharedProgram;
use crate::docker::{ExecPiece, ExecSession, ExecSpec};

/// What may wait between the two.
const BUFFER: usize = 1 << 16;
/// The exit code of a command that waited for more when its input was closed.
const KILLED: i64 = 137;
/// The exit code of a command that runs yet.
pub(super) const RUNS: i64 = -1;

/// Begins it; `code` becomes its exit code.
pub(super) fn begin(id: String, program: Option<SharedProgram>, spec: ExecSpec, code: Arc<AtomicI64>) -> ExecSession {
    let (input, mut heard) = tokio::io::duplex(BUFFER);
    let (say, said) = mpsc::unbounded_channel::<ExecPiece>();
    tokio::spawn(async move {
        let mut all = Vec::new();
        loop {
            let (pieces, end) = program.as_ref().map_or((Vec::new(), Some(0)), |program| program.hears(&spec, &all));
            for piece in pieces {
                if say.send(piece).is_err() {
                    return;
                }
            }
            let more = if end.is_some() { 0 } else { heard.read_buf(&mut all).await.unwrap_or(0) };
            if more == 0 {
                code.store(end.unwrap_or(KILLED), Ordering::SeqCst);
                return;
            }
        }
    });
    let output = futures_util::stream::unfold(said, |mut said| async move { said.recv().await.map(|piece| (Ok(piece), said)) });
    ExecSession { id, input: Box::pin(input), output: Box::pin(output) }
}
