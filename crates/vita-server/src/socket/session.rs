//! One WebSocket connection, from its request to its end.

use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::response::Response;
use futures_util::SinkExt;
use serde::Deserialize;
use serde_json::Value as Json;

use super::Hub;
use super::frame::{Frame, Lane, going_away};
use super::member::{Member, Waiting};
use crate::{App, ids, wire};

/// Frames that are written before the socket is flushed.
const FRAMES_PER_FLUSH: usize = 32;
/// Clients send a few flags; anything larger is no client of ours.
const INCOMING_BYTES_MAX: usize = 1 << 20;

/// Who connects.
#[derive(Deserialize)]
pub(super) struct OpenQuery {
    #[serde(rename = "clientId", default)]
    client_id: String,
}

/// `GET /ws?clientId=`: opens a socket.
pub(super) async fn open(
    State(app): State<Arc<App>>,
    Query(query): Query<OpenQuery>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let id = if query.client_id.is_empty() { ids::hex() } else { query.client_id };
    // Hundreds of sockets are idle most of the time: small buffers.
    upgrade
        .read_buffer_size(4 << 10)
        .write_buffer_size(8 << 10)
        .max_message_size(INCOMING_BYTES_MAX)
        .max_frame_size(INCOMING_BYTES_MAX)
        .on_upgrade(move |socket| run(app, id, socket))
}

async fn run(app: Arc<App>, id: String, mut socket: WebSocket) {
    let member = app.hub.join(id, || app.queue.remaining());
    talk(&app, &app.hub, &member, &mut socket).await;
    app.hub.leave(&member);
}

/// Until the client leaves, reads too little, or the server stops.
async fn talk(app: &App, hub: &Hub, member: &Member, socket: &mut WebSocket) {
    let mut closing = hub.closing();
    let mut closing_while_sending = hub.closing();
    let mut first = true;
    loop {
        tokio::select! {
            () = told(&mut closing) => {
                // A client that does not read is not waited for.
                let _ = tokio::time::timeout(std::time::Duration::from_millis(200), socket.send(going_away())).await;
                return;
            }
            () = member.pushed() => {
                if !deliver(member, socket, &mut closing_while_sending).await {
                    return;
                }
            }
            received = socket.recv() => match received {
                Some(Ok(Message::Text(text))) => first = !hear(app, member, &text, first) && first,
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            }
        }
    }
}

/// Sends what waits; whether the socket is still good.
async fn deliver(member: &Member, socket: &mut WebSocket, closing: &mut tokio::sync::watch::Receiver<bool>) -> bool {
    loop {
        let frames = match member.take(FRAMES_PER_FLUSH) {
            Waiting::Frames(frames) => frames,
            Waiting::Nothing => return true,
            Waiting::Overflow => return false,
        };
        let send = async {
            for frame in frames {
                socket.feed(frame.message).await?;
            }
            socket.flush().await
        };
        tokio::pin!(send);
        loop {
            tokio::select! {
                sent = &mut send => match sent {
                    Ok(()) => break,
                    Err(_) => return false,
                },
                () = told(closing) => return false,
                () = member.pushed() => if member.overflown() { return false },
            }
        }
    }
}

/// Until the server stops.
async fn told(closing: &mut tokio::sync::watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}

/// The first message may say what the client understands; nothing else is expected of it. Whether this was one.
fn hear(app: &App, member: &Member, text: &str, first: bool) -> bool {
    let message: Json = match serde_json::from_str(text) {
        Ok(message) => message,
        Err(error) => {
            tracing::warn!("A WebSocket message from {} is no JSON: {error}", member.id);
            return false;
        }
    };
    if first && message["type"] == "feature_flags" {
        member.announce(&message["data"]);
        member.push(Frame::event("feature_flags", &wire::system::features(app), Lane::Kept));
    }
    true
}
