//! The prompts that are submitted, and how their results are recognised.

use serde_json::{Value as Json, json};

use super::Random;

/// What a prompt makes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Work {
    /// In pixels.
    pub side: u32,
    /// Pictures.
    pub count: u32,
    /// 0xRRGGBB.
    pub color: u32,
    /// In the output folder, else as a preview.
    pub is_saved: bool,
    /// Nodes that save the pictures, one after the other.
    pub saves: u32,
}

impl Work {
    /// Mostly small, so that many prompts end between two kills; some long enough that one is killed twice.
    pub fn draw(random: &mut Random) -> Self {
        let color = random.below(1 << 24) as u32;
        let (side, count, is_saved) = match random.below(10) {
            0..4 => (16, 1, false),
            4..8 => (64, 1, true),
            8 => (256, 4, true),
            _ => (768, 6, true),
        };
        Self { side, count, color, is_saved, saves: 1 }
    }

    /// One that takes next to no time.
    pub fn small(random: &mut Random) -> Self {
        Self { side: 16, count: 1, color: random.below(1 << 24) as u32, is_saved: false, saves: 1 }
    }

    /// The prompt, whose files begin with `id`.
    pub fn prompt(&self, id: &str) -> Json {
        let image = json!({ "class_type": "EmptyImage", "inputs": {
            "width": self.side, "height": self.side, "batch_size": self.count, "color": self.color,
        } });
        let mut nodes = json!({ "1": image });
        for save in 0..self.saves {
            let inputs = json!({ "images": ["1", 0], "filename_prefix": format!("kill/{id}-{save}") });
            nodes[(save + 2).to_string()] = match self.is_saved {
                true => json!({ "class_type": "SaveImage", "inputs": inputs }),
                false => json!({ "class_type": "PreviewImage", "inputs": { "images": ["1", 0] } }),
            };
        }
        nodes
    }

    /// Red, green, blue.
    pub fn rgb(&self) -> [u8; 3] {
        let [_, red, green, blue] = self.color.to_be_bytes();
        [red, green, blue]
    }
}
