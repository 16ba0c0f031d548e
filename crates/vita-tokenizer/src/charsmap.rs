//! The precompiled table of character rewrites inside a vocabulary (`precompiled_charsmap`).
//!
//! Layout: u32 size of the trie in bytes; the trie, a double array of u32 units (Yata et al.,
//! "A compact static double-array keeping character codes", 2007, as written by darts-clone);
//! then the replacements, each ended by a zero byte. All little endian.

/// Longest replacement that is accepted, in bytes; Unicode's longest (NFKC of U+FDFA) has 33.
const REPLACEMENT_BYTES_MAX: usize = 256;

/// Rewrites prefixes of a text.
#[derive(Debug)]
pub(crate) struct Charsmap {
    units: Vec<Unit>,
    replacements: Vec<u8>,
}

impl Charsmap {
    /// Reads the table and checks every jump and every replacement in it. The error is a phrase.
    pub fn parse(blob: &[u8]) -> Result<Self, String> {
        let (size, rest) = blob.split_first_chunk().ok_or("shorter than its own header")?;
        let trie_bytes = u32::from_le_bytes(*size) as usize;
        if trie_bytes == 0 || !trie_bytes.is_multiple_of(4) || trie_bytes >= rest.len() {
            return Err(format!("a trie of {trie_bytes} bytes in a table of {}", blob.len()));
        }
        let (trie, replacements) = rest.split_at(trie_bytes);
        let units: Vec<Unit> = trie.as_chunks().0.iter().map(|unit| Unit(u32::from_le_bytes(*unit))).collect();

        if replacements.last() != Some(&0) {
            return Err("the last replacement has no end".into());
        }
        if replacements.split(|&byte| byte == 0).any(|text| text.len() > REPLACEMENT_BYTES_MAX) {
            return Err(format!("a replacement of more than {REPLACEMENT_BYTES_MAX} bytes"));
        }
        for (index, unit) in units.iter().enumerate() {
            let is_inside = match unit.value() {
                Some(value) => value < replacements.len(),
                // Whatever byte comes next, the jump stays in the array.
                None => (index ^ unit.offset()) | 0xFF < units.len(),
            };
            if !is_inside {
                return Err(format!("unit {index} of the trie points outside"));
            }
        }
        Ok(Self { units, replacements: replacements.to_vec() })
    }

    /// The longest rule that `text` starts with: bytes matched and what stands for them.
    pub fn longest_prefix(&self, text: &[u8]) -> Option<(usize, &[u8])> {
        let mut longest = None;
        let mut position = self.units[0].offset();
        for (index, &byte) in text.iter().enumerate() {
            position ^= usize::from(byte);
            let Some(unit) = self.units.get(position).filter(|unit| unit.label() == u32::from(byte)) else { break };
            position ^= unit.offset();
            if unit.has_leaf()
                && let Some(value) = self.units.get(position).and_then(|leaf| leaf.value())
            {
                longest = Some((index + 1, value));
            }
        }
        let (length, start) = longest?;
        let replacement = &self.replacements[start..];
        let end = replacement.iter().position(|&byte| byte == 0).unwrap_or(replacement.len());
        Some((length, &replacement[..end]))
    }
}

/// One cell of the double array: either a node (label, offset to its children) or a leaf's value.
#[derive(Clone, Copy, Debug)]
struct Unit(u32);

impl Unit {
    const VALUE_BIT: u32 = 1 << 31;

    fn value(self) -> Option<usize> {
        (self.0 & Self::VALUE_BIT != 0).then_some((self.0 & !Self::VALUE_BIT) as usize)
    }

    fn has_leaf(self) -> bool {
        self.0 >> 8 & 1 == 1
    }

    /// The byte that leads here; a leaf's value never equals a byte.
    fn label(self) -> u32 {
        self.0 & (Self::VALUE_BIT | 0xFF)
    }

    fn offset(self) -> usize {
        ((self.0 >> 10) << ((self.0 & (1 << 9)) >> 6)) as usize
    }
}
