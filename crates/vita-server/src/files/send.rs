//! Files as HTTP answers: entity tags, dates, ranges, streamed in pieces.

use std::io::SeekFrom;
use std::path::Path;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::BytesMut;
use futures_util::stream;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};

use super::content_type;

/// How much of a file is in memory at a time, per answer.
const CHUNK_BYTES: usize = 1 << 16;

/// What an answer says of its file besides the bytes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Described {
    /// `None`: guessed from the name.
    pub content_type: Option<&'static str>,
    /// What to call it and whether to show it.
    pub disposition: Option<HeaderValue>,
    /// `nosniff`: browsers must believe the content type.
    pub no_sniff: bool,
    /// Whether `x.js.br` and `x.js.gz` are sent in the file's place to those who take them.
    pub has_compressed_siblings: bool,
}

/// The file, a part of it, or that it has not changed; 404 with an empty body where there is none.
pub(crate) async fn send(path: &Path, request: &HeaderMap, described: Described) -> Response {
    let content_type = described.content_type.unwrap_or_else(|| content_type::of_name(&path.to_string_lossy()));
    let sibling = if described.has_compressed_siblings { compressed_sibling(path, request).await } else { None };
    let (path, encoding) = sibling.as_ref().map_or((path, None), |(path, encoding)| (path.as_path(), Some(*encoding)));
    // Asked before opening: to open a pipe would wait for its other end.
    match tokio::fs::metadata(path).await {
        Ok(data) if data.is_file() => {}
        _ => return StatusCode::NOT_FOUND.into_response(),
    }
    let Ok(file) = File::open(path).await else { return StatusCode::NOT_FOUND.into_response() };
    let Ok(data) = file.metadata().await else { return StatusCode::NOT_FOUND.into_response() };
    let version = Version::of(data.len(), data.modified().unwrap_or(SystemTime::UNIX_EPOCH));

    let mut headers = HeaderMap::new();
    headers.insert(ETAG, ascii(version.tag.clone()));
    headers.insert(LAST_MODIFIED, ascii(httpdate::fmt_http_date(version.modified)));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if described.has_compressed_siblings {
        headers.insert(VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding));
    }
    if version.is_known_to(request) {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(disposition) = described.disposition {
        headers.insert(CONTENT_DISPOSITION, disposition);
    }
    if described.no_sniff {
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
    let total = data.len();
    let range = request.get(RANGE).filter(|_| version.may_be_continued(request)).and_then(|range| range.to_str().ok());
    let (status, start, length) = match range.map_or(Wanted::All, |range| Wanted::parse(range, total)) {
        Wanted::All => (StatusCode::OK, 0, total),
        Wanted::Part { start, length } => {
            headers.insert(CONTENT_RANGE, ascii(format!("bytes {start}-{}/{total}", start + length - 1)));
            (StatusCode::PARTIAL_CONTENT, start, length)
        }
        Wanted::Nothing => {
            let headers = [(CONTENT_RANGE, ascii(format!("bytes */{total}")))];
            return (StatusCode::RANGE_NOT_SATISFIABLE, headers).into_response();
        }
    };
    headers.insert(CONTENT_LENGTH, length.into());
    match body(file, start, length).await {
        Ok(body) => (status, headers, body).into_response(),
        Err(error) => {
            tracing::warn!("cannot read `{}`: {error}", path.display());
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A small body that is in memory, with the same courtesy of entity tags.
pub(crate) fn send_bytes(bytes: &'static [u8], content_type: &'static str, tag: &str, request: &HeaderMap) -> Response {
    let tag = format!("\"{tag}\"");
    let is_known =
        request.get(IF_NONE_MATCH).and_then(|tags| tags.to_str().ok()).is_some_and(|tags| holds_tag(tags, &tag));
    let headers = [(ETAG, ascii(tag))];
    if is_known {
        return (StatusCode::NOT_MODIFIED, headers).into_response();
    }
    (headers, [(CONTENT_TYPE, HeaderValue::from_static(content_type))], bytes).into_response()
}

/// A file at one moment.
struct Version {
    tag: String,
    modified: SystemTime,
}

impl Version {
    fn of(length: u64, modified: SystemTime) -> Self {
        let since = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        // Dates of HTTP have whole seconds.
        let whole = SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs());
        Self { tag: format!("\"{:x}-{length:x}\"", since.as_nanos()), modified: whole }
    }

    fn is_known_to(&self, request: &HeaderMap) -> bool {
        if let Some(tags) = request.get(IF_NONE_MATCH) {
            return tags.to_str().is_ok_and(|tags| holds_tag(tags, &self.tag));
        }
        date(request, IF_MODIFIED_SINCE).is_some_and(|known| self.modified <= known)
    }

    /// A range continues an earlier answer only where that was of the same version.
    fn may_be_continued(&self, request: &HeaderMap) -> bool {
        match request.get(IF_RANGE).map(HeaderValue::to_str) {
            None => true,
            Some(Ok(tag)) if tag.starts_with('"') => tag == self.tag,
            Some(_) => date(request, IF_RANGE) == Some(self.modified),
        }
    }
}

fn holds_tag(tags: &str, tag: &str) -> bool {
    tags.split(',').map(str::trim).any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

fn date(request: &HeaderMap, name: axum::http::HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(request.get(name)?.to_str().ok()?).ok()
}

/// Which bytes a `Range` header asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    All,
    Part { start: u64, length: u64 },
    Nothing,
}

impl Wanted {
    /// Several ranges at once, and what is no range of bytes, are answered with the whole file.
    fn parse(range: &str, total: u64) -> Self {
        let Some((first, last)) = range.trim().strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
            return Self::All;
        };
        let (first, last) = (first.trim(), last.trim());
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(first) || !is_number(last) || (first.is_empty() && last.is_empty()) {
            return Self::All;
        }
        // Digits only, so what does not fit is larger than any file.
        let number = |text: &str| text.parse().unwrap_or(u64::MAX);
        let (start, end) = if first.is_empty() {
            (total.saturating_sub(number(last)), total)
        } else {
            let end = if last.is_empty() { total } else { number(last).saturating_add(1).min(total) };
            if !last.is_empty() && number(last) < number(first) {
                return Self::All;
            }
            (number(first), end)
        };
        if start < end { Self::Part { start, length: end - start } } else { Self::Nothing }
    }
}

async fn body(mut file: File, start: u64, length: u64) -> std::io::Result<Body> {
    if start > 0 {
        file.seek(SeekFrom::Start(start)).await?;
    }
    if length <= CHUNK_BYTES as u64 {
        let mut bytes = Vec::with_capacity(length as usize);
        file.take(length).read_to_end(&mut bytes).await?;
        return Ok(bytes.into());
    }
    let chunks = stream::try_unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES.min(usize::try_from(left).unwrap_or(CHUNK_BYTES)));
        let count = (&mut file).take(left).read_buf(&mut chunk).await?;
        if count == 0 {
            // The file has become shorter: the connection must break, not end as if all were well.
            return Err(std::io::Error::from(std::io::ErrorKind::UnexpectedEof));
        }
        Ok(Some((chunk.freeze(), (file, left - count as u64))))
    });
    Ok(Body::from_stream(chunks))
}

async fn compressed_sibling(path: &Path, request: &HeaderMap) -> Option<(std::path::PathBuf, &'static str)> {
    let accepted = request.get(axum::http::header::ACCEPT_ENCODING)?.to_str().ok()?.to_lowercase();
    for (encoding, extension) in [("br", "br"), ("gzip", "gz")] {
        let takes = accepted.split(',').any(|entry| {
            let mut parts = entry.split(';').map(str::trim);
            parts.next() == Some(encoding)
                && !parts.any(|weight| weight.replace(' ', "").trim_end_matches(['0', '.']) == "q=")
        });
        let sibling = path.with_added_extension(extension);
        if takes && tokio::fs::metadata(&sibling).await.is_ok_and(|data| data.is_file()) {
            return Some((sibling, encoding));
        }
    }
    None
}

fn ascii(text: String) -> HeaderValue {
    HeaderValue::from_str(&text).expect("tags, dates and ranges are ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let part = |start, length| Wanted::Part { start, length };
        for (range, expected) in [
            ("bytes=0-0", part(0, 1)),
            ("bytes=2-5", part(2, 4)),
            ("bytes=2-", part(2, 8)),
            ("bytes=-3", part(7, 3)),
            ("bytes=-30", part(0, 10)),
            ("bytes=5-500", part(5, 5)),
            ("bytes=0-18446744073709551615", part(0, 10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=10-20", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=99999999999999999999999-", Wanted::Nothing),
            ("bytes=5-2", Wanted::All),
            ("bytes=-", Wanted::All),
            ("bytes=a-b", Wanted::All),
            ("bytes=0-1,4-5", Wanted::All),
            ("rows=0-1", Wanted::All),
            ("", Wanted::All),
        ] {
            assert_eq!(Wanted::parse(range, 10), expected, "{range}");
        }
        assert_eq!(Wanted::parse("bytes=0-", 0), Wanted::Nothing);
    }
}
