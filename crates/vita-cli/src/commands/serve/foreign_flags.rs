//! ComfyUI's flags that steer PyTorch, its memory or its packages: accepted, so that a start script goes on working,
//! and told of, since they do nothing here.

use std::ffi::OsString;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches};

/// How many values a flag has.
#[derive(Clone, Copy)]
enum Values {
    None,
    One,
    AtMostOne,
    Any,
}

/// The flags, without their dashes. Not among them are those whose effect a user would miss: `--multi-user`, say, stays
/// unknown.
const FLAGS: &[(&str, Values)] = &[
    ("async-offload", Values::AtMostOne),
    ("auto-launch", Values::None),
    ("bf16-text-enc", Values::None),
    ("bf16-unet", Values::None),
    ("bf16-vae", Values::None),
    ("cache-classic", Values::None),
    ("cache-lru", Values::One),
    ("cache-none", Values::None),
    ("cache-ram", Values::AtMostOne),
    ("cpu-vae", Values::None),
    ("cuda-malloc", Values::None),
    ("database-url", Values::One),
    ("deterministic", Values::None),
    ("disable-all-custom-nodes", Values::None),
    ("disable-async-offload", Values::None),
    ("disable-auto-launch", Values::None),
    ("disable-cuda-malloc", Values::None),
    ("disable-manager-ui", Values::None),
    ("disable-mmap", Values::None),
    ("disable-pinned-memory", Values::None),
    ("disable-smart-memory", Values::None),
    ("disable-xformers", Values::None),
    ("dont-print-server", Values::None),
    ("dont-upcast-attention", Values::None),
    ("enable-compress-response-body", Values::None),
    ("enable-manager", Values::None),
    ("enable-manager-legacy-ui", Values::None),
    ("fast", Values::Any),
    ("force-channels-last", Values::None),
    ("force-fp16", Values::None),
    ("force-fp32", Values::None),
    ("force-non-blocking", Values::None),
    ("force-upcast-attention", Values::None),
    ("fp16-text-enc", Values::None),
    ("fp16-unet", Values::None),
    ("fp16-vae", Values::None),
    ("fp32-text-enc", Values::None),
    ("fp32-unet", Values::None),
    ("fp32-vae", Values::None),
    ("fp8_e4m3fn-text-enc", Values::None),
    ("fp8_e4m3fn-unet", Values::None),
    ("fp8_e5m2-text-enc", Values::None),
    ("fp8_e5m2-unet", Values::None),
    ("front-end-version", Values::One),
    ("gpu-only", Values::None),
    ("highvram", Values::None),
    ("log-stdout", Values::None),
    ("lowvram", Values::None),
    ("mmap-torch-files", Values::None),
    ("normalvram", Values::None),
    ("novram", Values::None),
    ("reserve-vram", Values::One),
    ("supports-fp8-compute", Values::None),
    ("use-flash-attention", Values::None),
    ("use-pytorch-cross-attention", Values::None),
    ("use-quad-cross-attention", Values::None),
    ("use-sage-attention", Values::None),
    ("use-split-cross-attention", Values::None),
    ("whitelist-custom-nodes", Values::Any),
    ("windows-standalone-build", Values::None),
];

/// ComfyUI's levels of logs.
pub const LEVELS: [&str; 5] = ["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"];

/// Those that were given.
#[derive(Debug, Default)]
pub struct ForeignFlags {
    /// Without dashes.
    pub given: Vec<&'static str>,
}

impl Args for ForeignFlags {
    fn augment_args(command: Command) -> Command {
        command.args(FLAGS.iter().map(|(name, values)| {
            let arg = Arg::new(*name).long(*name).hide(true);
            match values {
                Values::None => arg.action(ArgAction::SetTrue),
                Values::One => arg.num_args(1),
                Values::AtMostOne => arg.num_args(0..=1),
                Values::Any => arg.num_args(0..),
            }
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ForeignFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let is_given = |name: &str| matches.value_source(name) == Some(clap::parser::ValueSource::CommandLine);
        Ok(Self { given: FLAGS.iter().map(|(name, _)| *name).filter(|name| is_given(name)).collect() })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// A command line of `serve` in which ComfyUI's `--verbose [LEVEL]` is `--log-level LEVEL`: for the other commands
/// `--verbose` has no value. Lines of other commands stay as they are.
pub fn with_log_level(line: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let line: Vec<OsString> = line.collect();
    if line.get(1).is_none_or(|command| command != "serve") {
        return line;
    }
    let mut renamed = Vec::with_capacity(line.len());
    let mut words = line.into_iter().peekable();
    while let Some(word) = words.next() {
        if word == "-v" || word == "--verbose" {
            let level = words.next_if(|next| LEVELS.iter().any(|level| next == level));
            renamed.extend(["--log-level".into(), level.unwrap_or_else(|| "DEBUG".into())]);
        } else {
            renamed.push(word);
        }
    }
    renamed
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        foreign: ForeignFlags,
        #[arg(long)]
        port: Option<u16>,
    }

    #[test]
    fn flags_of_comfyui_are_noted_with_their_values() {
        for (line, given) in [
            ("", &[][..]),
            ("--lowvram --port 1", &["lowvram"]),
            ("--reserve-vram 2.5 --fast fp16_accumulation cublas_ops --lowvram", &["fast", "lowvram", "reserve-vram"]),
            ("--async-offload --port 1", &["async-offload"]),
            ("--fp8_e4m3fn-text-enc --cache-lru 3", &["cache-lru", "fp8_e4m3fn-text-enc"]),
        ] {
            let words = std::iter::once("serve").chain(line.split_whitespace());
            let Ok(parsed) = Line::try_parse_from(words) else { panic!("{line} is refused") };
            assert_eq!(parsed.foreign.given, given, "{line}");
            assert_eq!(parsed.port.is_some(), line.contains("--port"));
        }
        for line in ["--multi-user", "--lowvram=1", "--reserve-vram", "--lowram"] {
            assert!(Line::try_parse_from(["serve", line]).is_err(), "{line}");
        }
    }

    #[test]
    fn the_level_of_logs_has_a_flag_of_its_own() {
        for (line, expected) in [
            ("vitascope serve --verbose WARNING", "vitascope serve --log-level WARNING"),
            ("vitascope serve --verbose", "vitascope serve --log-level DEBUG"),
            ("vitascope serve -v --port 1", "vitascope serve --log-level DEBUG --port 1"),
            ("vitascope generate --verbose INFO", "vitascope generate --verbose INFO"),
            ("vitascope", "vitascope"),
        ] {
            let renamed = with_log_level(line.split(' ').map(OsString::from));
            assert_eq!(renamed.join(OsStr::new(" ")), expected);
        }
    }
}
