//! H.264 pictures in and out of the form MP4 stores: NAL units behind their lengths.
//!
//! OpenH264 speaks Annex B (NAL units behind start codes); both conversions live here.

use openh264::OpenH264API;
use openh264::decoder::{Decoder, DecoderConfig, Flush};
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Profile, QpRange,
    RateControlMode, SpsPpsStrategy, VuiConfig,
};
use openh264::formats::{YUVSlices, YUVSource};

use crate::color::{self, ColorSpace, Yuv420, YuvPlanes};

/// The quantizers that OpenH264 takes; below 12 it would silently use 12.
pub(crate) const QUANTIZER_MIN: u8 = 12;
/// The strongest quantizer of H.264.
pub(crate) const QUANTIZER_MAX: u8 = 51;
/// The smallest side that OpenH264 takes.
pub(crate) const SIDE_MIN: u32 = 16;
/// The longer and the shorter side of the largest picture that OpenH264 takes.
pub(crate) const SIDES_MAX: (u32, u32) = (3840, 2160);
/// Bytes of the length before each NAL unit in what `encode` writes.
pub(crate) const LENGTH_BYTES: usize = 4;

/// A picture at least this often starts afresh, so that players can seek.
const KEYFRAME_SECONDS: f64 = 5.0;
/// Declared, not enforced: it only makes OpenH264 choose a fitting level.
const BITS_PER_PIXEL: f64 = 0.5;

const NAL_TYPE_IDR: u8 = 5;
const NAL_TYPE_SPS: u8 = 7;
const NAL_TYPE_PPS: u8 = 8;

/// The sequence and picture parameter sets that a decoder needs before the first picture,
/// without start codes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ParameterSets {
    pub sps: Vec<Vec<u8>>,
    pub pps: Vec<Vec<u8>>,
}

/// One stream of pictures at a constant quantizer.
pub(crate) struct H264Encoder {
    encoder: Encoder,
    parameter_sets: ParameterSets,
}

impl H264Encoder {
    /// `frames_per_second` decides level and seek points; timing is the container's.
    pub fn new(width: u32, height: u32, frames_per_second: f64, quantizer: u8) -> Result<Self, String> {
        let bits_per_second = f64::from(width) * f64::from(height) * frames_per_second * BITS_PER_PIXEL;
        // Of OpenH264's modes, Off ignores the quantizer range, and Quality complains on standard
        // error when it may not skip frames. Bufferbased keeps to the range, except that scene
        // detection would add up to 2.
        let config = EncoderConfig::new()
            .rate_control_mode(RateControlMode::Bufferbased)
            .scene_change_detect(false)
            .qp(QpRange::new(quantizer, quantizer))
            .bitrate(BitRate::from_bps(bits_per_second.clamp(64_000.0, 200_000_000.0) as u32))
            .max_frame_rate(FrameRate::from_hz(frames_per_second.clamp(1.0, 60.0) as f32))
            .skip_frames(false)
            .background_detection(false)
            .adaptive_quantization(false)
            .complexity(Complexity::High)
            .profile(Profile::High)
            .sps_pps_strategy(SpsPpsStrategy::ConstantId)
            .intra_frame_period(IntraFramePeriod::from_num_frames(
                (frames_per_second * KEYFRAME_SECONDS).ceil().max(1.0) as u32,
            ))
            .num_threads(1)
            .vui(VuiConfig::bt709());
        let encoder = Encoder::with_api_config(OpenH264API::from_source(), config).map_err(|e| e.to_string())?;
        Ok(Self { encoder, parameter_sets: ParameterSets::default() })
    }

    /// Appends one picture to `out` as length-prefixed NAL units, and says whether a player may
    /// start there.
    pub fn encode(&mut self, picture: &Yuv420, out: &mut Vec<u8>) -> Result<bool, String> {
        let size = (picture.width, picture.height);
        let strides = (picture.width, picture.width / 2, picture.width / 2);
        let source = YUVSlices::new((&picture.y, &picture.cb, &picture.cr), size, strides);
        let stream = self.encoder.encode(&source).map_err(|e| e.to_string())?;
        if !matches!(stream.frame_type(), FrameType::IDR | FrameType::I | FrameType::P) {
            return Err(format!("the encoder gave no picture but {:?}", stream.frame_type()));
        }
        let mut keyframe = false;
        for layer in (0..stream.num_layers()).filter_map(|index| stream.layer(index)) {
            for unit in (0..layer.nal_count()).filter_map(|index| layer.nal_unit(index)) {
                let unit = without_start_code(unit);
                match unit.first().map(|header| header & 0x1f) {
                    None => {}
                    Some(NAL_TYPE_SPS) => remember(&mut self.parameter_sets.sps, unit)?,
                    Some(NAL_TYPE_PPS) => remember(&mut self.parameter_sets.pps, unit)?,
                    Some(kind) => {
                        keyframe |= kind == NAL_TYPE_IDR;
                        out.extend_from_slice(&(unit.len() as u32).to_be_bytes());
                        out.extend_from_slice(unit);
                    }
                }
            }
        }
        Ok(keyframe)
    }

    /// Known once the first picture has been encoded.
    pub fn parameter_sets(&self) -> &ParameterSets {
        &self.parameter_sets
    }
}

/// Keeps the first parameter set. The container stores it once, so it must not change.
fn remember(sets: &mut Vec<Vec<u8>>, unit: &[u8]) -> Result<(), String> {
    match sets.first() {
        None => sets.push(unit.to_vec()),
        Some(first) if first == unit => {}
        Some(_) => return Err("the encoder changed its parameters within one video".to_owned()),
    }
    Ok(())
}

fn without_start_code(unit: &[u8]) -> &[u8] {
    let zeros = unit.iter().take_while(|&&byte| byte == 0).count();
    match unit.get(zeros) {
        Some(1) if zeros >= 2 => &unit[zeros + 1..],
        _ => unit,
    }
}

/// A decoder of length-prefixed samples.
pub(crate) struct H264Decoder {
    decoder: Decoder,
    length_bytes: usize,
    /// The sample in Annex B; begins with the parameter sets until the first one is decoded.
    packet: Vec<u8>,
}

/// A decoded picture, `[height, width, 3]`.
pub(crate) struct Picture {
    pub width: u32,
    pub height: u32,
    pub rgb: Vec<u8>,
}

impl H264Decoder {
    /// `length_bytes`: size of the length before each NAL unit, 1 to 4.
    pub fn new(parameter_sets: &ParameterSets, length_bytes: usize) -> Result<Self, String> {
        // Pictures come out in display order, so with B-frames later than they went in.
        let config = DecoderConfig::new().flush_after_decode(Flush::NoFlush);
        let decoder = Decoder::with_api_config(OpenH264API::from_source(), config).map_err(|e| e.to_string())?;
        let mut packet = Vec::new();
        for unit in parameter_sets.sps.iter().chain(&parameter_sets.pps) {
            push_annex_b(&mut packet, unit);
        }
        Ok(Self { decoder, length_bytes, packet })
    }

    /// Decodes one sample. The picture that comes out, if any, is the next one to show; it is
    /// written over `picture`. Returns whether there was one.
    pub fn decode(&mut self, sample: &[u8], space: ColorSpace, picture: &mut Picture) -> Result<bool, String> {
        append_annex_b(&mut self.packet, sample, self.length_bytes)?;
        let decoded = self.decoder.decode(&self.packet).map_err(|e| e.to_string());
        self.packet.clear();
        match decoded? {
            Some(yuv) => convert(&yuv, space, picture).map(|()| true),
            None => Ok(false),
        }
    }

    /// The pictures still held back, in display order, once all samples are in.
    pub fn flush(&mut self, space: ColorSpace) -> Result<Vec<Picture>, String> {
        let decoded = self.decoder.flush_remaining().map_err(|e| e.to_string())?;
        decoded
            .iter()
            .map(|yuv| {
                let mut picture = Picture { width: 0, height: 0, rgb: Vec::new() };
                convert(yuv, space, &mut picture).map(|()| picture)
            })
            .collect()
    }
}

fn convert(yuv: &impl YUVSource, space: ColorSpace, picture: &mut Picture) -> Result<(), String> {
    let (width, height) = yuv.dimensions();
    let (y_stride, chroma_stride, _) = yuv.strides();
    let planes = YuvPlanes { width, height, y: yuv.y(), cb: yuv.u(), cr: yuv.v(), y_stride, chroma_stride };
    let chroma_bytes = (height / 2) * chroma_stride;
    let fits = width.min(height) > 0
        && width.is_multiple_of(2)
        && height.is_multiple_of(2)
        && y_stride >= width
        && chroma_stride >= width / 2
        && planes.y.len() >= height * y_stride
        && planes.cb.len().min(planes.cr.len()) >= chroma_bytes;
    if !fits {
        return Err(format!("the decoder gave a picture of {width}x{height} with rows of {y_stride} bytes"));
    }
    color::yuv_to_rgb(planes, space, &mut picture.rgb);
    (picture.width, picture.height) = (width as u32, height as u32);
    Ok(())
}

fn append_annex_b(packet: &mut Vec<u8>, mut sample: &[u8], length_bytes: usize) -> Result<(), String> {
    while !sample.is_empty() {
        let unit = sample.split_at_checked(length_bytes).and_then(|(length, rest)| {
            let length = length.iter().fold(0usize, |length, &byte| (length << 8) | usize::from(byte));
            rest.split_at_checked(length)
        });
        let Some((unit, rest)) = unit else {
            return Err("a NAL unit reaches beyond its frame".to_owned());
        };
        push_annex_b(packet, unit);
        sample = rest;
    }
    Ok(())
}

fn push_annex_b(packet: &mut Vec<u8>, unit: &[u8]) {
    packet.extend_from_slice(&[0, 0, 0, 1]);
    packet.extend_from_slice(unit);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_become_start_codes_or_an_error() {
        for (sample, length_bytes, expected) in [
            (&[0u8, 0, 0, 1, 9, 0, 0, 0, 2, 7, 8][..], 4, Some(&[0u8, 0, 0, 1, 9, 0, 0, 0, 1, 7, 8][..])),
            (&[1, 9], 1, Some(&[0, 0, 0, 1, 9])),
            (&[], 4, Some(&[])),
            (&[0, 0, 0, 2, 9], 4, None),
            (&[255, 255, 255, 255, 9], 4, None),
            (&[0, 0], 4, None),
        ] {
            let mut packet = Vec::new();
            let result = append_annex_b(&mut packet, sample, length_bytes);
            assert_eq!(result.is_ok().then_some(packet.as_slice()), expected, "{sample:?}");
        }
    }

    #[test]
    fn start_codes_of_both_lengths_are_removed() {
        for (unit, expected) in [
            (&[0u8, 0, 0, 1, 0x67, 0][..], &[0x67u8, 0][..]),
            (&[0, 0, 1, 0x68], &[0x68]),
            (&[0x65, 1], &[0x65, 1]),
            (&[], &[]),
        ] {
            assert_eq!(without_start_code(unit), expected);
        }
    }
}
