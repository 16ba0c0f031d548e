//! The tables of a video track: where each frame lies, how long they last, how colour is meant.

use crate::color::{BT601, BT709, BT2020, ColorSpace};
use crate::frame_rate::FrameRate;
use crate::h264::ParameterSets;
use crate::metadata::Metadata;
use crate::mp4::parse::{Problem, atoms, child, descend, text, u16_at, u32_at, u64_at};

/// More frames than two days of 96 a second.
const FRAME_COUNT_MAX: u32 = 1 << 24;
/// Bytes of a visual sample entry before the boxes inside it.
const VISUAL_ENTRY_BYTES: usize = 78;

/// Why a track cannot be decoded.
#[derive(Debug)]
pub(crate) enum TrackError {
    /// The tables do not make sense.
    Malformed(Problem),
    /// They do, but this crate does not know that kind of video.
    Unsupported(String),
}

/// A video track, ready to be decoded.
#[derive(Debug)]
pub(crate) struct Track {
    pub parameter_sets: ParameterSets,
    /// Size of the length before each NAL unit.
    pub length_bytes: usize,
    pub color_space: ColorSpace,
    pub frame_rate: FrameRate,
    pub samples: Vec<Sample>,
}

/// Where a frame lies in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sample {
    pub offset: u64,
    pub bytes: u32,
}

/// Finds the first video track of a `moov` box and reads its tables.
pub(crate) fn video_track(moov: &[u8], file_bytes: u64) -> Result<Track, TrackError> {
    if child(moov, b"mvex").is_some() {
        return Err(TrackError::Unsupported("fragmented MP4 is not supported".to_owned()));
    }
    let media = atoms(moov)
        .filter(|atom| atom.name == *b"trak")
        .filter_map(|track| child(track.content, b"mdia"))
        .find(|media| child(media, b"hdlr").and_then(|handler| handler.get(8..12)) == Some(b"vide"))
        .ok_or_else(|| TrackError::Unsupported("it holds no video".to_owned()))?;
    let table = descend(media, &[b"minf", b"stbl"]).ok_or_else(|| missing("stbl"))?;
    let entry = SampleEntry::read(table)?;
    let sizes = sample_sizes(table, file_bytes)?;
    Ok(Track {
        frame_rate: frame_rate(media, table)?,
        samples: locate(table, &sizes)?,
        parameter_sets: entry.parameter_sets,
        length_bytes: entry.length_bytes,
        color_space: entry.color_space,
    })
}

/// The texts in `udta/meta`, or in `meta`, by the names in `keys`.
pub(crate) fn metadata(moov: &[u8]) -> Metadata {
    let meta = descend(moov, &[b"udta", b"meta"]).or_else(|| child(moov, b"meta"));
    let Some(meta) = meta else { return Metadata::new() };
    // QuickTime has no version and flags here, MP4 has.
    let meta = if meta.get(4..8) == Some(b"hdlr") { meta } else { meta.get(4..).unwrap_or_default() };
    let keys = child(meta, b"keys").and_then(|keys| keys.get(8..)).unwrap_or_default();
    let keys: Vec<_> = atoms(keys).map(|key| String::from_utf8_lossy(key.content).into_owned()).collect();
    let texts = atoms(child(meta, b"ilst").unwrap_or_default());
    texts
        .filter_map(|item| {
            let index = usize::try_from(u32::from_be_bytes(item.name)).ok()?.checked_sub(1)?;
            let data = child(item.content, b"data")?;
            let text = (u32_at(data, 0)? == 1).then(|| data.get(8..))??;
            Some((keys.get(index)?.clone(), String::from_utf8_lossy(text).into_owned()))
        })
        .collect()
}

struct SampleEntry {
    parameter_sets: ParameterSets,
    length_bytes: usize,
    color_space: ColorSpace,
}

impl SampleEntry {
    fn read(table: &[u8]) -> Result<Self, TrackError> {
        let entries = child(table, b"stsd").and_then(|entries| entries.get(8..)).ok_or_else(|| missing("stsd"))?;
        let entry = atoms(entries).next().ok_or_else(|| missing("stsd entry"))?;
        if !matches!(&entry.name, b"avc1" | b"avc3") {
            let name = text(&entry.name);
            return Err(TrackError::Unsupported(format!(
                "its video is coded as `{name}`, only H.264 (`avc1`) is read"
            )));
        }
        let height = u16_at(entry.content, 26).ok_or_else(|| missing("avc1"))?;
        let inner = entry.content.get(VISUAL_ENTRY_BYTES..).ok_or_else(|| missing("avc1"))?;
        let record = child(inner, b"avcC").ok_or_else(|| missing("avcC"))?;
        let (parameter_sets, length_bytes) =
            decoder_configuration(record).ok_or_else(|| malformed("box `avcC` is cut short"))?;
        Ok(Self { parameter_sets, length_bytes, color_space: color_space(child(inner, b"colr"), height) })
    }
}

/// AVCDecoderConfigurationRecord, ISO/IEC 14496-15, 5.3.3.1.
fn decoder_configuration(record: &[u8]) -> Option<(ParameterSets, usize)> {
    let length_bytes = usize::from(record.get(4)? & 3) + 1;
    let mut rest = record.get(5..)?;
    let mut units = |mask: u8| {
        let (&count, mut left) = rest.split_first()?;
        let mut units = Vec::new();
        for _ in 0..count & mask {
            let length = usize::from(u16_at(left, 0)?);
            let (unit, behind) = left.get(2..)?.split_at_checked(length)?;
            units.push(unit.to_vec());
            left = behind;
        }
        rest = left;
        Some(units)
    };
    Some((ParameterSets { sps: units(0x1f)?, pps: units(0xff)? }, length_bytes))
}

/// ISO/IEC 23091-2 code points; without any, what players assume from the height.
fn color_space(colr: Option<&[u8]>, height: u16) -> ColorSpace {
    let guess = if height > 576 { BT709 } else { BT601 };
    let Some(colr) = colr.filter(|colr| matches!(colr.get(..4), Some(b"nclx" | b"nclc"))) else {
        return guess;
    };
    let space = match u16_at(colr, 8) {
        Some(1) => BT709,
        Some(5 | 6) => BT601,
        Some(9) => BT2020,
        _ => guess,
    };
    ColorSpace { full_range: colr.get(10).is_some_and(|flags| flags & 0x80 != 0), ..space }
}

/// The mean rate: frames by the ticks that all of them last.
fn frame_rate(media: &[u8], table: &[u8]) -> Result<FrameRate, TrackError> {
    let header = child(media, b"mdhd").ok_or_else(|| missing("mdhd"))?;
    let timescale_at = if header.first() == Some(&1) { 20 } else { 12 };
    let timescale = u32_at(header, timescale_at).ok_or_else(|| missing("mdhd"))?;
    let runs = table_rows::<2>(table, b"stts")?;
    let (mut frames, mut ticks) = (0u64, 0u64);
    for [count, delta] in runs {
        frames += u64::from(count);
        ticks = ticks.saturating_add(u64::from(count) * u64::from(delta));
    }
    // Constant rates are exact; the last frame of a file often lasts a little longer.
    let exact = match table_rows::<2>(table, b"stts")?.next() {
        Some([_, delta]) => FrameRate::new(timescale, delta),
        None => return Err(malformed("box `stts` is empty")),
    };
    match exact {
        Ok(rate) if (rate.seconds(frames) - ticks as f64 / f64::from(timescale)).abs() < 1.0 => Ok(rate),
        _ => FrameRate::from_f64(frames as f64 * f64::from(timescale) / ticks as f64)
            .map_err(|error| malformed(format!("its times make no sense: {error}"))),
    }
}

fn sample_sizes(table: &[u8], file_bytes: u64) -> Result<Vec<u32>, TrackError> {
    let sizes = child(table, b"stsz")
        .ok_or_else(|| TrackError::Unsupported("its frame sizes are not in an `stsz` box".to_owned()))?;
    let (Some(fixed), Some(count)) = (u32_at(sizes, 4), u32_at(sizes, 8)) else {
        return Err(malformed("box `stsz` is cut short"));
    };
    if count > FRAME_COUNT_MAX {
        return Err(malformed(format!("it claims to hold {count} frames")));
    }
    if fixed > 0 {
        if u64::from(fixed) * u64::from(count) > file_bytes {
            return Err(malformed(format!("it claims {count} frames of {fixed} bytes, more than the file holds")));
        }
        return Ok(vec![fixed; count as usize]);
    }
    let listed = sizes.get(12..).and_then(|listed| listed.get(..count as usize * 4));
    let listed = listed.ok_or_else(|| malformed(format!("box `stsz` is cut short of its {count} sizes")))?;
    Ok(listed.chunks_exact(4).map(|size| u32_at(size, 0).unwrap_or_default()).collect())
}

/// Follows chunks (`stsc`, `stco` or `co64`) to give every frame its offset.
fn locate(table: &[u8], sizes: &[u32]) -> Result<Vec<Sample>, TrackError> {
    let offsets: Vec<u64> = match child(table, b"co64") {
        Some(long) => long.get(8..).unwrap_or_default().chunks_exact(8).filter_map(|row| u64_at(row, 0)).collect(),
        None => table_rows::<1>(table, b"stco")?.map(|[offset]| u64::from(offset)).collect(),
    };
    let runs: Vec<_> = table_rows::<3>(table, b"stsc")?.collect();
    let mut samples = Vec::with_capacity(sizes.len());
    let mut sizes = sizes.iter();
    for (run_index, &[first_chunk, samples_per_chunk, _]) in runs.iter().enumerate() {
        // Chunks count from 1; a run ends where the next begins.
        let first = (first_chunk as usize).saturating_sub(1);
        let last = runs.get(run_index + 1).map_or(offsets.len(), |next| (next[0] as usize).saturating_sub(1));
        for &chunk in offsets.get(first..last.min(offsets.len())).unwrap_or_default() {
            let mut offset = chunk;
            for &bytes in sizes.by_ref().take(samples_per_chunk as usize) {
                samples.push(Sample { offset, bytes });
                offset = offset.saturating_add(u64::from(bytes));
            }
        }
    }
    match sizes.len() {
        0 => Ok(samples),
        left => Err(malformed(format!("its tables do not say where the last {left} frames lie"))),
    }
}

/// The rows of `N` numbers of a table with a version, flags and a count; as many as are there.
fn table_rows<'a, const N: usize>(
    table: &'a [u8],
    name: &[u8; 4],
) -> Result<impl Iterator<Item = [u32; N]> + use<'a, N>, TrackError> {
    let content = child(table, name).ok_or_else(|| missing(&text(name)))?;
    let count = u32_at(content, 4).ok_or_else(|| missing(&text(name)))? as usize;
    let rows = content.get(8..).unwrap_or_default().chunks_exact(4 * N).take(count);
    Ok(rows.map(|row| std::array::from_fn(|index| u32_at(row, index * 4).unwrap_or_default())))
}

fn missing(name: &str) -> TrackError {
    malformed(format!("box `{name}` is missing or cut short"))
}

fn malformed(problem: impl Into<String>) -> TrackError {
    TrackError::Malformed(problem.into())
}
