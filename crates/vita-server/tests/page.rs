//! The page: ours, and the editor's files.

mod common;

use std::fs;
use std::path::Path;

use axum::body::Body;
use axum::http::Request;
use common::{Answer, Server};
use serde_json::json;

fn put(path: impl AsRef<Path>, content: &str) {
    fs::create_dir_all(path.as_ref().parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

async fn get_with(server: &Server, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = headers.iter().fold(Request::get(path), |request, (name, value)| request.header(*name, *value));
    server.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn without_the_editor_there_is_a_small_page() {
    let server = Server::new();
    for path in ["/", "/vitascope"] {
        let page = server.get(path).await;
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
        assert_eq!(page.headers["cache-control"], "no-store, must-revalidate");
        assert!(page.headers["content-security-policy"].to_str().unwrap().contains("script-src 'self'"));
        let text = page.text();
        assert!(text.contains("pip install comfyui-frontend-package"));
        // All that it loads is here, and nothing is elsewhere.
        assert!(!text.contains("//") || !text.contains("http"));
        let links = text.split(['"', '\'']).filter(|word| word.starts_with("vitascope/"));
        for link in links {
            let file = server.get(&format!("/{link}")).await;
            assert_eq!(
                (file.status.as_u16(), file.headers["cache-control"].as_bytes()),
                (200, &b"no-cache"[..]),
                "{link}"
            );
            let tag = file.headers["etag"].to_str().unwrap();
            assert_eq!(get_with(&server, &format!("/{link}"), &[("if-none-match", tag)]).await.status, 304);
        }
    }
    for module in ["page.js", "graphs.js", "server.js", "editor.js"] {
        let script = server.get(&format!("/vitascope/{module}")).await;
        assert_eq!(script.headers["content-type"], "application/javascript; charset=utf-8");
        assert!(!script.text().contains("http://") && !script.text().contains("https://"), "{module}");
        for import in script.text().split("from './").skip(1) {
            let name = import.split('\'').next().unwrap();
            assert_eq!(server.get(&format!("/vitascope/{name}")).await.status, 200, "{name}");
        }
    }
    assert_eq!(server.get("/vitascope/none.js").await.status, 404);
    let missing = server.get("/index.html").await;
    assert_eq!((missing.status.as_u16(), missing.body.len()), (404, 0));
}

#[tokio::test]
async fn the_editor_is_served_where_it_is_installed() {
    let folder = tempfile::tempdir().unwrap();
    let (root, templates) = (folder.path().join("static"), folder.path().join("json/templates"));
    put(root.join("index.html"), "<html>editor</html>");
    put(root.join("assets/index-B2.js"), "plain");
    put(root.join("assets/index-B2.js.gz"), "packed");
    put(root.join("assets/a b.webp"), "webp");
    put(root.join("extensions/core/one.js"), "1");
    put(root.join("extensions/core/deep/two.js"), "2");
    put(root.join("extensions/core/notes.txt"), "");
    put(templates.join("index.json"), "[]");
    put(folder.path().join("media/templates/a-1.webp"), "picture");
    let server = Server::with(|config| {
        config.front_end_root = Some(root);
        config.template_roots = vec![templates, folder.path().join("media/templates")];
    });
    for (path, status, body, content_type) in [
        ("/", 200, "<html>editor</html>", "text/html"),
        ("/index.html", 200, "<html>editor</html>", "text/html"),
        ("/assets/index-B2.js", 200, "plain", "application/javascript"),
        ("/assets/a%20b.webp", 200, "webp", "image/webp"),
        ("/extensions/core/one.js", 200, "1", "application/javascript"),
        ("/templates/index.json", 200, "[]", "application/json"),
        ("/templates/a-1.webp", 200, "picture", "image/webp"),
        ("/templates/none.json", 404, "", ""),
        ("/assets", 404, "", ""),
        ("/assets/", 404, "", ""),
        ("/user.css", 404, "", ""),
        ("/%ff", 404, "", ""),
    ] {
        let answer = server.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.text().as_str()), (status, body), "{path}");
        let found = answer.headers.get("content-type").map_or("", |value| value.to_str().unwrap());
        assert_eq!(found, content_type, "{path}");
    }
    assert_eq!(server.get("/").await.headers["cache-control"], "no-store, must-revalidate");
    assert_eq!(server.get("/assets/index-B2.js").await.headers["cache-control"], "no-cache");
    assert_eq!(server.get("/templates/a-1.webp").await.headers["cache-control"], "public, max-age=86400");
    let packed = get_with(&server, "/assets/index-B2.js", &[("accept-encoding", "gzip, br")]).await;
    assert_eq!((packed.text().as_str(), packed.headers["content-encoding"].as_bytes()), ("packed", &b"gzip"[..]));
    assert_eq!(packed.headers["content-type"], "application/javascript");
    let refused = get_with(&server, "/assets/index-B2.js", &[("accept-encoding", "gzip;q=0")]).await;
    assert_eq!(refused.text(), "plain");
    assert_eq!(
        server.get("/extensions").await.json(),
        json!(["/extensions/core/deep/two.js", "/extensions/core/one.js", "/vitascope/editor.js"])
    );
    assert_eq!(server.get("/vitascope").await.status, 200);
    assert_eq!(server.post("/assets/index-B2.js", "").await.status, 404);
}
