//! How frames are cut for the autoencoder.

/// Work of decoding or encoding a tile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TileWork {
    /// Pixels of a frame.
    pub height: u64,
    /// Pixels of a frame.
    pub width: u64,
    /// Pixels of a latent element: sizes of tiles are multiples of it.
    pub step: u64,
    /// Pixels that neighbouring tiles share.
    pub overlap: u64,
    /// Bytes of work for each pixel of a tile.
    pub bytes_per_pixel: u64,
    /// Bytes whatever the tile is, the finished frames say.
    pub fixed_bytes: u64,
}

/// How frames are cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Tiles down and across.
    pub grid: [u64; 2],
    /// Pixels of a tile.
    pub height: u64,
    /// Pixels of a tile.
    pub width: u64,
}

/// More tiles than this along an axis are mostly overlap.
const ALONG_MAX: u64 = 32;

impl Tile {
    /// How many.
    pub fn count(self) -> u64 {
        self.grid[0] * self.grid[1]
    }
}

impl TileWork {
    /// The cut that fits and computes the fewest pixels, whole frames first.
    ///
    /// # Errors
    /// The bytes that the smallest tile would need.
    pub fn choose(&self, usable_bytes: u64) -> Result<Tile, u64> {
        let mut best: Option<(u64, Tile)> = None;
        let mut least_bytes = u64::MAX;
        for down in 1..=ALONG_MAX {
            for across in 1..=ALONG_MAX {
                let Some(tile) = self.cut(down, across) else { continue };
                let bytes = self.bytes(tile);
                least_bytes = least_bytes.min(bytes);
                let computed = tile.count() * tile.height * tile.width;
                if bytes <= usable_bytes && best.is_none_or(|(fewest, _)| computed < fewest) {
                    best = Some((computed, tile));
                }
            }
        }
        best.map(|(_, tile)| tile).ok_or(least_bytes)
    }

    /// What a tile takes.
    pub fn bytes(&self, tile: Tile) -> u64 {
        self.fixed_bytes + tile.height * tile.width * self.bytes_per_pixel
    }

    /// Tiles of equal size, as small as covers the frame; `None` if they would be little but overlap.
    fn cut(&self, down: u64, across: u64) -> Option<Tile> {
        let along = |size: u64, count: u64| {
            let tile = (size + (count - 1) * self.overlap).div_ceil(count).next_multiple_of(self.step);
            (count == 1 || tile >= 2 * self.overlap && tile < size).then_some(tile.min(size))
        };
        Some(Tile { grid: [down, across], height: along(self.height, down)?, width: along(self.width, across)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: TileWork =
        TileWork { height: 480, width: 832, step: 8, overlap: 64, bytes_per_pixel: 1000, fixed_bytes: 1_000_000 };

    #[test]
    fn the_fewest_pixels_that_fit() {
        let whole = 1_000_000 + 480 * 832 * 1000;
        for (usable, grid) in [(whole, [1, 1]), (whole - 1, [1, 2]), (200_000_000, [1, 3])] {
            let tile = WORK.choose(usable).unwrap();
            assert_eq!(tile.grid, grid, "{usable}");
            assert!(WORK.bytes(tile) <= usable);
        }
        let least = WORK.choose(0).unwrap_err();
        assert_eq!(least, WORK.bytes(WORK.choose(least).unwrap()));
        assert!(WORK.choose(least - 1).is_err());
    }

    #[test]
    fn tiles_cover_the_frame() {
        for usable in (20..400).map(|millions| millions * 1_000_000) {
            let Ok(tile) = WORK.choose(usable) else { continue };
            for (size, count, length) in [(480, tile.grid[0], tile.height), (832, tile.grid[1], tile.width)] {
                assert!(count * length - (count - 1) * WORK.overlap >= size, "{tile:?}");
                assert!(length % 8 == 0);
            }
        }
    }
}
