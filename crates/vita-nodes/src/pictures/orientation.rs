//! Which way up a picture is, as EXIF tells (tag 0x0112 of the first directory).

/// How a stored picture is turned to stand upright.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Rows and columns change places, first.
    transposes: bool,
    mirrors_columns: bool,
    mirrors_rows: bool,
}

const ORIENTATION: u16 = 0x0112;

/// The turn that a block asks for; nothing if it does not say or is damaged.
pub fn of_exif(exif: &[u8]) -> Option<Turn> {
    let exif = exif.strip_prefix(b"Exif\0\0").unwrap_or(exif);
    let little = match exif.get(..4)? {
        [b'I', b'I', 42, 0] => true,
        [b'M', b'M', 0, 42] => false,
        _ => return None,
    };
    let u16_at = |at: usize| {
        let bytes = exif.get(at..at + 2)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let u32_at = |at: usize| {
        let bytes = exif.get(at..at + 4)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    };
    let directory = u32_at(4)? as usize;
    let entries = usize::from(u16_at(directory)?);
    let entry = (0..entries).map(|index| directory + 2 + index * 12).find(|&at| u16_at(at) == Some(ORIENTATION))?;
    // What the eight numbers say: where the stored picture's first row and first column are.
    let [transposes, mirrors_columns, mirrors_rows] = match u16_at(entry + 8)? {
        2 => [false, true, false],
        3 => [false, true, true],
        4 => [false, false, true],
        5 => [true, false, false],
        6 => [true, true, false],
        7 => [true, true, true],
        8 => [true, false, true],
        _ => [false; 3],
    };
    Some(Turn { transposes, mirrors_columns, mirrors_rows })
}

impl Turn {
    pub fn is_upright(self) -> bool {
        self == Self::default()
    }

    /// Width and height afterwards.
    pub fn size(self, [width, height]: [usize; 2]) -> [usize; 2] {
        if self.transposes { [height, width] } else { [width, height] }
    }

    /// `[height, width, channels]` turned.
    pub fn apply(self, picture: &[u8], size: [usize; 2], channels: usize) -> Vec<u8> {
        let [new_width, new_height] = self.size(size);
        let mut out = Vec::with_capacity(picture.len());
        for (y, x) in (0..new_height).flat_map(|y| (0..new_width).map(move |x| (y, x))) {
            let x = if self.mirrors_columns { new_width - 1 - x } else { x };
            let y = if self.mirrors_rows { new_height - 1 - y } else { y };
            let (x, y) = if self.transposes { (y, x) } else { (x, y) };
            out.extend_from_slice(&picture[(y * size[0] + x) * channels..][..channels]);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exif(orientation: u16, little: bool) -> Vec<u8> {
        let mut block = if little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
        let two = |value: u16| if little { value.to_le_bytes() } else { value.to_be_bytes() };
        let four = |value: u32| if little { value.to_le_bytes() } else { value.to_be_bytes() };
        block.extend(four(8));
        block.extend(two(1));
        block.extend([two(ORIENTATION), two(3)].concat());
        block.extend(four(1));
        block.extend([two(orientation), two(0)].concat());
        block
    }

    /// A picture `ab/cd/ef` and how it looks when it is stood up, by the definition of the tag.
    #[test]
    fn all_eight_orientations() {
        for (orientation, want) in [
            (1, "abcdef"),
            (2, "badcfe"),
            (3, "fedcba"),
            (4, "efcdab"),
            (5, "acebdf"),
            (6, "ecafdb"),
            (7, "fdbeca"),
            (8, "bdface"),
        ] {
            let turn = of_exif(&exif(orientation, orientation % 2 == 0)).unwrap();
            let found = turn.apply(b"abcdef", [2, 3], 1);
            assert_eq!(String::from_utf8(found).unwrap(), want, "{orientation}");
            assert_eq!(turn.size([2, 3]), if orientation < 5 { [2, 3] } else { [3, 2] });
        }
    }

    #[test]
    fn damage_is_no_orientation() {
        let whole = exif(6, true);
        for length in 0..whole.len() - 3 {
            assert_eq!(of_exif(&whole[..length]), None, "{length} bytes");
        }
    }
}
