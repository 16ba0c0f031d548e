//! What a whole run takes, stage by stage, before it takes it; and what would fit where it does not.
//!
//! A stage's networks are loaded when it begins and may be dropped when it ends, so the largest stage counts.
//! Mapped files are not counted: the system drops their pages when it needs them.

use vita_tensor::Tensor;

use super::models::Models;
use super::request::{FRAME_STEP, SIZE_STEP, Source, VideoRequest};
use super::run::{CONTEXT_STYLE, tiles};
use crate::Error;
use crate::error::Fits;
use crate::guidance::needs_negative;
use crate::memory::{BASE_BYTES, Estimate, StageMemory};
use crate::parts::Room;
use crate::progress::Stage;
use crate::residency::Residency;

/// What a request takes of memory, if `free_bytes` are there for it; without a bound, what is fastest.
///
/// # Errors
/// If a prompt cannot be tokenised.
pub fn estimate(models: &Models, request: &VideoRequest, free_bytes: Option<u64>) -> Result<Estimate, Error> {
    estimate_in(models, request, Room::on_host(free_bytes))
}

fn estimate_in(models: &Models, request: &VideoRequest, room: Room) -> Result<Estimate, Error> {
    let prompts = [&request.prompt, &request.negative_prompt];
    let used = if uses_negative(models, request) { 2 } else { 1 };
    let mut tokens = Vec::with_capacity(used);
    for prompt in &prompts[..used] {
        tokens.push(models.text_encoder.token_count(prompt, CONTEXT_STYLE)?);
    }
    Ok(estimate_with(models, request, &tokens, room))
}

/// [`estimate`], and an error if that is more than what is free.
pub(super) fn check(models: &Models, request: &VideoRequest, residency: &Residency) -> Result<Estimate, Error> {
    let free_bytes = residency.memory_bytes_max();
    let whole = |request: &VideoRequest| estimate_in(models, request, Room::of(residency));
    let fits = |made: &Estimate| free_bytes.is_none_or(|free| made.peak_bytes() <= free);
    let estimate = |request: &VideoRequest| {
        let made = whole(request)?;
        let has_card = residency.card().is_some();
        Ok::<_, Error>(if has_card && !fits(&made) { swapping(made, models, free_bytes) } else { made })
    };
    let made = estimate(request)?;
    let (Some(free), Some(largest)) = (free_bytes, made.largest()) else { return Ok(made) };
    if made.peak_bytes() <= free {
        return Ok(made);
    }
    let step = 2 * models.vae.spatial_factor();
    let fits = |changed: VideoRequest| estimate(&changed).is_ok_and(|other| fits(&other));
    Err(Error::Memory {
        needed_bytes: made.peak_bytes(),
        free_bytes: free,
        card_bytes: residency.card_bytes(),
        stage: largest.stage,
        fits: Some(Fits { frames: frames_that_fit(request, fits), size: size_that_fits(request, step, fits) }),
    })
}

/// With all blocks of the transformer coming and going, two of them at a time, and a text encoder that has no room on the
/// processor.
fn swapping(made: Estimate, models: &Models, free_bytes: Option<u64>) -> Estimate {
    let layers = models.dit.layers().max(1) as u64;
    let has_room = |stage: &StageMemory| free_bytes.is_none_or(|free| BASE_BYTES + stage.bytes() <= free);
    let changed = |stage: StageMemory| match stage.stage {
        Stage::Text if !has_room(&stage) => StageMemory { weight_bytes: 0, activation_bytes: 0, ..stage },
        Stage::Sampling => StageMemory { weight_bytes: stage.weight_bytes / layers * layers.min(2), ..stage },
        _ => stage,
    };
    Estimate { stages: made.stages.into_iter().map(changed).collect() }
}

/// Whether any expert's guidance asks for the negative prompt.
pub(super) fn uses_negative(models: &Models, request: &VideoRequest) -> bool {
    let low = models.dit_low.as_ref().and(request.sampling.cfg_low);
    needs_negative(request.sampling.cfg) || low.is_some_and(needs_negative)
}

fn estimate_with(models: &Models, request: &VideoRequest, tokens: &[usize], room: Room) -> Estimate {
    let [_, frames, rows, columns] = models.vae.latent_dims(request.video());
    let latent = [frames, rows, columns];
    let pictures = bytes_of(&request.source);
    // The padding counts as one key.
    let text_keys: Vec<usize> = tokens.iter().map(|count| count + 1).collect();
    let image_keys = match (&request.source, &models.clip_vision) {
        (Source::Image { end, .. }, Some(clip)) if models.dit.clip_width().is_some() => {
            vec![clip.token_count() * (1 + usize::from(end.is_some()))]
        }
        _ => Vec::new(),
    };
    let experts = std::iter::once(&models.dit).chain(models.dit_low.as_ref().map(|(low, _)| low));
    let sampling = experts.map(|dit| dit.memory(latent, &text_keys, &image_keys, room.on_card));
    let sampling = sampling.max_by_key(StageMemory::bytes);
    let image = image_memory(models, request, room);
    let (decoding, _) = models.vae.decode_memory(latent, tiles(request), room);
    let stages = [Some(models.text_encoder.memory(tokens.iter().sum())), image, sampling, Some(decoding)];
    let with_pictures =
        |stage: StageMemory| StageMemory { activation_bytes: stage.activation_bytes + pictures, ..stage };
    Estimate { stages: stages.into_iter().flatten().map(with_pictures).collect() }
}

/// What encoding the given pictures takes.
fn image_memory(models: &Models, request: &VideoRequest, room: Room) -> Option<StageMemory> {
    let video = match &request.source {
        Source::Text => return None,
        // The picture alone; other models see it with the grey frames behind it.
        Source::Image { start, .. } if models.dit.has_frame_timesteps() => {
            [start.dims()[0].min(request.frames), request.height, request.width]
        }
        _ => request.video(),
    };
    let (encoding, _) = models.vae.encode_memory(video, tiles(request), room);
    let clip = models.clip_vision.as_ref().filter(|_| models.dit.clip_width().is_some());
    clip.map(|clip| clip.memory()).into_iter().chain([encoding]).max_by_key(StageMemory::bytes)
}

/// Bytes of pictures that are held all the way.
fn bytes_of(source: &Source) -> u64 {
    let bytes = |pictures: &Tensor| pictures.size_bytes() as u64;
    match source {
        Source::Text => 0,
        Source::Image { start, end } => bytes(start) + end.as_ref().map_or(0, bytes),
        Source::Video(video) => bytes(video),
    }
}

/// The most frames, of the size asked for.
fn frames_that_fit(request: &VideoRequest, fits: impl Fn(VideoRequest) -> bool) -> Option<usize> {
    let steps = largest((request.frames - 1) / FRAME_STEP, |steps| {
        fits(VideoRequest { frames: steps * FRAME_STEP + 1, ..request.clone() })
    })?;
    Some(steps * FRAME_STEP + 1)
}

/// The largest size of about the shape asked for, with all frames.
fn size_that_fits(request: &VideoRequest, step: usize, fits: impl Fn(VideoRequest) -> bool) -> Option<(usize, usize)> {
    let longer = request.width.max(request.height) / step.max(SIZE_STEP);
    let scaled = |pixels: usize, part: usize| (pixels * part / longer.max(1) / step).max(1) * step;
    let size = |part| (scaled(request.width, part), scaled(request.height, part));
    let part = largest(longer.saturating_sub(1), |part| {
        let (width, height) = size(part.max(1));
        fits(VideoRequest { width, height, ..request.clone() })
    })?;
    Some(size(part.max(1)))
}

/// The largest of `0..=most` that is good, where all below a good one are good.
fn largest(most: usize, good: impl Fn(usize) -> bool) -> Option<usize> {
    if !good(0) {
        return None;
    }
    let (mut low, mut high) = (0, most + 1);
    while high - low > 1 {
        let middle = (low + high) / 2;
        if good(middle) { low = middle } else { high = middle }
    }
    Some(low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_good_one_is_found() {
        for most in 0..20 {
            for bound in 0..=most {
                assert_eq!(largest(most, |value| value <= bound), Some(bound));
            }
            assert_eq!(largest(most, |_| false), None);
        }
    }
}
