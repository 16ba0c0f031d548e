//! Writes the new file, a few mebibytes of numbers at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::Path;

use vita_tensor::DType;

use super::numbers::{F8E4M3_MAX, F16_MAX, narrow, widen};
use super::{Content, Conversion, Entry, Piece};
use crate::error::{Error, ErrorKind, Result};
use crate::write::temporary_beside;

/// Elements that are converted at a time; whole blocks of every type.
const CHUNK_ELEMENTS: usize = 1 << 20;

/// After so many bytes the old file's pages are given back.
const RELEASE_EVERY_BYTES: u64 = 256 << 20;

impl Conversion {
    /// Writes the file, which appears under its name when it is complete. `progress` is told the bytes that are
    /// written, and may stop; then nothing is left, and the result is `false`.
    ///
    /// # Errors
    /// If the file cannot be written, or a number does not fit.
    pub fn write(&self, path: impl AsRef<Path>, progress: &mut dyn FnMut(u64) -> ControlFlow<()>) -> Result<bool> {
        let path = path.as_ref();
        let unwritable = |cause| Error::new(path.display().to_string(), ErrorKind::Unwritable(cause));
        let mut file = temporary_beside(path).map_err(unwritable)?;
        let done = {
            let out = BufWriter::with_capacity(1 << 20, file.as_file_mut());
            let mut writer =
                Writer { conversion: self, out, progress, written: 0, released: 0, unwritable: &unwritable };
            writer.all()?
        };
        if done {
            file.as_file().sync_all().map_err(unwritable)?;
            file.persist(path).map_err(|error| unwritable(error.error))?;
        }
        Ok(done)
    }
}

struct Writer<'a> {
    conversion: &'a Conversion,
    out: BufWriter<&'a mut File>,
    progress: &'a mut dyn FnMut(u64) -> ControlFlow<()>,
    written: u64,
    released: u64,
    unwritable: &'a dyn Fn(io::Error) -> Error,
}

impl Writer<'_> {
    /// `false` if it was stopped.
    fn all(&mut self) -> Result<bool> {
        let conversion = self.conversion;
        self.put(&conversion.header)?;
        let mut scales: BTreeMap<&str, f32> = BTreeMap::new();
        let mut places = Vec::new();
        for entry in &conversion.entries {
            match &entry.content {
                Content::Bytes(bytes) => self.put(bytes)?,
                Content::ScaleOf(weight) => {
                    // Written again when it is known.
                    places.push((self.written, weight.as_str()));
                    self.put(&[0; 4])?;
                }
                Content::Tensors { pieces, scale } => {
                    let scale = self.tensor(entry, pieces, *scale)?;
                    scales.insert(&entry.name, scale);
                }
            }
            let padding = self.written.next_multiple_of(conversion.alignment as u64) - self.written;
            self.put(&vec![0; padding as usize])?;
            if (self.progress)(self.written).is_break() {
                return Ok(false);
            }
            if self.written - self.released > RELEASE_EVERY_BYTES {
                conversion.checkpoint.release_pages();
                self.released = self.written;
            }
        }
        for (place, weight) in places {
            let scale = scales.get(weight).copied().unwrap_or(1.0);
            let again = self.out.seek(SeekFrom::Start(place)).and_then(|_| self.out.write_all(&scale.to_le_bytes()));
            again.map_err(self.unwritable)?;
        }
        self.out.flush().map_err(self.unwritable)?;
        Ok(true)
    }

    /// Writes a tensor and returns the scale that it was given, or had.
    fn tensor(&mut self, entry: &Entry, pieces: &[Piece], scale: Option<f32>) -> Result<f32> {
        let conversion = self.conversion;
        let stored = |piece: &Piece| conversion.checkpoint.stored(&piece.key).expect("it was there for the plan");
        let is_same =
            pieces.iter().all(|piece| stored(piece).element_type.dtype() == Some(entry.dtype) && !piece.is_turned);
        // What has its scale, or needs none, is copied.
        let has_scale = conversion.has_scale(&entry.name);
        if is_same && (scale.is_some() == has_scale) {
            for piece in pieces {
                let bytes = &stored(piece).bytes;
                self.put(&bytes[rows_bytes(piece, &stored(piece).dims, bytes.len())])?;
            }
            return Ok(scale.unwrap_or(1.0));
        }
        let factor = scale.unwrap_or(1.0);
        let mut largest = 0.0f32;
        let needs_largest = matches!(entry.dtype, DType::F8E4M3 | DType::F16 | DType::Q8_0);
        if needs_largest {
            let mut is_finite = true;
            self.each_chunk(pieces, &mut |_, values| {
                largest = values.iter().fold(largest, |largest, value| largest.max(value.abs()));
                is_finite &= values.iter().all(|value| value.is_finite());
                Ok(())
            })?;
            let largest = largest * factor;
            let limit = match entry.dtype {
                DType::F16 => F16_MAX,
                DType::F8E4M3 if !has_scale => F8E4M3_MAX,
                // The scale of a block is a half.
                DType::Q8_0 => F16_MAX * 127.0,
                _ => f32::MAX,
            };
            let holds_any = entry.dtype == DType::F16;
            if largest > limit && largest.is_finite() || !is_finite && !holds_any {
                let value = if is_finite { largest.to_string() } else { "a number that is none".to_owned() };
                return Err(conversion.checkpoint.error(ErrorKind::OutOfRange {
                    tensor: pieces[0].key.clone(),
                    value,
                    dtype: entry.dtype.to_string(),
                }));
            }
        }
        let new_scale = match has_scale && largest > 0.0 {
            true => largest * factor / F8E4M3_MAX,
            false => 1.0,
        };
        let factor = factor / new_scale;
        let mut bytes = Vec::new();
        let dtype = entry.dtype;
        self.each_chunk(pieces, &mut |writer, values| {
            if factor != 1.0 {
                values.iter_mut().for_each(|value| *value *= factor);
            }
            bytes.clear();
            narrow(dtype, values, &mut bytes);
            writer.put(&bytes)
        })?;
        Ok(new_scale)
    }

    /// Widens a tensor, a chunk at a time.
    fn each_chunk(
        &mut self,
        pieces: &[Piece],
        visit: &mut dyn FnMut(&mut Self, &mut [f32]) -> Result<()>,
    ) -> Result<()> {
        let conversion = self.conversion;
        let mut values = Vec::new();
        for piece in pieces {
            let stored = conversion.checkpoint.stored(&piece.key).expect("it was there for the plan");
            let dtype = stored.element_type.dtype().expect("tensors of unknown types are left out of the plan");
            let bytes = &stored.bytes[rows_bytes(piece, &stored.dims, stored.bytes.len())];
            if piece.is_turned {
                values.clear();
                widen(dtype, bytes, &mut values);
                let (rows, columns) = (stored.dims[0], stored.dims[1]);
                let mut turned: Vec<f32> = (0..columns)
                    .flat_map(|column| (0..rows).map(move |row| row * columns + column))
                    .map(|at| values[at])
                    .collect();
                visit(self, &mut turned)?;
                continue;
            }
            let chunk_bytes = dtype.bytes_of(CHUNK_ELEMENTS).expect("chunks are whole blocks");
            for bytes in bytes.chunks(chunk_bytes) {
                values.clear();
                widen(dtype, bytes, &mut values);
                visit(self, &mut values)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(self.unwritable)?;
        self.written += bytes.len() as u64;
        Ok(())
    }
}

impl Conversion {
    /// Whether the new file has a scale for a weight.
    fn has_scale(&self, weight: &str) -> bool {
        self.scaled.contains(weight)
    }
}

/// A piece's rows as a range of its tensor's bytes.
fn rows_bytes(piece: &Piece, dims: &[usize], bytes: usize) -> std::ops::Range<usize> {
    match (&piece.rows, dims.first()) {
        (Some(rows), Some(&count)) if count > 0 => {
            let row = bytes / count;
            rows.start * row..rows.end * row
        }
        _ => 0..bytes,
    }
}
