//! What a file that is not safetensors looks like, from its first bytes.

/// Kinds of files that people point at instead of a safetensors file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looks {
    /// No bytes at all.
    Empty,
    /// Starts with zeros: space that a download reserved and did not fill.
    Zeros,
    /// A zip archive that PyTorch wrote: `.pth`, `.pt`, `.ckpt`, `.bin`.
    TorchZip,
    /// A Python pickle: an old `.pth` or `.ckpt`.
    Pickle,
    /// Another zip archive.
    Zip,
    /// A GGUF file.
    Gguf,
    /// A web page: a login or error page saved under the model's name.
    Html,
    /// An XML document: a storage service's error.
    Xml,
    /// The three lines that git keeps in place of a large file.
    LfsPointer,
    /// JSON text: an index, a config or a workflow.
    Json,
    /// A picture or a video.
    Media,
    /// Compressed by a general tool.
    Compressed,
    /// None of these.
    Unknown,
}

impl Looks {
    /// Judges by the first bytes of a file; a few hundred are enough.
    pub fn of(start: &[u8]) -> Self {
        let start = &start[..start.len().min(512)];
        let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start).trim_ascii_start();
        let text_starts = |word: &[u8]| text.len() >= word.len() && text[..word.len()].eq_ignore_ascii_case(word);
        match start {
            [] => Self::Empty,
            // A safetensors file starts with a length, which is not zero.
            _ if start.iter().all(|&byte| byte == 0) => Self::Zeros,
            // PyTorch names the archive's first entry `<folder>/data.pkl`.
            [b'P', b'K', 3, 4, ..] if contains(start, b"data.pkl") => Self::TorchZip,
            [b'P', b'K', 3 | 5, 4 | 6, ..] => Self::Zip,
            [0x80, 2..=5, ..] => Self::Pickle,
            [b'G', b'G', b'U', b'F', ..] => Self::Gguf,
            [0x89, b'P', b'N', b'G', ..] | [0xff, 0xd8, 0xff, ..] | [b'R', b'I', b'F', b'F', ..] => Self::Media,
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => Self::Media,
            [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [b'7', b'z', 0xbc, 0xaf, ..] | [0xfd, b'7', b'z', ..] => {
                Self::Compressed
            }
            _ if text_starts(b"version https://git-lfs") => Self::LfsPointer,
            _ if text_starts(b"<?xml") => Self::Xml,
            _ if text_starts(b"<!doctype") || text_starts(b"<html") || text_starts(b"<head") => Self::Html,
            _ if matches!(text, [b'{' | b'[', ..]) => Self::Json,
            _ => Self::Unknown,
        }
    }

    /// Ends the sentence "the file is not a safetensors file"; empty where nothing is known.
    pub fn text(self) -> &'static str {
        match self {
            Self::Empty => ": it is empty",
            Self::Zeros => ": it starts with zeros",
            Self::TorchZip => ": it looks like a PyTorch `.pth` archive (zipped pickle)",
            Self::Pickle => ": it looks like a Python pickle (an old `.pth` or `.ckpt`)",
            Self::Zip => ": it looks like a zip archive",
            Self::Gguf => ": it looks like a GGUF file",
            Self::Html => ": it looks like an HTML page",
            Self::Xml => ": it looks like an XML document",
            Self::LfsPointer => ": it looks like a git-lfs pointer",
            Self::Json => ": it looks like JSON text",
            Self::Media => ": it looks like a picture or a video",
            Self::Compressed => ": it looks like a compressed archive",
            Self::Unknown => "",
        }
    }

    /// What to do with such a file.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Empty | Self::Zeros => "the download did not finish; download the file again",
            Self::TorchZip | Self::Pickle => {
                "get the `.safetensors` form of this model; of torch's own files, only zipped ones are read"
            }
            Self::Zip | Self::Compressed => "unpack the archive and choose the `.safetensors` file inside",
            Self::Gguf => "get the `.safetensors` form of this model",
            Self::Html | Self::Xml => {
                "the server answered with a page instead of the model, often because a login or an accepted \
                 licence is needed; open the address in a browser, then download the file again"
            }
            Self::LfsPointer => "the repository was cloned without its large files; run `git lfs pull` in it",
            Self::Json => "this is a description, not weights; choose the `.safetensors` file beside it",
            Self::Media | Self::Unknown => "choose a `.safetensors` checkpoint",
        }
    }
}

fn contains(bytes: &[u8], word: &[u8]) -> bool {
    bytes.windows(word.len()).any(|window| window == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_bytes_tell() {
        for (start, want) in [
            (&b""[..], Looks::Empty),
            (&[0; 40], Looks::Zeros),
            (b"PK\x03\x04........archive/data.pkl", Looks::TorchZip),
            (b"PK\x03\x04........word/document.xml", Looks::Zip),
            (b"PK\x05\x06", Looks::Zip),
            (b"\x80\x02}q\x00", Looks::Pickle),
            (b"GGUF\x03\0\0\0", Looks::Gguf),
            (b"\xef\xbb\xbf\n<!DOCTYPE html>", Looks::Html),
            (b"<HTML>", Looks::Html),
            (b"<?xml version=\"1.0\"?><Error>", Looks::Xml),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:", Looks::LfsPointer),
            (b"  {\"error\": \"Entry not found\"}", Looks::Json),
            (b"\0\0\0\x20ftypisom", Looks::Media),
            (b"\x1f\x8b\x08", Looks::Compressed),
            (b"hello", Looks::Unknown),
            (b"PK", Looks::Unknown),
        ] {
            assert_eq!(Looks::of(start), want, "{start:?}");
        }
    }
}
