//! The `moov` box of a video with one H.264 track, as ISO/IEC 14496-12 and -15 lay it out.
//!
//! Metadata is stored as FFmpeg's `use_metadata_tags` does, which is where ComfyUI's tools look:
//! `udta/meta` with handler `mdta`, names in `keys`, texts in `ilst`.

use crate::h264::{LENGTH_BYTES, ParameterSets};
use crate::metadata::Metadata;

/// `ftyp`, the first box of every file.
pub(crate) const FTYP: &[u8; 32] = b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2avc1mp41";
/// Bytes of a `mdat` header, written behind a `free` box of the same size that makes room for a
/// 64-bit length.
pub(crate) const MDAT_HEADER_BYTES: usize = 16;

/// ISO/IEC 23091-2 code points of BT.709: primaries, transfer and matrix alike.
const CODE_POINT_BT709: u16 = 1;
/// "und", packed: three letters of five bits.
const LANGUAGE_UNDETERMINED: u16 = 0x55c4;
/// The identity, in 16.16 and 2.30 fixed point.
const UNITY_MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
/// The well-known type of a UTF-8 text in a `data` box.
const DATA_TYPE_UTF8: u32 = 1;

/// What a `moov` box says about the one track.
pub(crate) struct MovieHeader<'a> {
    pub width: u16,
    pub height: u16,
    /// Ticks per second.
    pub timescale: u32,
    /// Ticks per frame.
    pub frame_ticks: u32,
    pub sample_sizes: &'a [u32],
    /// Indices of frames that a player may start at, from 0.
    pub keyframes: &'a [u32],
    pub parameter_sets: &'a ParameterSets,
    /// Where the first sample lies in the file; the others follow without gaps.
    pub samples_offset: u32,
    pub metadata: &'a Metadata,
}

/// The whole `moov` box. Its length does not depend on `samples_offset`.
pub(crate) fn moov(movie: &MovieHeader<'_>) -> Vec<u8> {
    let mut out = BoxWriter::default();
    out.nest(b"moov", |out| {
        mvhd(out, movie);
        out.nest(b"trak", |out| {
            tkhd(out, movie);
            out.nest(b"mdia", |out| {
                mdhd(out, movie);
                handler(out, b"vide", b"VideoHandler\0");
                out.nest(b"minf", |out| {
                    out.full(b"vmhd", 0, 1, |out| out.u16s(&[0; 4]));
                    out.nest(b"dinf", |out| {
                        out.full(b"dref", 0, 0, |out| {
                            out.u32(1);
                            // Flag 1: the samples are in this file.
                            out.full(b"url ", 0, 1, |_| {});
                        });
                    });
                    sample_table(out, movie);
                });
            });
        });
        if !movie.metadata.is_empty() {
            out.nest(b"udta", |out| metadata(out, movie.metadata));
        }
    });
    out.bytes
}

/// The header in front of the samples: a short one behind `free`, or a long one.
pub(crate) fn mdat_header(samples_bytes: u64) -> [u8; MDAT_HEADER_BYTES] {
    let mut header = [0; MDAT_HEADER_BYTES];
    match u32::try_from(samples_bytes + 8) {
        Ok(size) => {
            header[..8].copy_from_slice(b"\0\0\0\x08free");
            header[8..12].copy_from_slice(&size.to_be_bytes());
            header[12..].copy_from_slice(b"mdat");
        }
        Err(_) => {
            header[..8].copy_from_slice(b"\0\0\0\x01mdat");
            header[8..].copy_from_slice(&(samples_bytes + 16).to_be_bytes());
        }
    }
    header
}

fn mvhd(out: &mut BoxWriter, movie: &MovieHeader<'_>) {
    timed(
        out,
        b"mvhd",
        0,
        movie,
        |out| {
            out.u32(movie.timescale);
        },
        |out| {
            out.u32(0x1_0000); // rate 1.0
            out.u16s(&[0x100, 0]); // volume 1.0, reserved
            out.u32s(&[0; 2]);
            out.u32s(&UNITY_MATRIX);
            out.u32s(&[0; 6]);
            out.u32(2); // the next free track number
        },
    );
}

fn tkhd(out: &mut BoxWriter, movie: &MovieHeader<'_>) {
    // Flags 3: enabled, part of the presentation.
    timed(
        out,
        b"tkhd",
        3,
        movie,
        |out| {
            out.u32s(&[1, 0]); // track number, reserved
        },
        |out| {
            out.u32s(&[0; 2]);
            out.u16s(&[0; 4]); // layer, alternate group, volume of a picture track, reserved
            out.u32s(&UNITY_MATRIX);
            out.u32s(&[u32::from(movie.width) << 16, u32::from(movie.height) << 16]);
        },
    );
}

fn mdhd(out: &mut BoxWriter, movie: &MovieHeader<'_>) {
    timed(out, b"mdhd", 0, movie, |out| out.u32(movie.timescale), |out| out.u16s(&[LANGUAGE_UNDETERMINED, 0]));
}

/// The three headers begin alike: two dates (unknown: 0), something, the duration in ticks.
fn timed(
    out: &mut BoxWriter,
    name: &[u8; 4],
    flags: u32,
    movie: &MovieHeader<'_>,
    before_duration: impl FnOnce(&mut BoxWriter),
    after_duration: impl FnOnce(&mut BoxWriter),
) {
    let duration = movie.sample_sizes.len() as u64 * u64::from(movie.frame_ticks);
    match u32::try_from(duration) {
        Ok(duration) => out.full(name, 0, flags, |out| {
            out.u32s(&[0; 2]);
            before_duration(out);
            out.u32(duration);
            after_duration(out);
        }),
        Err(_) => out.full(name, 1, flags, |out| {
            out.u32s(&[0; 4]);
            before_duration(out);
            out.u64(duration);
            after_duration(out);
        }),
    }
}

fn handler(out: &mut BoxWriter, kind: &[u8; 4], name: &[u8]) {
    out.full(b"hdlr", 0, 0, |out| {
        out.u32(0);
        out.raw(kind);
        out.u32s(&[0; 3]);
        out.raw(name);
    });
}

fn sample_table(out: &mut BoxWriter, movie: &MovieHeader<'_>) {
    let count = movie.sample_sizes.len() as u32;
    out.nest(b"stbl", |out| {
        out.full(b"stsd", 0, 0, |out| {
            out.u32(1);
            avc1(out, movie);
        });
        out.full(b"stts", 0, 0, |out| out.u32s(&[1, count, movie.frame_ticks]));
        out.full(b"stss", 0, 0, |out| {
            out.u32(movie.keyframes.len() as u32);
            for index in movie.keyframes {
                out.u32(index + 1);
            }
        });
        // One chunk holds all samples.
        out.full(b"stsc", 0, 0, |out| out.u32s(&[1, 1, count, 1]));
        out.full(b"stsz", 0, 0, |out| {
            out.u32s(&[0, count]);
            out.u32s(movie.sample_sizes);
        });
        // The chunk starts right behind this box, so 32 bits do even in a huge file.
        out.full(b"stco", 0, 0, |out| out.u32s(&[1, movie.samples_offset]));
    });
}

fn avc1(out: &mut BoxWriter, movie: &MovieHeader<'_>) {
    out.nest(b"avc1", |out| {
        out.u16s(&[0, 0, 0, 1]); // reserved, data reference 1
        out.u16s(&[0; 8]);
        out.u16s(&[movie.width, movie.height]);
        out.u32s(&[0x48_0000, 0x48_0000, 0]); // 72 dpi both ways, reserved
        out.u16s(&[1]); // frames per sample
        out.raw(&[0; 32]); // name of the compressor: none
        out.u16s(&[0x18, 0xffff]); // depth 24, no colour table
        out.nest(b"avcC", |out| decoder_configuration(out, movie.parameter_sets));
        out.nest(b"colr", |out| {
            out.raw(b"nclx");
            out.u16s(&[CODE_POINT_BT709; 3]);
            out.raw(&[0]); // limited range
        });
        out.nest(b"pasp", |out| out.u32s(&[1, 1])); // square pixels
    });
}

/// AVCDecoderConfigurationRecord, ISO/IEC 14496-15, 5.3.3.1.
fn decoder_configuration(out: &mut BoxWriter, sets: &ParameterSets) {
    let profile = sets.sps.first().and_then(|sps| sps.get(1..4)).unwrap_or(&[100, 0, 31]);
    out.raw(&[1]);
    out.raw(profile); // profile, constraints, level, as in the first SPS
    out.raw(&[0xfc | (LENGTH_BYTES as u8 - 1)]);
    for (mask, units) in [(0xe0, &sets.sps), (0, &sets.pps)] {
        out.raw(&[mask | units.len() as u8]);
        for unit in units {
            out.u16s(&[unit.len() as u16]);
            out.raw(unit);
        }
    }
    // The high profiles repeat: 4:2:0, 8 bits luma, 8 bits chroma, no SPS extensions.
    if profile[0] == 100 {
        out.raw(&[0xfd, 0xf8, 0xf8, 0]);
    }
}

fn metadata(out: &mut BoxWriter, metadata: &Metadata) {
    out.full(b"meta", 0, 0, |out| {
        handler(out, b"mdta", &[0]);
        out.full(b"keys", 0, 0, |out| {
            out.u32(metadata.len() as u32);
            for key in metadata.keys() {
                out.nest(b"mdta", |out| out.raw(key.as_bytes()));
            }
        });
        out.nest(b"ilst", |out| {
            for (index, value) in (1u32..).zip(metadata.values()) {
                // An entry is named by the number of its key.
                out.nest(&index.to_be_bytes(), |out| {
                    out.nest(b"data", |out| {
                        out.u32s(&[DATA_TYPE_UTF8, 0]);
                        out.raw(value.as_bytes());
                    });
                });
            }
        });
    });
}

/// Big-endian numbers and nested boxes whose sizes are filled in when they close.
#[derive(Default)]
struct BoxWriter {
    bytes: Vec<u8>,
}

impl BoxWriter {
    fn nest(&mut self, name: &[u8; 4], content: impl FnOnce(&mut Self)) {
        let start = self.bytes.len();
        self.u32(0);
        self.raw(name);
        content(self);
        let size = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&size.to_be_bytes());
    }

    /// A box with a version and flags.
    fn full(&mut self, name: &[u8; 4], version: u8, flags: u32, content: impl FnOnce(&mut Self)) {
        self.nest(name, |out| {
            out.u32(u32::from(version) << 24 | flags);
            content(out);
        });
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn u16s(&mut self, values: &[u16]) {
        values.iter().for_each(|value| self.raw(&value.to_be_bytes()));
    }

    fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    fn u32s(&mut self, values: &[u32]) {
        values.iter().for_each(|&value| self.u32(value));
    }

    fn u64(&mut self, value: u64) {
        self.raw(&value.to_be_bytes());
    }
}
