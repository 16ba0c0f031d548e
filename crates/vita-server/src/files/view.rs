//! `GET /view`: a file of the output, input or temporary directory, as it is or re-encoded.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use axum::extract::{Query, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tokio::sync::Semaphore;
use vita_folders::{Annotated, Folders, Place, SafeName};

use super::picture::Picture;
use super::send::{self, Described};
use super::{blocking, content_type};
use crate::App;

/// A decoded picture may take 256 MiB, so not many are in memory at once.
static DECODERS: Semaphore = Semaphore::const_new(2);
/// How many entries are looked at when a file is searched by its bare name.
const SEARCH_ENTRY_COUNT_MAX: usize = 100_000;

/// What to show. Other parameters (`rand`, `t`, `format`) only keep caches apart.
#[derive(Debug, Deserialize)]
pub(crate) struct ViewQuery {
    filename: Option<String>,
    #[serde(rename = "type")]
    place: Option<String>,
    subfolder: Option<String>,
    preview: Option<String>,
    channel: Option<String>,
}

pub(crate) async fn view(State(app): State<Arc<App>>, Query(query): Query<ViewQuery>, request: HeaderMap) -> Response {
    let path = match find(&app.folders, &query).await {
        Ok(path) => path,
        Err(status) => return status.into_response(),
    };
    let encoding = Encoding::of(query.preview.as_deref(), query.channel.as_deref());
    if let Some(encoding) = encoding
        && let Some(response) = encoded(path.clone(), encoding).await
    {
        return response;
    }
    plain(&path, &request).await
}

/// The file that a query names.
pub(crate) async fn find(folders: &Arc<Folders>, query: &ViewQuery) -> Result<PathBuf, StatusCode> {
    let text = query.filename.as_deref().ok_or(StatusCode::NOT_FOUND)?;
    let annotated = Annotated::parse(text);
    let place = match (annotated.place, query.place.as_deref()) {
        (Some(place), _) => place,
        (None, None) => Place::Output,
        (None, Some(name)) => Place::parse(name).ok_or(StatusCode::BAD_REQUEST)?,
    };
    if annotated.name.is_empty() || annotated.name.contains("..") {
        return Err(StatusCode::BAD_REQUEST);
    }
    let name = SafeName::new(annotated.name).map_err(|_| StatusCode::BAD_REQUEST)?;
    let folder = SafeName::folder(query.subfolder.as_deref().unwrap_or("")).map_err(|_| StatusCode::FORBIDDEN)?;
    let file_name = SafeName::new(name.file_name()).map_err(|_| StatusCode::BAD_REQUEST)?;
    let base = folders.place(place).to_owned();
    let path = folder.join(&file_name).under(&base);
    if is_file(&path).await {
        return Ok(path);
    }
    if query.subfolder.is_some() {
        return Err(StatusCode::NOT_FOUND);
    }
    // Published clients ask for `ComfyUI_00001_.mp4` alone, though it was saved as `video/ComfyUI_00001_.mp4`.
    let path = name.under(&base);
    if is_file(&path).await {
        return Ok(path);
    }
    let search = move || newest_below(&base, file_name.as_str());
    tokio::task::spawn_blocking(search).await.ok().flatten().ok_or(StatusCode::NOT_FOUND)
}

/// A file as it is, forced to be a download where a browser would run it.
pub(crate) async fn plain(path: &Path, request: &HeaderMap) -> Response {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let guessed = content_type::of_name(&name);
    let is_active = content_type::is_active(guessed);
    let described = Described {
        content_type: Some(if is_active { content_type::BYTES } else { guessed }),
        disposition: Some(disposition(&name, is_active)),
        no_sniff: true,
        has_compressed_siblings: false,
    };
    send::send(path, request, described).await
}

/// `filename="a.png"`, in front of it `attachment` where the file must not be shown.
pub(crate) fn disposition(name: &str, is_attachment: bool) -> HeaderValue {
    let plain: String = name
        .chars()
        .flat_map(|character| match character {
            '"' | '\\' => ['\\', character].into_iter().take(2),
            ' '..='~' => [character, ' '].into_iter().take(1),
            _ => ['_', ' '].into_iter().take(1),
        })
        .collect();
    let attachment = if is_attachment { "attachment; " } else { "" };
    let mut text = format!("{attachment}filename=\"{plain}\"");
    if !name.is_ascii() {
        text += &format!("; filename*=UTF-8''{}", utf8_percent_encode(name, NON_ALPHANUMERIC));
    }
    HeaderValue::from_str(&text).expect("only visible ASCII is left")
}

/// How a picture is to be changed on the way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Encoding {
    Webp { quality: f32, with_alpha: bool },
    Jpeg { quality: u8 },
    RgbPng,
    AlphaPng,
}

impl Encoding {
    /// `preview` is `webp;90` or `jpeg;90`; `None` where the file is wanted as it is.
    fn of(preview: Option<&str>, channel: Option<&str>) -> Option<Self> {
        if let Some(preview) = preview {
            let (format, quality) = preview.split_once(';').unwrap_or((preview, "90"));
            let quality: u8 = quality.trim().parse().unwrap_or(90).clamp(1, 100);
            let wants_alpha = channel.is_some_and(|channel| channel.contains('a'));
            return Some(match format {
                "jpeg" if !wants_alpha => Self::Jpeg { quality },
                _ => Self::Webp { quality: f32::from(quality), with_alpha: channel != Some("rgb") },
            });
        }
        match channel {
            Some("rgb") => Some(Self::RgbPng),
            Some("a") => Some(Self::AlphaPng),
            _ => None,
        }
    }

    fn encode(self, mut picture: Picture) -> Result<(&'static str, Vec<u8>), String> {
        // The texts hold the whole workflow, which a preview need not carry.
        picture.texts.clear();
        match self {
            Self::Webp { quality, with_alpha } => {
                picture.has_alpha &= with_alpha;
                Ok(("image/webp", picture.to_webp(quality)?))
            }
            Self::Jpeg { quality } => Ok(("image/jpeg", picture.to_jpeg(quality)?)),
            Self::RgbPng => Ok(("image/png", picture.to_png(false)?)),
            Self::AlphaPng => {
                picture.keep_alpha_only();
                Ok(("image/png", picture.to_png(true)?))
            }
        }
    }
}

/// The picture in another form; `None` where the file is no picture, and is then sent as it is.
async fn encoded(path: PathBuf, encoding: Encoding) -> Option<Response> {
    let _permit = DECODERS.acquire().await.ok()?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let work = move || Picture::read(&path).and_then(|picture| encoding.encode(picture));
    match tokio::task::spawn_blocking(work).await.ok()? {
        Ok((content_type, bytes)) => {
            let headers = [
                (CONTENT_TYPE, HeaderValue::from_static(content_type)),
                (CONTENT_DISPOSITION, disposition(&name, false)),
            ];
            Some((headers, bytes).into_response())
        }
        Err(reason) => {
            tracing::debug!("`{name}` is sent as it is: {reason}");
            None
        }
    }
}

/// A picture as WebP, for the previews of model files; 404 where it cannot be read.
pub(crate) async fn webp_preview(path: PathBuf) -> Response {
    let Ok(_permit) = DECODERS.acquire().await else { return StatusCode::NOT_FOUND.into_response() };
    blocking(move || match Picture::read(&path).and_then(|picture| picture.to_webp(75.0)) {
        Ok(bytes) => ([(CONTENT_TYPE, "image/webp")], bytes).into_response(),
        Err(_) => StatusCode::NOT_FOUND.into_response(),
    })
    .await
}

async fn is_file(path: &Path) -> bool {
    tokio::fs::metadata(path).await.is_ok_and(|data| data.is_file())
}

/// The file of this name that was changed last, in any folder below. Links are not followed.
fn newest_below(base: &Path, file_name: &str) -> Option<PathBuf> {
    let mut newest: Option<(SystemTime, PathBuf)> = None;
    let mut folders = vec![base.to_owned()];
    let mut entry_count = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            entry_count += 1;
            if entry_count > SEARCH_ENTRY_COUNT_MAX {
                return newest.map(|(_, path)| path);
            }
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && entry.file_name() == file_name {
                let modified = entry.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
                if newest.as_ref().is_none_or(|(known, _)| modified > *known) {
                    newest = Some((modified, entry.path()));
                }
            }
        }
    }
    newest.map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings() {
        let webp = |quality, with_alpha| Some(Encoding::Webp { quality, with_alpha });
        for (preview, channel, expected) in [
            (None, None, None),
            (None, Some("rgba"), None),
            (None, Some("rgb"), Some(Encoding::RgbPng)),
            (None, Some("a"), Some(Encoding::AlphaPng)),
            (Some("webp;80"), None, webp(80.0, true)),
            (Some("webp"), Some("rgb"), webp(90.0, false)),
            (Some("png;5"), None, webp(5.0, true)),
            (Some("jpeg;70"), None, Some(Encoding::Jpeg { quality: 70 })),
            (Some("jpeg;0"), Some("rgb"), Some(Encoding::Jpeg { quality: 1 })),
            (Some("jpeg;x"), Some("a"), webp(90.0, true)),
            (Some("webp;900"), None, webp(90.0, true)),
        ] {
            assert_eq!(Encoding::of(preview, channel), expected, "{preview:?} {channel:?}");
        }
    }

    #[test]
    fn dispositions_cannot_be_broken_out_of() {
        for (name, attachment, expected) in [
            ("a b.png", false, "filename=\"a b.png\""),
            ("a\"; x=\".png", true, "attachment; filename=\"a\\\"; x=\\\".png\""),
            ("\u{e4}\r\n.png", false, "filename=\"___.png\"; filename*=UTF-8''%C3%A4%0D%0A%2Epng"),
        ] {
            assert_eq!(disposition(name, attachment), expected);
        }
    }
}
