//! What a clip shows, by colour and centroid. `tools/nano/judge.py` says the same in Python.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The judge's numbers.
#[derive(Deserialize)]
pub struct Settings {
    colours: BTreeMap<String, [f32; 3]>,
    backgrounds: BTreeMap<String, [f32; 3]>,
    /// Averaged at either end.
    first_and_last_frames: usize,
    /// Of the picture, in every frame.
    least_area: f64,
    /// Of the coloured pixels that have the winning colour.
    least_share: f64,
    /// Displacement as a fraction of the side.
    still_below: f64,
    moves_above: f64,
    /// Of the displacement along the main axis.
    sideways_below: f64,
    /// Corners: both distances from the centre in this..1 of half the equal-area square's side.
    corner_from: f64,
    /// Filled share of the corners.
    square_corners_above: f64,
}

impl Settings {
    /// A colour of actors, or black if there is none of the name.
    pub fn colour(&self, name: &str) -> [f32; 3] {
        self.colours.get(name).copied().unwrap_or_default()
    }

    /// A colour behind them, likewise.
    pub fn background(&self, name: &str) -> [f32; 3] {
        self.backgrounds.get(name).copied().unwrap_or_default()
    }
}

/// Frames of a video.
pub struct Clip {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Rows of red, green, blue of each frame.
    pub frames: Vec<Vec<u8>>,
}

/// What was seen; a property that cannot be told is `None`.
#[derive(Debug, Default, PartialEq)]
pub struct Seen {
    /// Name of the actor's colour.
    pub colour: Option<String>,
    /// `left`, `right`, `up`, `down` or `still`.
    pub motion: Option<&'static str>,
    /// `circle` or `square`.
    pub shape: Option<&'static str>,
    /// How far the actor's centre went, as fractions of width and height.
    pub displacement: Option<(f64, f64)>,
}

/// Every pixel takes the name of the nearest colour; the actor's is the one with most pixels over the whole clip.
pub fn judge(clip: &Clip, settings: &Settings) -> Seen {
    let palette: Vec<[f32; 3]> = settings.colours.values().chain(settings.backgrounds.values()).copied().collect();
    let colour_count = settings.colours.len();
    let nearest: Vec<Vec<usize>> = clip
        .frames
        .iter()
        .map(|frame| frame.as_chunks::<3>().0.iter().map(|pixel| nearest(pixel, &palette)).collect())
        .collect();
    let mut counts = vec![0usize; palette.len()];
    nearest.iter().flatten().for_each(|&name| counts[name] += 1);
    let colours = &counts[..colour_count];
    let coloured: usize = colours.iter().sum();
    // The first of equals, as everywhere.
    let winner = (0..colour_count).rev().max_by_key(|&name| colours[name]).unwrap_or(0);
    if coloured == 0 || (colours[winner] as f64) < settings.least_share * coloured as f64 {
        return Seen::default();
    }
    let mut seen = Seen { colour: settings.colours.keys().nth(winner).cloned(), ..Seen::default() };
    let masks: Vec<Mask> = nearest.iter().map(|names| Mask::new(names, winner, clip.width)).collect();
    let least = settings.least_area * (clip.width * clip.height) as f64;
    if masks.iter().any(|mask| (mask.area as f64) < least) {
        return seen;
    }
    let ends = settings.first_and_last_frames.min(masks.len());
    let mean = |masks: &[Mask], value: fn(&Mask) -> f64| masks.iter().map(value).sum::<f64>() / masks.len() as f64;
    let gone = |value: fn(&Mask) -> f64, side: usize| {
        (mean(&masks[masks.len() - ends..], value) - mean(&masks[..ends], value)) / side as f64
    };
    let (dx, dy) = (gone(|mask| mask.x, clip.width), gone(|mask| mask.y, clip.height));
    let fill = masks.iter().map(|mask| mask.corner_fill(settings.corner_from)).sum::<f64>() / masks.len() as f64;
    seen.motion = motion(dx, dy, settings);
    seen.shape = Some(if fill > settings.square_corners_above { "square" } else { "circle" });
    seen.displacement = Some((dx, dy));
    seen
}

fn nearest(pixel: &[u8; 3], palette: &[[f32; 3]]) -> usize {
    let distance = |colour: &[f32; 3]| -> f32 {
        pixel.iter().zip(colour).map(|(&value, colour)| (f32::from(value) - colour).powi(2)).sum()
    };
    (0..palette.len()).min_by(|&a, &b| distance(&palette[a]).total_cmp(&distance(&palette[b]))).unwrap_or(0)
}

fn motion(dx: f64, dy: f64, settings: &Settings) -> Option<&'static str> {
    let (main, aside) = (dx.abs().max(dy.abs()), dx.abs().min(dy.abs()));
    if main < settings.still_below {
        return Some("still");
    }
    if main < settings.moves_above || aside > settings.sideways_below * main {
        return None;
    }
    Some(match dx.abs() > dy.abs() {
        true if dx > 0.0 => "right",
        true => "left",
        false if dy > 0.0 => "down",
        false => "up",
    })
}

/// The actor's pixels in one frame.
struct Mask {
    filled: Vec<bool>,
    width: usize,
    area: usize,
    /// Centre in pixels.
    x: f64,
    y: f64,
}

impl Mask {
    fn new(names: &[usize], wanted: usize, width: usize) -> Self {
        let filled: Vec<bool> = names.iter().map(|&name| name == wanted).collect();
        let (mut area, mut x, mut y) = (0, 0, 0);
        for (i, _) in filled.iter().enumerate().filter(|&(_, &filled)| filled) {
            area += 1;
            x += i % width;
            y += i / width;
        }
        let mean = |sum: usize| sum as f64 / area.max(1) as f64;
        Self { filled, width, area, x: mean(x), y: mean(y) }
    }

    /// How much of the corners of the square of the same area and centre is filled.
    fn corner_fill(&self, from: f64) -> f64 {
        let half = (self.area as f64).sqrt() / 2.0;
        let (mut corners, mut filled) = (0, 0);
        for (i, &is_filled) in self.filled.iter().enumerate() {
            let across = ((i % self.width) as f64 - self.x).abs();
            let down = ((i / self.width) as f64 - self.y).abs();
            if across.min(down) >= from * half && across.max(down) <= half {
                corners += 1;
                filled += usize::from(is_filled);
            }
        }
        if corners == 0 { 0.0 } else { f64::from(filled as u32) / f64::from(corners) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../assets/nano/eval.json")).unwrap();
        serde_json::from_value(serde_json::from_str::<serde_json::Value>(&text).unwrap()["judge"].clone()).unwrap()
    }

    /// An actor drawn with hard edges, from one centre to another.
    fn draw(colour: [u8; 3], square: bool, from: (f64, f64), to: (f64, f64)) -> Clip {
        let (side, radius, count) = (64usize, 10.0, 17);
        let frame = |index: usize| {
            let time = index as f64 / (count - 1) as f64;
            let centre = (from.0 + (to.0 - from.0) * time, from.1 + (to.1 - from.1) * time);
            let pixel = |i: usize| {
                let (dx, dy) = ((i % side) as f64 - centre.0, (i / side) as f64 - centre.1);
                let inside = if square { dx.abs().max(dy.abs()) <= radius } else { dx.hypot(dy) <= radius };
                if inside { colour } else { [240, 240, 240] }
            };
            (0..side * side).flat_map(pixel).collect()
        };
        Clip { width: side, height: side, frames: (0..count).map(frame).collect() }
    }

    #[test]
    fn drawn_clips_are_told_apart() {
        let settings = settings();
        let middle = (32.0, 32.0);
        let ways = [
            ("left", (16.0, 32.0)),
            ("right", (48.0, 32.0)),
            ("up", (32.0, 16.0)),
            ("down", (32.0, 48.0)),
            ("still", middle),
        ];
        for (colour, rgb) in &settings.colours {
            let rgb = rgb.map(|value| value as u8);
            for (motion, to) in ways {
                for (shape, square) in [("circle", false), ("square", true)] {
                    let seen = judge(&draw(rgb, square, middle, to), &settings);
                    assert_eq!(seen.colour.as_ref(), Some(colour));
                    assert_eq!((seen.motion, seen.shape), (Some(motion), Some(shape)), "{colour}");
                }
            }
        }
        assert_eq!(judge(&draw([240, 240, 240], true, middle, middle), &settings), Seen::default());
    }
}
