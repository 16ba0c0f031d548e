//! ComfyUI's HTTP and WebSocket interface; the only crate that knows that JSON.
#![forbid(unsafe_code)]
