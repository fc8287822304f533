//! The page of metrics as a companion of the daemon: what it needs, out of config.yml and the catalogue.

use std::sync::Arc;

use super::clock;
use super::companions::Companion;
use super::runner::{Cancel, Setup};
use crate::docker::engine::Docker;
use crate::error::Result;
use crate::metrics::{self, Page};

/// Serves the numbers at the port that `metrics:` names.
#[must_use]
pub fn companion() -> Companion {
    Companion {
        name: "the page of metrics",
        wanted: |setup| setup.config.outside.metrics_port.is_some(),
        work: Box::new(|setup, cancel, _| Box::pin(serve(setup, cancel))),
    }
}

async fn serve(setup: Arc<Setup>, cancel: Cancel) -> Result<()> {
    let Some(port) = setup.config.outside.metrics_port else { return Ok(()) };
    let page: Page = Box::new(move || {
        let setup = Arc::clone(&setup);
        Box::pin(async move {
            // That it does not answer is a number too.
            let engine = Docker::connect().await.ok();
            metrics::text(&setup.config, &setup.catalogue, engine.as_ref(), clock::now()).await
        })
    });
    metrics::serve(port, page, cancel.cancelled()).await
}
