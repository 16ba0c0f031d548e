//! Content types by the end of a name, and which of them a browser must not run.

/// What has no better type.
pub(crate) const BYTES: &str = "application/octet-stream";

/// Extension, type. What Python's table says, so that clients see what they know.
const TABLE: &[(&str, &str)] = &[
    ("aac", "audio/aac"),
    ("avif", "image/avif"),
    ("bmp", "image/bmp"),
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("flac", "audio/flac"),
    ("gif", "image/gif"),
    ("glb", "model/gltf-binary"),
    ("gltf", "model/gltf+json"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("ico", "image/x-icon"),
    ("jpeg", "image/jpeg"),
    ("jpg", "image/jpeg"),
    ("js", "application/javascript"),
    ("json", "application/json"),
    ("latent", BYTES),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    ("map", "application/json"),
    ("md", "text/markdown"),
    ("mjs", "application/javascript"),
    ("mkv", "video/x-matroska"),
    ("mov", "video/quicktime"),
    ("mp3", "audio/mpeg"),
    ("mp4", "video/mp4"),
    ("ogg", "audio/ogg"),
    ("opus", "audio/ogg"),
    ("otf", "font/otf"),
    ("pdf", "application/pdf"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("tif", "image/tiff"),
    ("tiff", "image/tiff"),
    ("ttf", "font/ttf"),
    ("txt", "text/plain"),
    ("wasm", "application/wasm"),
    ("wav", "audio/wav"),
    ("webm", "video/webm"),
    ("webmanifest", "application/manifest+json"),
    ("webp", "image/webp"),
    ("woff", "font/woff"),
    ("woff2", "font/woff2"),
    ("xht", "application/xhtml+xml"),
    ("xhtml", "application/xhtml+xml"),
    ("xml", "text/xml"),
    ("xsl", "text/xml"),
    ("zip", "application/zip"),
];

/// The type of a file of this name or path.
pub(crate) fn of_name(name: &str) -> &'static str {
    let Some((_, extension)) = name.rsplit_once('.') else { return BYTES };
    let extension = extension.to_ascii_lowercase();
    TABLE.binary_search_by(|(known, _)| (*known).cmp(&extension)).map_or(BYTES, |at| TABLE[at].1)
}

/// Whether a browser could run it in the page's name: such files of users are offered as downloads only.
pub(crate) fn is_active(content_type: &str) -> bool {
    matches!(
        content_type,
        "text/html"
            | "application/xhtml+xml"
            | "application/javascript"
            | "text/css"
            | "image/svg+xml"
            | "text/xml"
            | "application/pdf"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_and_names_are_found() {
        assert!(TABLE.is_sorted_by(|one, two| one.0 < two.0));
        for (name, expected) in [
            ("a.mp4", "video/mp4"),
            ("A.PNG", "image/png"),
            ("a/b.min.js", "application/javascript"),
            ("a.html.png", "image/png"),
            ("noextension", BYTES),
            ("a.", BYTES),
            ("a.unknown", BYTES),
        ] {
            assert_eq!(of_name(name), expected, "{name}");
        }
    }
}
