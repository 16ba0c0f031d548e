//! The formats of `VHS_VideoCombine`: how each is written, and the widgets that each brings.

mod widget;

use serde_json::{Map, Value as Json};

pub use widget::{Widget, Widgets};
use widget::{choice, switch, whole};

/// A kind of file.
pub struct Format {
    /// As the node lists it.
    pub name: &'static str,
    /// Ending of its files.
    pub extension: &'static str,
    /// What may be set about it.
    pub widgets: &'static [Widget],
    /// How it is written.
    pub how: How,
    /// How FFmpeg writes sound into it.
    pub sound: &'static [&'static str],
}

/// How a kind of file is written.
#[derive(Clone, Copy)]
pub enum How {
    /// An animation of 256 colours a picture.
    Gif,
    /// An animation of all colours.
    Webp,
    /// A file a picture, of bytes or of two bytes a value.
    Pictures {
        /// Of a value.
        bits: u8,
    },
    /// H.264: natively where its pixels are `yuv420p`.
    H264(&'static [&'static str]),
    /// By FFmpeg: codec and quality, `{name}` standing for a widget's value.
    Ffmpeg {
        /// What stands between pictures and file.
        arguments: &'static [&'static str],
        /// Whether it is given two bytes a value.
        is_deep: bool,
    },
    /// By a program that is not used here.
    Gifski,
}

const PIXELS: &[&str] = &["yuv420p", "yuv420p10le"];
const PIXELS_DEEP_FIRST: &[&str] = &["yuv420p10le", "yuv420p"];
const SAVE_METADATA: Widget = switch("save_metadata", true);
const TRIM_TO_AUDIO: Widget = switch("trim_to_audio", false);
const AAC: &[&str] = &["-c:a", "aac", "-movflags", "use_metadata_tags"];
const OPUS: &[&str] = &["-c:a", "libopus"];

/// Colours of a video as players expect them.
const COLORS: [&str; 10] = [
    "-vf",
    "scale=out_color_matrix=bt709",
    "-color_range",
    "tv",
    "-colorspace",
    "bt709",
    "-color_primaries",
    "bt709",
    "-color_trc",
    "bt709",
];

const NVENC: &[Widget] = &[
    choice("pix_fmt", &["yuv420p", "p010le"], "yuv420p"),
    whole("bitrate", 10, 1, 999),
    switch("megabit", true),
    SAVE_METADATA,
];

const DITHERS: &[&str] =
    &["bayer", "heckbert", "floyd_steinberg", "sierra2", "sierra2_4a", "sierra3", "burkes", "atkinson", "none"];

const FFV1_PIXELS: &[&str] = &[
    "rgba64le",
    "bgra",
    "yuv420p",
    "yuv422p",
    "yuv444p",
    "yuva420p",
    "yuva422p",
    "yuva444p",
    "yuv420p10le",
    "yuv422p10le",
    "yuv444p10le",
    "yuv420p12le",
    "yuv422p12le",
    "yuv444p12le",
    "yuv420p14le",
    "yuv422p14le",
    "yuv444p14le",
    "yuv420p16le",
    "yuv422p16le",
    "yuv444p16le",
    "gray",
    "gray10le",
    "gray12le",
    "gray16le",
];

/// Every format, in the original's order.
pub const FORMATS: &[Format] = &[
    Format { name: "image/gif", extension: "gif", widgets: &[], how: How::Gif, sound: &[] },
    Format { name: "image/webp", extension: "webp", widgets: &[switch("lossless", true)], how: How::Webp, sound: &[] },
    Format { name: "video/16bit-png", extension: "png", widgets: &[], how: How::Pictures { bits: 16 }, sound: &[] },
    Format { name: "video/8bit-png", extension: "png", widgets: &[], how: How::Pictures { bits: 8 }, sound: &[] },
    Format {
        name: "video/ProRes",
        extension: "mov",
        widgets: &[choice("profile", &["lt", "standard", "hq", "4444", "4444xq"], "hq")],
        how: How::Ffmpeg {
            arguments: &["-c:v", "prores_ks", "-profile:v", "{profile}", "-pix_fmt", "{prores_pix_fmt}", "{colors}"],
            is_deep: false,
        },
        sound: &["-c:a", "pcm_s16le"],
    },
    Format {
        name: "video/av1-webm",
        extension: "webm",
        widgets: &[
            choice("pix_fmt", PIXELS_DEEP_FIRST, "yuv420p10le"),
            whole("crf", 23, 0, 100),
            choice("input_color_depth", &["8bit", "16bit"], "8bit"),
            SAVE_METADATA,
        ],
        how: How::Ffmpeg {
            arguments: &["-c:v", "libsvtav1", "-pix_fmt", "{pix_fmt}", "-crf", "{crf}", "{colors}"],
            is_deep: false,
        },
        sound: OPUS,
    },
    Format {
        name: "video/ffmpeg-gif",
        extension: "gif",
        widgets: &[choice("dither", DITHERS, "sierra2_4a")],
        how: How::Ffmpeg {
            arguments: &[
                "-vf",
                "split [a][b]; [a] palettegen=reserve_transparent=on:transparency_color=ffffff [p]; \
                 [b][p] paletteuse=dither={dither}",
            ],
            is_deep: false,
        },
        sound: &[],
    },
    Format {
        name: "video/ffv1-mkv",
        extension: "mkv",
        widgets: &[
            choice("level", &["0", "1", "3"], "3"),
            choice("coder", &["0", "1", "2"], "1"),
            choice("context", &["0", "1"], "1"),
            whole("gop_size", 1, 1, 300),
            choice("slices", &["4", "6", "9", "12", "16", "20", "24", "30"], "16"),
            choice("slicecrc", &["0", "1"], "1"),
            choice("pix_fmt", FFV1_PIXELS, "rgba64le"),
            SAVE_METADATA,
            TRIM_TO_AUDIO,
        ],
        how: How::Ffmpeg {
            arguments: &[
                "-c:v",
                "ffv1",
                "-level",
                "{level}",
                "-coder",
                "{coder}",
                "-context",
                "{context}",
                "-g",
                "{gop_size}",
                "-slices",
                "{slices}",
                "-slicecrc",
                "{slicecrc}",
                "-pix_fmt",
                "{pix_fmt}",
            ],
            is_deep: true,
        },
        sound: &["-c:a", "flac"],
    },
    Format {
        name: "video/gifski",
        extension: "gif",
        widgets: &[whole("quality", 90, 1, 100)],
        how: How::Gifski,
        sound: &[],
    },
    Format {
        name: "video/h264-mp4",
        extension: "mp4",
        widgets: &[choice("pix_fmt", PIXELS, "yuv420p"), whole("crf", 19, 0, 100), SAVE_METADATA, TRIM_TO_AUDIO],
        how: How::H264(&["-c:v", "libx264", "-pix_fmt", "{pix_fmt}", "-crf", "{crf}", "{colors}"]),
        sound: AAC,
    },
    Format {
        name: "video/h265-mp4",
        extension: "mp4",
        widgets: &[choice("pix_fmt", PIXELS_DEEP_FIRST, "yuv420p10le"), whole("crf", 22, 0, 100), SAVE_METADATA],
        how: How::Ffmpeg {
            arguments: &[
                "-c:v",
                "libx265",
                "-vtag",
                "hvc1",
                "-pix_fmt",
                "{pix_fmt}",
                "-crf",
                "{crf}",
                "-preset",
                "medium",
                "-x265-params",
                "log-level=quiet",
                "{colors}",
            ],
            is_deep: false,
        },
        sound: AAC,
    },
    Format {
        name: "video/nvenc_av1-mp4",
        extension: "mp4",
        widgets: NVENC,
        how: How::Ffmpeg {
            arguments: &["-c:v", "av1_nvenc", "-pix_fmt", "{pix_fmt}", "{colors}", "-b:v", "{rate}"],
            is_deep: false,
        },
        sound: AAC,
    },
    Format {
        name: "video/nvenc_h264-mp4",
        extension: "mp4",
        widgets: NVENC,
        how: How::Ffmpeg {
            arguments: &["-c:v", "h264_nvenc", "-pix_fmt", "{pix_fmt}", "{colors}", "-b:v", "{rate}"],
            is_deep: false,
        },
        sound: AAC,
    },
    Format {
        name: "video/nvenc_hevc-mp4",
        extension: "mp4",
        widgets: NVENC,
        how: How::Ffmpeg {
            arguments: &["-c:v", "hevc_nvenc", "-vtag", "hvc1", "-pix_fmt", "{pix_fmt}", "{colors}", "-b:v", "{rate}"],
            is_deep: false,
        },
        sound: AAC,
    },
    Format {
        name: "video/webm",
        extension: "webm",
        widgets: &[
            choice("pix_fmt", &["yuv420p", "yuva420p"], "yuv420p"),
            whole("crf", 20, 0, 100),
            SAVE_METADATA,
            TRIM_TO_AUDIO,
        ],
        how: How::Ffmpeg {
            arguments: &["-pix_fmt", "{pix_fmt}", "-crf", "{crf}", "-b:v", "0", "{colors}"],
            is_deep: false,
        },
        sound: &["-c:a", "libvorbis"],
    },
];

impl Format {
    /// Whether FFmpeg is given two bytes a value.
    pub fn is_deep(&self, widgets: &Widgets) -> bool {
        match self.how {
            How::Ffmpeg { is_deep, .. } => is_deep || widgets.text("input_color_depth") == "16bit",
            _ => false,
        }
    }

    /// FFmpeg's arguments for these widgets.
    pub fn arguments(&self, arguments: &[&str], widgets: &Widgets, has_alpha: bool) -> Vec<String> {
        let mut filled = Vec::new();
        for &argument in arguments {
            match argument {
                "{colors}" => filled.extend(COLORS.map(String::from)),
                "{rate}" => filled.push(format!(
                    "{}{}",
                    widgets.text("bitrate"),
                    if widgets.is_on("megabit") { "M" } else { "K" }
                )),
                // What the profile would choose by itself; those of 4:4:4 keep transparency.
                "{prores_pix_fmt}" => filled.push(
                    match (widgets.text("profile"), has_alpha) {
                        ("4444" | "4444xq", true) => "yuva444p10le",
                        ("4444" | "4444xq", false) => "yuv444p10le",
                        _ => "yuv422p10le",
                    }
                    .into(),
                ),
                argument => filled.push(widgets.fill(argument)),
            }
        }
        if ["mp4", "mov"].contains(&self.extension) {
            filled.extend(["-movflags", "use_metadata_tags"].map(String::from));
        }
        filled
    }
}

/// The widgets of every format as the page wants them.
pub fn described() -> Json {
    let with_widgets = FORMATS.iter().filter(|format| !format.widgets.is_empty());
    let described =
        with_widgets.map(|format| (format.name.to_owned(), format.widgets.iter().map(Widget::described).collect()));
    Json::Object(described.collect::<Map<String, Json>>())
}

#[cfg(test)]
mod tests {
    use vita_graph::{Inputs, Value};

    use super::*;

    #[test]
    fn what_is_not_set_has_its_default() {
        let h265 = FORMATS.iter().find(|format| format.name == "video/h265-mp4").unwrap();
        let How::Ffmpeg { arguments, .. } = h265.how else { panic!("by FFmpeg") };
        let mut inputs = Inputs::default();
        inputs.set("crf", vec![Value::Int(30)]);
        let widgets = Widgets::read(h265.widgets, &inputs).unwrap();
        let said = h265.arguments(arguments, &widgets, false).join(" ");
        assert!(said.starts_with("-c:v libx265 -vtag hvc1 -pix_fmt yuv420p10le -crf 30 -preset medium"), "{said}");
        assert!(said.ends_with("-color_trc bt709 -movflags use_metadata_tags"), "{said}");
        assert!(widgets.is_on("save_metadata"));

        let nvenc = FORMATS.iter().find(|format| format.name == "video/nvenc_h264-mp4").unwrap();
        let How::Ffmpeg { arguments, .. } = nvenc.how else { panic!("by FFmpeg") };
        let widgets = Widgets::read(nvenc.widgets, &Inputs::default()).unwrap();
        assert!(nvenc.arguments(arguments, &widgets, false).contains(&"10M".into()));
    }

    #[test]
    fn every_placeholder_is_a_widget() {
        for format in FORMATS {
            let arguments = match format.how {
                How::Ffmpeg { arguments, .. } | How::H264(arguments) => arguments,
                _ => continue,
            };
            let widgets = Widgets::read(format.widgets, &Inputs::default()).unwrap();
            let filled = format.arguments(arguments, &widgets, true);
            assert!(filled.iter().all(|argument| !argument.contains('{')), "{}: {filled:?}", format.name);
        }
        assert_eq!(
            described()["video/h264-mp4"][1],
            serde_json::json!(["crf", "INT", { "default": 19, "min": 0, "max": 100, "step": 1 }])
        );
    }
}
