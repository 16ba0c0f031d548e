//! The FFmpeg program: for formats that are not written or read natively, and for sound.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use vita_graph::{Context, NodeError};
use vita_media::FrameRate;

use crate::data::Image;
use crate::save::disk;

/// What FFmpeg is to make of pictures.
pub(crate) struct Encode<'a> {
    /// The program.
    pub program: &'a Path,
    /// Its name for how pictures lie in memory, `rgb24`.
    pub pixels: &'a str,
    /// What else is said of the pictures before them.
    pub input: &'a [&'a str],
    /// Frames per second.
    pub frame_rate: FrameRate,
    /// Codec and quality: what stands between inputs and output on the command line.
    pub arguments: &'a [String],
    /// Texts of the file.
    pub metadata: &'a [(String, String)],
}

/// Pipes pictures, `[height, width, channels]` each, through FFmpeg into a file, which appears whole or not at all.
///
/// # Errors
/// If FFmpeg fails, the disk refuses, or the run was asked to stop.
pub(crate) fn encode(
    encode: &Encode<'_>,
    size: [usize; 2],
    frames: &mut dyn Iterator<Item = Vec<u8>>,
    path: &Path,
    context: &Context<'_>,
) -> Result<(), NodeError> {
    let output = Temporary::beside(path);
    let texts = Temporary::beside(&path.with_extension("ffmetadata"));
    std::fs::write(&texts.0, ffmetadata(encode.metadata)).map_err(|error| disk(&texts.0, &error))?;
    let mut command = Command::new(encode.program);
    command.args(["-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", encode.pixels]).args(encode.input);
    command.args(["-s", &format!("{}x{}", size[0], size[1]), "-r", &encode.frame_rate.to_string(), "-i", "-"]);
    command.args(["-f", "ffmetadata", "-i"]).arg(&texts.0).args(["-map", "0:v", "-map_metadata", "1"]);
    command.args(encode.arguments).arg(&output.0);
    let mut running = Running::start(command, Stdio::piped(), Stdio::null())?;
    let mut input = running.child.stdin.take().expect("its input is a pipe");
    for frame in frames {
        context.check()?;
        if input.write_all(&frame).is_err() {
            // It has stopped reading: what it says is the reason.
            break;
        }
    }
    drop(input);
    running.finish()?;
    output.rename(path)
}

/// Copies a video's pictures and a file's sound, made AAC, into an MP4.
///
/// # Errors
/// If FFmpeg fails or the disk refuses.
pub(crate) fn add_sound(program: &Path, video: &Path, sound: &Path, path: &Path) -> Result<(), NodeError> {
    let arguments = ["-c:a", "aac", "-movflags", "+faststart+use_metadata_tags"].map(String::from);
    join_sound(program, [video, sound], &arguments, path)
}

/// Copies a video's pictures and a file's sound into one file, as long as the shorter; the arguments say how the
/// sound is coded.
///
/// # Errors
/// If FFmpeg fails or the disk refuses.
pub(crate) fn join_sound(
    program: &Path,
    [video, sound]: [&Path; 2],
    arguments: &[String],
    path: &Path,
) -> Result<(), NodeError> {
    let output = Temporary::beside(path);
    let mut command = Command::new(program);
    command.args(["-v", "error", "-y", "-i"]).arg(video).arg("-i").arg(sound);
    command.args(["-map", "0:v", "-map", "1:a", "-c:v", "copy", "-map_metadata", "0"]);
    command.args(arguments).arg("-shortest").arg(&output.0);
    Running::start(command, Stdio::null(), Stdio::null())?.finish()?;
    output.rename(path)
}

/// A video's pictures and rate, whatever FFmpeg can read.
///
/// # Errors
/// If FFmpeg fails, there are no pictures, they are too many for memory, or the run was asked to stop.
pub(crate) fn decode(program: &Path, path: &Path, context: &Context<'_>) -> Result<(Image, FrameRate), NodeError> {
    let mut command = Command::new(program);
    command.args(["-v", "error", "-i"]).arg(path);
    // Every pixel has its colour beside its light, and a line in front of all says size and rate.
    command.args(["-map", "0:v:0", "-f", "yuv4mpegpipe", "-pix_fmt", "yuv444p", "-frames:v", "1", "-"]);
    let header = Running::start(command, Stdio::null(), Stdio::piped())?.output()?;
    let line = header.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let (width, height, frame_rate) =
        y4m_header(line).ok_or_else(|| NodeError::value(format!("FFmpeg found no video in `{}`", path.display())))?;

    let mut command = Command::new(program);
    command.args(["-v", "error", "-i"]).arg(path);
    command.args(["-map", "0:v:0", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]);
    let mut running = Running::start(command, Stdio::null(), Stdio::piped())?;
    let mut pixels = running.child.stdout.take().expect("its output is a pipe");
    let mut frames = Vec::new();
    let mut frame = vec![0; width * height * 3];
    while pixels.read_exact(&mut frame).is_ok() {
        context.check()?;
        Image::check([frames.len() / frame.len() + 1, height, width, 3])?;
        frames.extend_from_slice(&frame);
    }
    drop(pixels);
    running.finish()?;
    let count = frames.len() / frame.len().max(1);
    if count == 0 {
        return Err(NodeError::value(format!("there are no pictures in `{}`", path.display())));
    }
    Ok((Image::from_bytes(&frames, [count, height, width, 3]), frame_rate))
}

/// `YUV4MPEG2 W64 H48 F24:1 ...`
fn y4m_header(line: &[u8]) -> Option<(usize, usize, FrameRate)> {
    let text = std::str::from_utf8(line).ok()?.strip_prefix("YUV4MPEG2 ")?;
    let field = |letter: char| text.split(' ').find_map(|part| part.strip_prefix(letter));
    let (numerator, denominator) = field('F')?.split_once(':')?;
    let rate = FrameRate::new(numerator.parse().ok()?, denominator.parse().ok()?).ok()?;
    Some((field('W')?.parse().ok()?, field('H')?.parse().ok()?, rate))
}

/// Texts in FFmpeg's own format, in which these characters are escaped.
fn ffmetadata(texts: &[(String, String)]) -> String {
    let escaped = |text: &str| -> String {
        text.chars()
            .flat_map(|c| matches!(c, '=' | ';' | '#' | '\\' | '\n').then_some('\\').into_iter().chain([c]))
            .collect()
    };
    let lines = texts.iter().map(|(key, text)| format!("{}={}\n", escaped(key), escaped(text)));
    format!(";FFMETADATA1\n{}", lines.collect::<String>())
}

/// A running FFmpeg; dropped before its end it is stopped.
struct Running {
    child: Child,
    /// Reads what it says, so that it never waits for a full pipe.
    said: Option<JoinHandle<String>>,
}

impl Running {
    fn start(mut command: Command, input: Stdio, output: Stdio) -> Result<Self, NodeError> {
        let program = PathBuf::from(command.get_program());
        let mut child = command
            .stdin(input)
            .stdout(output)
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| NodeError::value(format!("cannot start FFmpeg (`{}`): {error}", program.display())))?;
        let mut errors = child.stderr.take().expect("its errors are a pipe");
        let said = thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = errors.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Ok(Self { child, said: Some(said) })
    }

    fn output(mut self) -> Result<Vec<u8>, NodeError> {
        let mut bytes = Vec::new();
        let mut pipe = self.child.stdout.take().expect("its output is a pipe");
        pipe.read_to_end(&mut bytes).map_err(|error| NodeError::value(format!("cannot read from FFmpeg: {error}")))?;
        drop(pipe);
        self.finish()?;
        Ok(bytes)
    }

    fn finish(mut self) -> Result<(), NodeError> {
        let status = self.child.wait().map_err(|error| NodeError::value(format!("FFmpeg was lost: {error}")))?;
        let said = self.said.take().and_then(|said| said.join().ok()).unwrap_or_default();
        if status.success() {
            return Ok(());
        }
        let lines: Vec<&str> = said.lines().collect();
        let last = lines[lines.len().saturating_sub(5)..].join("\n");
        Err(NodeError::value(format!("FFmpeg failed ({status}): {last}")))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // After its end both do nothing.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file that FFmpeg writes under another name; dropped without a rename it is removed.
struct Temporary(PathBuf);

impl Temporary {
    fn beside(path: &Path) -> Self {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // The ending stays: FFmpeg chooses the format by it.
        Self(path.with_file_name(format!(".{}.partial.{name}", std::process::id())))
    }

    fn rename(self, path: &Path) -> Result<(), NodeError> {
        std::fs::rename(&self.0, path).map_err(|error| disk(path, &error))
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_texts() {
        let (width, height, rate) = y4m_header(b"YUV4MPEG2 W64 H48 F30000:1001 Ip A1:1 C444").unwrap();
        assert_eq!((width, height, rate.to_string().as_str()), (64, 48, "30000/1001"));
        assert!(y4m_header(b"YUV4MPEG2 W64").is_none() && y4m_header(b"\xff").is_none());
        let texts = [("prompt".to_owned(), "{\"a=b\": \"c;\\n\"}\n".to_owned())];
        assert_eq!(ffmetadata(&texts), ";FFMETADATA1\nprompt={\"a\\=b\": \"c\\;\\\\n\"}\\\n\n");
    }
}
