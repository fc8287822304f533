//! Images as streams, for another engine: never whole in memory, never on this disk.

use bollard::errors::Error as Failure;
use futures_util::{Stream, StreamExt};

use super::engine::Docker;
use super::failure;
use crate::error::{Error, Result};

impl Docker {
    /// What `docker save` would write of these images, which are here.
    pub fn save(&self, images: &[String]) -> impl Stream<Item = Result<Vec<u8>>> + use<> {
        let names: Vec<&str> = images.iter().map(String::as_str).collect();
        let doing = format!("read the images {}", names.join(", "));
        self.patient()
            .export_images(&names)
            .map(move |piece: Result<_, Failure>| piece.map(|bytes| bytes.to_vec()).map_err(|error| failure::explain(&doing, &error)))
    }

    /// How large an image is, unpacked.
    ///
    /// # Errors
    /// It is not here.
    pub async fn image_bytes(&self, image: &str) -> Result<u64> {
        let found = self.patient().inspect_image(image).await;
        let found = found.map_err(|error| failure::explain(&format!("look at the image {image}"), &error))?;
        let size = found.size.and_then(|size| u64::try_from(size).ok());
        size.ok_or_else(|| Error::external(format!("the engine does not say how large {image} is")))
    }
}
