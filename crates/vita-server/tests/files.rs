//! Every route that reads or writes files, answer by answer, without a socket.

mod common;

use std::fs;
use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use common::{Answer, Server};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value as Json, json};

fn put(path: impl AsRef<Path>, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

async fn get_with(server: &Server, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    server.send(request.body(Body::empty()).unwrap()).await
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A small PNG whose pixels are half transparent, with a text.
fn png() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 4, 2);
    encoder.set_color(png::ColorType::Rgba);
    encoder.add_text_chunk("prompt".into(), "{}".into()).unwrap();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[200, 100, 50, 128].repeat(8)).unwrap();
    writer.finish().unwrap();
    bytes
}

fn decode(bytes: &[u8]) -> (png::ColorType, Vec<u8>, Vec<String>) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(bytes)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let kind = reader.next_frame(&mut pixels).unwrap().color_type;
    let info = reader.info();
    let latin = info.uncompressed_latin1_text.iter().map(|text| text.keyword.clone());
    (kind, pixels, latin.chain(info.utf8_text.iter().map(|text| text.keyword.clone())).collect())
}

#[tokio::test]
async fn view_answers_as_comfyui() {
    let server = Server::new();
    let folders = server.app.folders.clone();
    put(folders.output().join("a.png"), png());
    put(folders.output().join("video/ComfyUI_00001_.mp4"), "first");
    put(folders.output().join("old/ComfyUI_00001_.mp4"), "older");
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
    fs::File::options()
        .write(true)
        .open(folders.output().join("old/ComfyUI_00001_.mp4"))
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    put(folders.input().join("b c.jpg"), "input");
    put(folders.temp().join("t.png"), "temp");
    put(folders.base().join("secret.txt"), "secret");
    for (query, status, body) in [
        ("", 404, ""),
        ("filename=", 400, ""),
        ("filename=a.png&type=models", 400, ""),
        ("filename=/etc/passwd", 400, ""),
        ("filename=..%2Fsecret.txt", 400, ""),
        ("filename=secret.txt&subfolder=..", 403, ""),
        ("filename=secret.txt&subfolder=%2Fetc", 403, ""),
        ("filename=none.png", 404, ""),
        ("filename=b%20c.jpg&type=input", 200, "input"),
        ("filename=b+c.jpg&type=input&rand=0.5", 200, "input"),
        ("filename=t.png+%5Btemp%5D&type=input", 200, "temp"),
        ("filename=ComfyUI_00001_.mp4&subfolder=video", 200, "first"),
        ("filename=x%2FComfyUI_00001_.mp4&subfolder=video", 200, "first"),
        ("filename=ComfyUI_00001_.mp4&subfolder=old&type=output", 200, "older"),
        ("filename=ComfyUI_00001_.mp4", 200, "first"),
        ("filename=old%2FComfyUI_00001_.mp4", 200, "older"),
        ("filename=ComfyUI_00001_.mp4&subfolder=", 404, ""),
        ("filename=ComfyUI_00001_.mp4&subfolder=&type=output", 404, ""),
    ] {
        for prefix in ["", "/api"] {
            let answer = server.get(&format!("{prefix}/view?{query}")).await;
            assert_eq!((answer.status.as_u16(), answer.text().as_str()), (status, body), "{query}");
        }
    }
    let answer = server.get("/view?filename=a.png").await;
    assert_eq!(answer.headers["content-type"], "image/png");
    assert_eq!(answer.headers["content-disposition"], "filename=\"a.png\"");
    assert_eq!(answer.headers["x-content-type-options"], "nosniff");
    assert_eq!(answer.body, png());
    assert!(!answer.headers.contains_key("cache-control"));
}

#[tokio::test]
async fn files_that_browsers_would_run_are_downloads() {
    let server = Server::new();
    for (name, content_type, is_attachment) in [
        ("a.html", "application/octet-stream", true),
        ("a.xhtml", "application/octet-stream", true),
        ("a.svg", "application/octet-stream", true),
        ("a.xml", "application/octet-stream", true),
        ("a.js", "application/octet-stream", true),
        ("a.css", "application/octet-stream", true),
        ("a.json", "application/json", false),
        ("a.txt", "text/plain", false),
        ("a.webm", "video/webm", false),
        ("a", "application/octet-stream", false),
    ] {
        put(server.app.folders.output().join(name), "<script>alert(1)</script>");
        let answer = server.get(&format!("/view?filename={name}")).await;
        assert_eq!(answer.headers["content-type"], content_type, "{name}");
        let disposition = answer.headers["content-disposition"].to_str().unwrap();
        assert_eq!(disposition.starts_with("attachment; "), is_attachment, "{name}: {disposition}");
    }
}

#[tokio::test]
async fn ranges_tags_and_dates_are_honoured() {
    let server = Server::new();
    let content: Vec<u8> = (0..200_000_u32).map(|index| (index % 251) as u8).collect();
    put(server.app.folders.output().join("v.mp4"), &content);
    let path = "/view?filename=v.mp4";
    let whole = server.get(path).await;
    assert_eq!((whole.status.as_u16(), whole.body == content), (200, true));
    assert_eq!(whole.headers["accept-ranges"], "bytes");
    assert_eq!(whole.headers["content-length"], "200000");
    for (range, status, content_range, expected) in [
        ("bytes=0-1", 206, "bytes 0-1/200000", &content[..2]),
        ("bytes=100000-", 206, "bytes 100000-199999/200000", &content[100_000..]),
        ("bytes=-5", 206, "bytes 199995-199999/200000", &content[199_995..]),
        ("bytes=200000-", 416, "bytes */200000", &[]),
        ("bytes=0-1,5-6", 200, "", &content),
    ] {
        let answer = get_with(&server, path, &[("range", range)]).await;
        assert_eq!((answer.status.as_u16(), answer.body == expected), (status, true), "{range}");
        let told = answer.headers.get("content-range").map_or("", |value| value.to_str().unwrap());
        assert_eq!(told, content_range, "{range}");
    }
    let tag = whole.headers["etag"].to_str().unwrap().to_owned();
    let date = whole.headers["last-modified"].to_str().unwrap().to_owned();
    for (headers, status) in [
        (vec![("if-none-match", tag.as_str())], 304),
        (vec![("if-none-match", "\"x\", W/\"y\"")], 200),
        (vec![("if-none-match", "*")], 304),
        (vec![("if-modified-since", date.as_str())], 304),
        (vec![("if-modified-since", "Thu, 01 Jan 1970 00:00:00 GMT")], 200),
        (vec![("if-modified-since", "yesterday")], 200),
        (vec![("if-none-match", "\"x\""), ("if-modified-since", date.as_str())], 200),
        (vec![("range", "bytes=0-1"), ("if-range", tag.as_str())], 206),
        (vec![("range", "bytes=0-1"), ("if-range", "\"x\"")], 200),
        (vec![("range", "bytes=0-1"), ("if-range", date.as_str())], 206),
    ] {
        assert_eq!(get_with(&server, path, &headers).await.status, status, "{headers:?}");
    }
    let head = server.send(Request::head(path).body(Body::empty()).unwrap()).await;
    assert_eq!(
        (head.status.as_u16(), head.body.len(), head.headers["content-length"].as_bytes()),
        (200, 0, &b"200000"[..])
    );
}

#[tokio::test]
async fn pictures_are_encoded_as_asked() {
    let server = Server::new();
    put(server.app.folders.output().join("a.png"), png());
    put(server.app.folders.output().join("a.mp4"), "no picture");
    for (query, content_type, start) in [
        ("filename=a.png&preview=webp;50", "image/webp", &b"RIFF"[..]),
        ("filename=a.png&preview=jpeg", "image/jpeg", b"\xff\xd8"),
        ("filename=a.png&preview=jpeg;90&channel=a", "image/webp", b"RIFF"),
        ("filename=a.png&channel=rgb", "image/png", b"\x89PNG"),
        ("filename=a.png&channel=a", "image/png", b"\x89PNG"),
        ("filename=a.png&channel=rgba", "image/png", b"\x89PNG"),
        ("filename=a.mp4&preview=webp", "video/mp4", b"no picture"),
    ] {
        let answer = server.get(&format!("/view?{query}")).await;
        assert_eq!(answer.headers["content-type"], content_type, "{query}");
        assert!(answer.body.starts_with(start), "{query}");
        assert!(answer.headers["content-disposition"].to_str().unwrap().contains("filename="), "{query}");
    }
    let (kind, pixels, texts) = decode(&server.get("/view?filename=a.png&channel=rgb").await.body);
    assert_eq!((kind, &pixels[..3], texts), (png::ColorType::Rgb, &[200, 100, 50][..], vec![]));
    let (kind, pixels, _) = decode(&server.get("/view?filename=a.png&channel=a").await.body);
    assert_eq!((kind, pixels[3]), (png::ColorType::Rgba, 128));
}

/// A form of named fields; a field with a file name is a file.
fn form(fields: &[(&str, Option<&str>, &[u8])]) -> Request<Body> {
    form_to("/upload/image", fields)
}

fn form_to(path: &str, fields: &[(&str, Option<&str>, &[u8])]) -> Request<Body> {
    let mut body = Vec::new();
    for (name, file, content) in fields {
        let file = file.map_or(String::new(), |file| format!("; filename=\"{file}\"\r\nContent-Type: image/png"));
        body.extend(format!("--X\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").as_bytes());
        body.extend(*content);
        body.extend(b"\r\n");
    }
    body.extend(b"--X--\r\n");
    Request::post(path).header("content-type", "multipart/form-data; boundary=X").body(body.into()).unwrap()
}

#[tokio::test]
async fn uploads_are_kept_apart_by_content() {
    let server = Server::new();
    let input = server.app.folders.input().to_owned();
    let reply = |name: &str, subfolder: &str, kind: &str| json!({ "name": name, "subfolder": subfolder, "type": kind });
    for (content, overwrite, expected) in [
        ("one", "", "a.png"),
        ("one", "", "a.png"),
        ("two", "", "a (1).png"),
        ("three", "", "a (2).png"),
        ("two", "false", "a (1).png"),
        ("four", "true", "a.png"),
        ("one", "0", "a (3).png"),
        ("five", "1", "a.png"),
    ] {
        let request = form(&[("image", Some("a.png"), content.as_bytes()), ("overwrite", None, overwrite.as_bytes())]);
        assert_eq!(server.send(request).await.json(), reply(expected, "", "input"), "{content} {overwrite}");
    }
    assert_eq!(fs::read_to_string(input.join("a.png")).unwrap(), "five");
    let request =
        form(&[("subfolder", None, b"pasted"), ("type", None, b"temp"), ("image", Some("b.mp4"), b"any kind")]);
    assert_eq!(server.send(request).await.json(), reply("b.mp4", "pasted", "temp"));
    assert_eq!(fs::read_to_string(server.app.folders.temp().join("pasted/b.mp4")).unwrap(), "any kind");
    let request = form(&[("image", Some("sub/c.png"), b"c"), ("subfolder", None, b"deep/er")]);
    assert_eq!(server.send(request).await.json(), reply("c.png", "deep/er/sub", "input"));
    // Nothing is left of temporary names.
    let mut names: Vec<String> =
        fs::read_dir(&input).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["a (1).png", "a (2).png", "a (3).png", "a.png", "deep"]);
}

#[tokio::test]
async fn bad_uploads_are_refused_and_leave_nothing() {
    let server = Server::with(|config| config.max_upload_bytes = 100_000);
    let large = vec![1; 200_000];
    for (fields, status) in [
        (vec![("other", None, &b"x"[..])], 400),
        (vec![("image", None, b"text")], 400),
        (vec![("image", Some(""), b"x")], 400),
        (vec![("image", Some("../a.png"), b"x")], 400),
        (vec![("image", Some("/etc/a.png"), b"x")], 400),
        (vec![("image", Some("a.png"), b"x"), ("subfolder", None, b"../..")], 400),
        (vec![("image", Some("a.png"), b"x"), ("type", None, b"models")], 400),
        (vec![("image", Some("a.png"), b"x"), ("subfolder", None, b"\xff")], 400),
        (vec![("image", Some("a.png"), &large)], 413),
        (vec![("subfolder", None, &large[..70_000]), ("image", Some("a.png"), b"x")], 400),
    ] {
        let answer = server.send(form(&fields)).await;
        assert_eq!(answer.status, status, "{:?}: {}", fields[0].1, answer.text());
        assert!(answer.json()["error"].is_string());
    }
    put(server.app.folders.input().join("file"), "in the way");
    let request = form(&[("image", Some("a.png"), b"x"), ("subfolder", None, b"file/sub")]);
    assert_eq!(server.send(request).await.status, 409);
    fs::remove_file(server.app.folders.input().join("file")).unwrap();
    let no_form = server.post("/upload/image", "x").await;
    assert_eq!(no_form.status, 400);
    let broken = Request::post("/upload/image").header("content-type", "multipart/form-data; boundary=X");
    let broken =
        broken.body("--X\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\nhalf".into());
    assert_eq!(server.send(broken.unwrap()).await.status, 400);
    let left: Vec<_> = fs::read_dir(server.app.folders.input()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn a_mask_becomes_the_transparency_of_its_original() {
    let server = Server::new();
    let folders = server.app.folders.clone();
    put(folders.output().join("sub/original.png"), png());
    let mask = {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, 4, 2);
        encoder.set_color(png::ColorType::Rgba);
        encoder.write_header().unwrap().write_image_data(&[0, 0, 0, 7].repeat(8)).unwrap();
        bytes
    };
    let send = async |reference: &str, mask: &[u8]| {
        let fields = [
            ("image", Some("m.png"), mask),
            ("original_ref", None, reference.as_bytes()),
            ("type", None, b"input"),
            ("subfolder", None, b"clipspace"),
        ];
        server.send(form_to("/upload/mask", &fields)).await
    };
    let answer = send(r#"{"filename": "original.png", "subfolder": "sub", "type": "output"}"#, &mask).await;
    assert_eq!(answer.json(), json!({ "name": "m.png", "subfolder": "clipspace", "type": "input" }));
    let (_, pixels, texts) = decode(&fs::read(folders.input().join("clipspace/m.png")).unwrap());
    assert_eq!((&pixels[..4], texts), (&[200, 100, 50, 7][..], vec!["prompt".to_owned()]));
    for (reference, mask) in [
        ("", &mask[..]),
        ("[]", &mask),
        (r#"{"filename": "none.png"}"#, &mask),
        (r#"{"filename": "../original.png", "subfolder": "sub"}"#, &mask),
        (r#"{"filename": "original.png", "subfolder": "sub", "type": "models"}"#, &mask),
        (r#"{"filename": "original.png", "subfolder": "sub"}"#, b"no picture"),
    ] {
        assert_eq!(send(reference, mask).await.status, 400, "{reference}");
    }
}

#[tokio::test]
async fn models_are_listed() {
    let server = Server::new();
    let models = server.app.folders.base().join("models");
    let header = br#"{"__metadata__":{"format":"pt"},"x":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}"#;
    let mut safetensors = (header.len() as u64).to_le_bytes().to_vec();
    safetensors.extend(header);
    put(models.join("vae/wan2.1/vae.safetensors"), &safetensors);
    put(models.join("vae/wan2.1/vae.png"), png());
    put(models.join("vae/plain.safetensors"), [1, 2, 3]);
    put(models.join("embeddings/sub/easy.v2.pt"), "");
    put(models.join("embeddings/.easy.pt"), "");
    let categories = server.get("/models").await.json();
    let expected = "checkpoints configs loras vae text_encoders diffusion_models clip_vision style_models embeddings diffusers \
        vae_approx controlnet gligen upscale_models latent_upscale_models custom_nodes hypernetworks photomaker classifiers \
        model_patches audio_encoders";
    assert_eq!(categories, Json::from_iter(expected.split_whitespace()));
    for (path, expected) in [
        ("/models/vae", json!(["plain.safetensors", "wan2.1/vae.safetensors"])),
        ("/models/loras", json!([])),
        ("/models/embeddings", json!([".easy.pt", "sub/easy.v2.pt"])),
        ("/view_metadata/vae?filename=wan2.1%2Fvae.safetensors", json!({ "format": "pt" })),
    ] {
        assert_eq!(server.get(path).await.json(), expected, "{path}");
    }
    for path in [
        "/models/none",
        "/models/unet",
        "/models/clip",
        "/models/..",
        "/experiment/models/unet",
        "/view_metadata/vae",
        "/view_metadata/vae?filename=none.safetensors",
        "/view_metadata/vae?filename=plain.safetensors",
        "/view_metadata/vae?filename=wan2.1%2Fvae.png",
        "/view_metadata/none?filename=vae.safetensors",
        "/experiment/models/preview/vae/0/plain.safetensors",
        "/experiment/models/preview/vae/9/wan2.1/vae.safetensors",
    ] {
        let answer = server.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (404, 0), "{path}");
    }
    let folders = server.get("/experiment/models").await.json();
    let vae = folders.as_array().unwrap().iter().find(|entry| entry["name"] == "vae").unwrap();
    assert_eq!(vae["folders"][0], models.join("vae").display().to_string());
    assert!(
        folders.as_array().unwrap().iter().all(|entry| entry["name"] != "configs" && entry["name"] != "custom_nodes")
    );
    let details = server.get("/experiment/models/vae").await.json();
    let keys: Vec<&String> = details[1].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["name", "pathIndex", "modified", "created", "size"]);
    assert_eq!(
        (&details[1]["name"], &details[1]["size"]),
        (&json!("wan2.1/vae.safetensors"), &json!(safetensors.len()))
    );
    let preview = server.get("/experiment/models/preview/vae/0/wan2.1/vae.safetensors").await;
    assert_eq!(preview.headers["content-type"], "image/webp");
}

#[tokio::test]
async fn settings_are_merged_into_one_file() {
    let server = Server::new();
    let file = server.app.folders.user().join("default/comfy.settings.json");
    assert_eq!(server.get("/users").await.json(), json!({ "storage": "server", "migrated": false }));
    assert_eq!(server.get("/settings").await.json(), json!({}));
    for (path, body) in
        [("/settings", r#"{"a.b": 1, "c": {"d": [2]}}"#), ("/api/settings/a.b", "\"x\""), ("/settings/n", "null")]
    {
        let answer = server.post(path, body).await;
        assert_eq!(
            (answer.status.as_u16(), answer.body.len(), answer.headers.contains_key("content-type")),
            (200, 0, false)
        );
    }
    assert_eq!(server.get("/settings").await.json(), json!({ "a.b": "x", "c": { "d": [2] }, "n": null }));
    assert_eq!(server.get("/settings/c").await.json(), json!({ "d": [2] }));
    assert_eq!(server.get("/settings/none").await.json(), Json::Null);
    assert!(fs::read_to_string(&file).unwrap().starts_with("{\n    \"a.b\": \"x\",\n"));
    for (path, body) in [("/settings", "[]"), ("/settings", ""), ("/settings/x", "{"), ("/settings/x", "")] {
        assert_eq!(server.post(path, body).await.status, 400, "{path} {body}");
    }
    assert_eq!(server.get("/users").await.json()["migrated"], true);
    put(&file, "damaged");
    assert_eq!(server.get("/settings").await.json(), json!({}));
    for (body, error) in [
        (r#"{"username": "default"}"#, "Duplicate username."),
        (r#"{"username": "ada"}"#, "This server has one user; another cannot be added."),
        ("{}", "username not provided"),
    ] {
        let answer = server.post("/users", body).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (400, json!({ "error": error })), "{body}");
    }
}

#[tokio::test]
async fn settings_of_many_pages_at_once_are_all_kept() {
    let server = Server::new();
    let posts =
        (0..40).map(|index| server.post("/settings", if index % 2 == 0 { "{\"even\": 1}" } else { "{\"odd\": 1}" }));
    let single: Vec<String> = (0..40).map(|index| format!("/settings/key{index}")).collect();
    let singles = single.iter().map(|path| server.post(path, "1"));
    futures_util::future::join(futures_util::future::join_all(posts), futures_util::future::join_all(singles)).await;
    assert_eq!(server.get("/settings").await.json().as_object().unwrap().len(), 42);
}

#[tokio::test]
async fn user_data_is_kept_in_files() {
    let server = Server::new();
    let root = server.app.folders.user().join("default");
    let text = async |path: &str| {
        let answer = server.get(path).await;
        (answer.status.as_u16(), answer.text())
    };
    assert_eq!(text("/userdata").await, (400, "Directory not provided".into()));
    assert_eq!(text("/userdata?dir=").await, (400, "Directory not provided".into()));
    assert_eq!(text("/userdata?dir=..").await, (403, "Invalid directory".into()));
    assert_eq!(text("/userdata?dir=workflows").await, (404, "Directory not found".into()));
    assert_eq!(server.get("/v2/userdata").await.json(), json!([]));

    let written = server.post("/userdata/workflows%2Fa.json?overwrite=false", "{\"a\": 1}").await;
    assert_eq!((written.status.as_u16(), written.json()), (200, json!("workflows/a.json")));
    let again = server.post("/userdata/workflows%2Fa.json?overwrite=false", "other").await;
    assert_eq!((again.status.as_u16(), again.text().as_str()), (409, "File already exists"));
    let info = server.post("/api/userdata/workflows%2Fsub%2Fb.json?full_info=true", "bb").await.json();
    assert_eq!((&info["path"], &info["size"]), (&json!("workflows/sub/b.json"), &json!(2)));
    // Milliseconds, as dates of JavaScript.
    assert!(info["modified"].as_u64().unwrap() > 1_600_000_000_000 && info["created"].is_u64());
    put(root.join("workflows/.hidden"), "");
    put(root.join("user.css"), "body {}");

    assert_eq!(server.get("/userdata?dir=workflows").await.json(), json!(["a.json"]));
    assert_eq!(server.get("/userdata?dir=workflows&recurse=true").await.json(), json!(["a.json", "sub/b.json"]));
    let split = server.get("/userdata?dir=workflows&recurse=true&split=true").await.json();
    assert_eq!(split, json!([["a.json", "a.json"], ["sub/b.json", "sub", "b.json"]]));
    let full = server.get("/userdata?dir=workflows&recurse=true&full_info=true&split=false").await.json();
    assert_eq!((&full[1]["path"], &full[1]["size"]), (&json!("sub/b.json"), &json!(2)));
    let tree = server.get("/v2/userdata?path=workflows").await.json();
    let names: Vec<&str> = tree.as_array().unwrap().iter().map(|entry| entry["path"].as_str().unwrap()).collect();
    assert_eq!(names, ["workflows/sub", "workflows/a.json", "workflows/sub/b.json"]);
    assert_eq!(
        (&tree[0]["type"], &tree[1]["name"], &tree[1]["type"]),
        (&json!("directory"), &json!("a.json"), &json!("file"))
    );
    assert_eq!(server.get("/v2/userdata?path=none").await.status, 404);

    let read = server.get("/userdata/workflows%2Fa.json").await;
    assert_eq!(
        (read.text().as_str(), read.headers["content-type"].as_bytes()),
        ("{\"a\": 1}", &b"application/json"[..])
    );
    assert!(read.headers["content-disposition"].to_str().unwrap().starts_with("attachment"));
    let style = server.get("/api/userdata/user.css").await;
    assert_eq!(
        (style.headers["content-type"].as_bytes(), style.headers["content-disposition"].as_bytes()),
        (&b"text/css"[..], &b"filename=\"user.css\""[..])
    );
    for (path, status) in [
        ("/userdata/none.json", 404),
        ("/userdata/workflows/a.json", 404),
        ("/userdata/..%2F..%2Fsecret.txt", 403),
        ("/userdata/workflows", 404),
    ] {
        assert_eq!(server.get(path).await.status, status, "{path}");
    }

    let moved = server.post("/userdata/workflows%2Fa.json/move/workflows%2Fc%2Fd.json", "").await;
    assert_eq!(moved.json(), json!("workflows/c/d.json"));
    assert!(!root.join("workflows/a.json").exists());
    for (path, status) in [
        ("/userdata/workflows%2Fa.json/move/x.json", 404),
        ("/userdata/workflows%2Fc%2Fd.json/move/workflows%2Fsub%2Fb.json?overwrite=false", 409),
        ("/userdata/workflows%2Fc%2Fd.json/move/workflows", 409),
        ("/userdata/workflows%2Fc%2Fd.json/move/..%2Fx.json", 403),
        ("/userdata/workflows%2Fc%2Fd.json/move/workflows%2Fsub%2Fb.json", 200),
        ("/userdata/..%2Fx", 403),
    ] {
        assert_eq!(server.post(path, "").await.status, status, "{path}");
    }
    for (path, status) in [
        ("/userdata/workflows%2Fsub%2Fb.json", 204),
        ("/userdata/workflows%2Fsub%2Fb.json", 404),
        ("/userdata/..%2Fx", 403),
    ] {
        let answer = server.send(Request::delete(path).body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (status, 0), "{path}");
    }
}

#[tokio::test]
async fn directories_are_told() {
    let server = Server::new();
    let input = server.app.folders.input().to_owned();
    for (name, second) in [("old.png", 1000), ("new.png", 3000), (".hidden", 2000), ("sub/deep.png", 2000)] {
        put(input.join(name), "");
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(second);
        fs::File::options().write(true).open(input.join(name)).unwrap().set_modified(time).unwrap();
    }
    assert_eq!(server.get("/internal/files/input").await.json(), json!(["new.png", "old.png"]));
    assert_eq!(server.get("/internal/files/output").await.json(), json!([]));
    let answer = server.get("/internal/files/models").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (400, json!({ "error": "Invalid directory type" })));
    let paths = server.get("/internal/folder_paths").await.json();
    assert_eq!(paths["vae"][0], server.app.folders.base().join("models/vae").display().to_string());
    assert_eq!(server.get("/api/internal/folder_paths").await.status, 404);
    assert_eq!(server.get("/workflow_templates").await.json(), json!({}));
    assert_eq!(server.get("/extensions").await.json(), json!([]));
    put(server.app.folders.output().join("v.webm"), "video");
    for (path, status) in [
        ("/vhs/viewvideo?filename=v.webm", 200),
        ("/api/viewvideo?filename=v.webm&format=video%2Fwebm&force_rate=0", 200),
        ("/viewvideo?filename=none.mp4", 204),
        ("/viewvideo?filename=..%2Fx.mp4", 204),
        ("/viewvideo", 204),
        ("/vhs/viewaudio?filename=v.webm", 204),
        ("/vhs/queryvideo?filename=v.webm", 204),
        ("/vhs/getpath?path=%2F", 204),
    ] {
        assert_eq!(server.get(path).await.status, status, "{path}");
    }
}

/// The whole list of tricks against every route that takes a name: none may show the secret, write or remove
/// anything outside, or fail inside.
#[tokio::test]
async fn no_name_leaves_its_directory() {
    let tricks: Vec<String> =
        serde_json::from_str(include_str!("../../vita-folders/tests/data/path_tricks.json")).unwrap();
    assert!(tricks.len() >= 200);
    let front_end = tempfile::tempdir().unwrap();
    let static_root = front_end.path().join("static");
    put(static_root.join("index.html"), "page");
    put(front_end.path().join("secret.txt"), "the secret");
    let server = Server::with(|config| {
        config.front_end_root = Some(static_root.clone());
        config.template_roots = vec![static_root.clone()];
    });
    let base = server.app.folders.base().to_owned();
    server.app.folders.create().unwrap();
    for place in ["secret.txt", "user/secret.txt", "models/secret.txt", "models/secret.safetensors"] {
        put(base.join(place), "the secret");
    }
    fs::create_dir_all(base.join("user/default")).unwrap();
    let outside = || -> Vec<String> {
        let mut names = Vec::new();
        for folder in [base.clone(), base.join("user"), base.join("models"), front_end.path().to_owned()] {
            names.extend(fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().display().to_string()));
        }
        names.retain(|name| !name.contains("queue.sqlite"));
        names.sort();
        names
    };
    let before = outside();
    for trick in &tricks {
        let name = encoded(trick);
        for path in [
            format!("/view?filename={name}"),
            format!("/view?filename={name}&subfolder="),
            format!("/view?filename=secret.txt&subfolder={name}"),
            format!("/view?filename=secret.txt&subfolder={name}&type=input"),
            format!("/viewvideo?filename={name}"),
            format!("/vhs/queryvideo?filename={name}"),
            format!("/view_metadata/vae?filename={name}.safetensors"),
            format!("/models/{name}"),
            format!("/experiment/models/{name}"),
            format!("/experiment/models/preview/vae/0/{name}"),
            format!("/userdata?dir={name}&recurse=true"),
            format!("/v2/userdata?path={name}"),
            format!("/userdata/{name}"),
            format!("/templates/{name}"),
            format!("/internal/files/{name}"),
            format!("/{name}"),
            format!("/extensions/{name}"),
        ] {
            let answer = server.get(&path).await;
            assert!(!answer.status.is_server_error(), "{path}: {}", answer.status);
            assert!(!String::from_utf8_lossy(&answer.body).contains("the secret"), "{trick:?} in {path}");
        }
        for path in [format!("/userdata/{name}"), format!("/userdata/user.css/move/{name}")] {
            let answer = server.post(&path, "x").await;
            assert!(!answer.status.is_server_error(), "{path}: {} {}", answer.status, answer.text());
        }
        server.send(Request::delete(format!("/userdata/{name}")).body(Body::empty()).unwrap()).await;
        let quoted = trick.replace(['"', '\r', '\n'], "_");
        for fields in [
            vec![("image", Some(quoted.as_str()), &b"x"[..])],
            vec![("image", Some("a.png"), &b"x"[..]), ("subfolder", None, trick.as_bytes())],
        ] {
            let answer = server.send(form(&fields)).await;
            assert!(!answer.status.is_server_error(), "upload {trick:?}: {} {}", answer.status, answer.text());
        }
        assert_eq!(outside(), before, "after {trick:?}");
    }
    for place in ["secret.txt", "user/secret.txt", "models/secret.txt"] {
        assert_eq!(fs::read_to_string(base.join(place)).unwrap(), "the secret");
    }
}
