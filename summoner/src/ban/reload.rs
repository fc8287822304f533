//! How an nginx in a container of ours is told that its list changed, where it has no script to see it by itself.

use std::future::Future;
use std::pin::Pin;

use super::Reload;
use crate::docker::engine::Docker;
use crate::error::Result;
use crate::layout::Layout;
use crate::nginx::Nginx;
use crate::plan::route::guard::SCRIPT_FILE;

/// The nginx in this container.
pub struct InContainer {
    /// Its engine.
    pub docker: Docker,
    /// Where its generations are.
    pub layout: Layout,
    /// Its name.
    pub container: String,
}

impl Reload for InContainer {
    fn reload(&self) -> Pin<Box<dyn Future<Output = Result<()>> + Send + '_>> {
        Box::pin(async move {
            let current = self.layout.nginx_current();
            // Which kind it is shows in what it runs now: it may have become another since the guard began.
            if !current.exists() || current.join(SCRIPT_FILE).exists() {
                return Ok(());
            }
            Nginx::new(&self.docker, &self.layout, &self.container).load_again().await
        })
    }
}
