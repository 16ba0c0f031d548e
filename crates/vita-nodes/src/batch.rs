//! Batches from parts that do not fit.

use std::sync::Arc;

use vita_graph::NodeError;

use crate::data::Image;
use crate::resize::{Crop, Method, scale};

/// One batch behind the other. What is not of the size of the first is cut to its ratio and scaled; channels that
/// are missing are opaque.
///
/// # Errors
/// If all together are too large.
///
/// # Panics
/// If there is none.
pub fn join_images(parts: &[Arc<Image>]) -> Result<Image, NodeError> {
    let [_, height, width, _] = parts[0].sizes();
    let channels = parts.iter().map(|part| part.channels()).max().unwrap_or(3);
    Image::check([parts.iter().map(|part| part.count()).sum(), height, width, channels])?;
    let fitted = parts.iter().map(|part| {
        let part = part.with_channels(channels);
        match part.sizes()[1..3] == [height, width] {
            true => Ok(part),
            false => scale(&part, [width, height], Method::Bilinear, Crop::Center),
        }
    });
    Ok(Image::join(&fitted.collect::<Result<Vec<_>, _>>()?))
}
