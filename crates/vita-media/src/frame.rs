//! Packed 8-bit RGB pictures: `Frames` owns a clip, `Frame` borrows one picture of it.

use crate::error::{Error, Result};

/// Pictures of one size, one after the other: `[count, height, width, 3]` bytes, red first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frames {
    width: u32,
    height: u32,
    frame_bytes: usize,
    data: Vec<u8>,
}

impl Frames {
    /// Takes over a buffer of whole pictures; their count follows from its length.
    ///
    /// # Errors
    /// A size of zero, or a length that is not a multiple of `width * height * 3`.
    pub fn new(width: u32, height: u32, data: Vec<u8>) -> Result<Self> {
        let frame_bytes = frame_bytes(width, height)?;
        if !data.len().is_multiple_of(frame_bytes) {
            return Err(Error::BufferSize { width, height, frame_bytes, found_bytes: data.len() });
        }
        Ok(Self { width, height, frame_bytes, data })
    }

    /// No pictures yet, of a size that is fixed from here on.
    ///
    /// # Errors
    /// A size of zero.
    pub fn empty(width: u32, height: u32) -> Result<Self> {
        Self::new(width, height, Vec::new())
    }

    /// Appends a copy of a picture.
    ///
    /// # Errors
    /// A picture of another size.
    pub fn push(&mut self, frame: Frame<'_>) -> Result<()> {
        check_same_size(frame, (self.width, self.height), self.count() as u64)?;
        self.data.extend_from_slice(frame.data);
        Ok(())
    }

    /// Width of every picture, in pixels, at least 1.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height of every picture, in pixels, at least 1.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// How many pictures there are.
    pub fn count(&self) -> usize {
        self.data.len() / self.frame_bytes
    }

    /// The picture at `index`, counted from 0.
    pub fn frame(&self, index: usize) -> Option<Frame<'_>> {
        self.iter().nth(index)
    }

    /// The pictures in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Frame<'_>> {
        let (width, height) = (self.width, self.height);
        self.data.chunks_exact(self.frame_bytes).map(move |data| Frame { width, height, data })
    }

    /// `[count, height, width, 3]` bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.data
    }

    /// Gives the buffer back: `[count, height, width, 3]` bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.data
    }
}

/// One picture, borrowed: `[height, width, 3]` bytes, red first, rows without padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    width: u32,
    height: u32,
    data: &'a [u8],
}

impl<'a> Frame<'a> {
    /// A view of a buffer that holds exactly one picture.
    ///
    /// # Errors
    /// A size of zero, or a length other than `width * height * 3`.
    pub fn new(width: u32, height: u32, data: &'a [u8]) -> Result<Self> {
        let frame_bytes = frame_bytes(width, height)?;
        if data.len() != frame_bytes {
            return Err(Error::BufferSize { width, height, frame_bytes, found_bytes: data.len() });
        }
        Ok(Self { width, height, data })
    }

    /// In pixels, at least 1.
    pub fn width(self) -> u32 {
        self.width
    }

    /// In pixels, at least 1.
    pub fn height(self) -> u32 {
        self.height
    }

    /// `[height, width, 3]` bytes.
    pub fn data(self) -> &'a [u8] {
        self.data
    }

    /// The rows from top to bottom, each `[width, 3]` bytes.
    pub fn rows(self) -> impl ExactSizeIterator<Item = &'a [u8]> {
        self.data.chunks_exact(self.width as usize * 3)
    }
}

/// Refuses a frame that does not have the size of its video.
pub(crate) fn check_same_size(frame: Frame<'_>, expected: (u32, u32), index: u64) -> Result<()> {
    let found = (frame.width, frame.height);
    if found == expected { Ok(()) } else { Err(Error::FrameSizeChanged { index, found, expected }) }
}

fn frame_bytes(width: u32, height: u32) -> Result<usize> {
    let bytes = u64::from(width) * u64::from(height);
    match bytes.checked_mul(3).map(usize::try_from) {
        Some(Ok(bytes)) if bytes > 0 && isize::try_from(bytes).is_ok() => Ok(bytes),
        _ => Err(Error::PictureSize { width, height }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked_once_and_counts_follow() {
        let frames = Frames::new(2, 3, (0..36).collect()).unwrap();
        assert_eq!((frames.count(), frames.iter().len()), (2, 2));
        assert_eq!(frames.frame(1).unwrap().data()[0], 18);
        assert_eq!(frames.frame(1).unwrap().rows().nth(1).unwrap()[0], 24);
        assert!(frames.frame(2).is_none());
        assert_eq!(Frames::empty(2, 3).unwrap().count(), 0);
    }

    #[test]
    fn wrong_sizes_are_told_apart() {
        for (message, expected) in [
            (Frames::new(0, 3, vec![]).unwrap_err(), "0x3 is not a picture size"),
            (Frame::new(u32::MAX, u32::MAX, &[]).unwrap_err(), "4294967295x4294967295 is not a picture size"),
            (
                Frames::new(2, 2, vec![0; 13]).unwrap_err(),
                "13 bytes are not a whole number of 2x2 RGB pictures of 12 bytes",
            ),
            (
                Frames::empty(2, 2).unwrap().push(Frame::new(1, 1, &[0; 3]).unwrap()).unwrap_err(),
                "frame 0 is 1x1 pixels, but this video is 2x2",
            ),
        ] {
            assert_eq!(message.to_string(), expected);
        }
    }
}
