//! Scenes of the small models' world, drawn as `tools/nano/world.py` draws them.

use super::clip::{Clip, Settings};
use super::eval::{Pair, Start};

/// Pixels over which a shape's edge fades, both sides together.
const EDGE: f64 = 1.5;
/// A square's half side, of the radius.
const SQUARE: f64 = 0.9;
/// How far an actor goes in a clip, of the side: the middle of what training draws from.
const WAY: f64 = 0.25;

/// The start picture: a clip of one frame.
pub fn draw(pair: &Pair, start: &Start, settings: &Settings) -> Clip {
    Clip { width: pair.width, height: pair.height, frames: vec![frame(pair, start, settings)] }
}

/// The whole clip that the prompt speaks of.
pub fn draw_clip(pair: &Pair, start: &Start, settings: &Settings) -> Clip {
    let [dx, dy] = match pair.motion.as_str() {
        "left" => [-WAY, 0.0],
        "right" => [WAY, 0.0],
        "up" => [0.0, -WAY],
        "down" => [0.0, WAY],
        _ => [0.0, 0.0],
    };
    let frames = (0..pair.frames).map(|index| {
        let time = index as f64 / (pair.frames - 1).max(1) as f64;
        let centre = [start.centre[0] + dx * time, start.centre[1] + dy * time];
        frame(pair, &Start { centre, ..start.clone() }, settings)
    });
    Clip { width: pair.width, height: pair.height, frames: frames.collect() }
}

/// One frame, with 8 bits a channel.
fn frame(pair: &Pair, start: &Start, settings: &Settings) -> Vec<u8> {
    let background = pair.background.as_deref().unwrap_or_default();
    let [colour, background] = [settings.colour(&pair.colour), settings.background(background)];
    let [width, height] = [pair.width as f64, pair.height as f64];
    let radius = start.radius * width;
    let pixel = |i: usize| {
        let dx = ((i % pair.width) as f64 + 0.5 - start.centre[0] * width).abs();
        let dy = ((i / pair.width) as f64 + 0.5 - start.centre[1] * height).abs();
        let distance = if pair.shape == "circle" { dx.hypot(dy) - radius } else { dx.max(dy) - SQUARE * radius };
        let share = (0.5 - distance / EDGE).clamp(0.0, 1.0);
        [0, 1, 2].map(|channel| {
            let [colour, background] = [colour[channel], background[channel]].map(f64::from);
            (background + share * (colour - background)).round() as u8
        })
    };
    (0..pair.width * pair.height).flat_map(pixel).collect()
}

#[cfg(test)]
mod tests {
    use super::super::eval;
    use super::*;

    /// What the Python judge was shown: the first pair's picture by its rule, at a few places.
    #[test]
    fn an_actor_stands_where_the_list_says() {
        let list = concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/nano/eval-i2v.json");
        let eval = eval::read(list.as_ref()).unwrap();
        let pair = &eval.pairs[0];
        let start = pair.start.as_ref().unwrap();
        let picture = draw(pair, start, &eval.judge);
        let at = |x: f64, y: f64| {
            let (x, y) = ((x * 64.0) as usize, (y * 64.0) as usize);
            picture.frames[0][3 * (y * 64 + x)..][..3].to_vec()
        };
        assert_eq!((pair.colour.as_str(), pair.background.as_deref()), ("red", Some("black")));
        assert_eq!(at(start.centre[0], start.centre[1]), [225, 40, 40]);
        assert_eq!(at(0.02, 0.02), [22, 22, 28]);
        let clip = draw_clip(pair, start, &eval.judge);
        assert_eq!((clip.frames.len(), &clip.frames[0]), (17, &picture.frames[0]));
        let seen = super::super::clip::judge(&clip, &eval.judge);
        assert_eq!((seen.colour.as_deref(), seen.motion, seen.shape), (Some("red"), Some("left"), Some("circle")));
    }
}
