//! An upload of any form is stored or refused; nothing is left behind under a temporary name or outside its folder.
#![no_main]

#[path = "../../crates/vita-server/tests/common/mod.rs"]
mod common;

use axum::body::Body;
use axum::http::Request;
use libfuzzer_sys::fuzz_target;
use std::path::Path;
use tokio::runtime::Runtime;
use vita_folders::Place;

struct Bench {
    server: common::Server,
    runtime: Runtime,
}

thread_local! {
    static BENCH: Bench = {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Bench { server: common::Server::new(), runtime }
    };
}

fuzz_target!(|bytes: &[u8]| {
    let Some((&first, body)) = bytes.split_first() else { return };
    BENCH.with(|Bench { server, runtime }| {
        let path = if first & 1 == 0 { "/upload/image" } else { "/upload/mask" };
        let request = Request::post(path)
            .header("content-type", "multipart/form-data; boundary=x")
            .body(Body::from(body.to_vec()))
            .expect("a request");
        let answer = runtime.block_on(server.send(request));
        assert!(answer.status.is_success() || answer.status.is_client_error(), "{}: {}", answer.status, answer.text());
        let folders = &server.app.folders;
        let base = folders.place(Place::Input).parent().expect("the base");
        for place in [Place::Input, Place::Output, Place::Temp] {
            empty(folders.place(place));
        }
        for entry in std::fs::read_dir(base).expect("the base").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_known = ["input", "output", "temp", "user", "models"].contains(&&*name) || name.starts_with("queue");
            assert!(is_known, "{name} is beside the folders");
        }
    });
});

/// Looks at what was stored, and removes it.
fn empty(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        assert!(!name.ends_with(".partial"), "{name} is left behind");
        let path = entry.path();
        let removed = if path.is_dir() { std::fs::remove_dir_all(&path) } else { std::fs::remove_file(&path) };
        removed.expect("a stored file can be removed");
    }
}
