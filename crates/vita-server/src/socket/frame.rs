//! What goes over a WebSocket: JSON events and the binary frames of previews and texts.

use axum::extract::ws::{Message, Utf8Bytes};
use bytes::{BufMut, BytesMut};
use serde_json::{Value as Json, json};

/// A message and what may become of it where the reader is slow.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) message: Message,
    pub(crate) lane: Lane,
}

/// Which messages a later one of the same kind makes superfluous. Steps are of a prompt, by its sequence: of two that
/// run at once, none takes the place of the other's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    /// None: it is delivered however slow the reader is.
    Kept,
    /// The number of prompts.
    Status,
    /// Steps of a node.
    Progress(u64),
    /// Steps of all nodes.
    ProgressState(u64),
    /// A picture of what is not finished.
    Preview,
    /// A line under a node.
    Text,
    /// Log lines.
    Log,
}

impl Frame {
    /// `{"type": kind, "data": data}`.
    pub(crate) fn event(kind: &str, data: &Json, lane: Lane) -> Self {
        let text = json!({ "type": kind, "data": data }).to_string();
        Self { message: Message::Text(Utf8Bytes::from(text)), lane }
    }

    pub(crate) fn byte_count(&self) -> usize {
        match &self.message {
            Message::Text(text) => text.len(),
            Message::Binary(bytes) => bytes.len(),
            _ => 0,
        }
    }

    fn binary(bytes: BytesMut, lane: Lane) -> Self {
        Self { message: Message::Binary(bytes.freeze()), lane }
    }
}

/// A preview for clients that did not ask for more: kind 1, format 1 (JPEG), the file.
pub(crate) fn plain_preview(jpeg: &[u8]) -> Frame {
    let mut bytes = BytesMut::with_capacity(8 + jpeg.len());
    bytes.put_u32(1);
    bytes.put_u32(1);
    bytes.put_slice(jpeg);
    Frame::binary(bytes, Lane::Preview)
}

/// A preview that says whose it is: kind 4, the length of the JSON, the JSON, the file.
pub(crate) fn preview_with_metadata(prompt_id: &str, node: &str, jpeg: &[u8]) -> Frame {
    let metadata = json!({
        "node_id": node,
        "prompt_id": prompt_id,
        "display_node_id": node,
        "parent_node_id": null,
        "real_node_id": node,
        "image_type": "image/jpeg",
    })
    .to_string();
    let mut bytes = BytesMut::with_capacity(8 + metadata.len() + jpeg.len());
    bytes.put_u32(4);
    bytes.put_u32(metadata.len() as u32);
    bytes.put_slice(metadata.as_bytes());
    bytes.put_slice(jpeg);
    Frame::binary(bytes, Lane::Preview)
}

/// A line under a node: kind 3, then prompt, node (each after its length) and the text. Only for clients that
/// announced `supports_progress_text_metadata`: others take any binary frame for a picture.
pub(crate) fn text(prompt_id: &str, node: &str, text: &str) -> Frame {
    let mut bytes = BytesMut::with_capacity(12 + prompt_id.len() + node.len() + text.len());
    bytes.put_u32(3);
    for part in [prompt_id, node] {
        bytes.put_u32(part.len() as u32);
        bytes.put_slice(part.as_bytes());
    }
    bytes.put_slice(text.as_bytes());
    Frame::binary(bytes, Lane::Text)
}

/// The close frame of a server that goes away.
pub(crate) fn going_away() -> Message {
    Message::Close(Some(axum::extract::ws::CloseFrame {
        code: axum::extract::ws::close_code::AWAY,
        reason: Utf8Bytes::from_static("the server is stopping"),
    }))
}

/// The bytes of a binary frame.
#[cfg(test)]
pub(crate) fn bytes(frame: &Frame) -> bytes::Bytes {
    match &frame.message {
        Message::Binary(bytes) => bytes.clone(),
        other => panic!("not binary: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_frames_have_big_endian_headers() {
        assert_eq!(&bytes(&plain_preview(b"JPEG"))[..], b"\0\0\0\x01\0\0\0\x01JPEG");

        let frame = bytes(&preview_with_metadata("p", "57:12", b"JPEG"));
        let (head, rest) = frame.split_at(8);
        assert_eq!(&head[..4], [0, 0, 0, 4]);
        let length = u32::from_be_bytes(head[4..].try_into().unwrap()) as usize;
        let metadata: Json = serde_json::from_slice(&rest[..length]).unwrap();
        assert_eq!(metadata["node_id"], "57:12");
        assert_eq!(metadata["parent_node_id"], Json::Null);
        assert_eq!(&rest[length..], b"JPEG");

        assert_eq!(&bytes(&text("p", "3", "slow"))[..], b"\0\0\0\x03\0\0\0\x01p\0\0\0\x013slow");
    }
}
