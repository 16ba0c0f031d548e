//! Origins, hosts, and the headers that every answer gets.

mod common;

use axum::body::Body;
use axum::http::Request;
use common::{Answer, Server};
use vita_server::auth::{Settings, TokenHash};

async fn send(server: &Server, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    server.send(request.body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn foreign_pages_are_refused() {
    let server = Server::new();
    for (headers, status) in [
        (vec![], 200),
        (vec![("host", "127.0.0.1:8188")], 200),
        (vec![("host", "127.0.0.1:8188"), ("origin", "http://127.0.0.1:8188")], 200),
        (vec![("host", "127.0.0.1:8188"), ("origin", "https://evil.example")], 403),
        (vec![("host", "localhost:8188"), ("origin", "null")], 403),
        // A name that was made to point here.
        (vec![("host", "evil.example:8188")], 403),
        (vec![("host", "evil.example:8188"), ("origin", "http://evil.example:8188")], 403),
        (vec![("sec-fetch-site", "same-origin")], 200),
        (vec![("host", "localhost:8188"), ("sec-fetch-site", "cross-site")], 403),
        (
            vec![
                ("host", "localhost:8188"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
            ],
            200,
        ),
        (
            vec![
                ("host", "localhost:8188"),
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "iframe"),
            ],
            403,
        ),
    ] {
        for path in ["/queue", "/api/queue"] {
            let answer = send(&server, "GET", path, &headers).await;
            assert_eq!(answer.status, status, "{headers:?}");
            assert!(!answer.headers.contains_key("access-control-allow-origin"));
        }
    }
    let cross_site_post = [
        ("host", "localhost"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
    ];
    assert_eq!(send(&server, "POST", "/interrupt", &cross_site_post).await.status, 403);
}

#[tokio::test]
async fn other_names_are_fine_with_a_token_or_beyond_this_machine() {
    let host = [("host", "gpu.example.com")];
    let with_token = Server::with(|config| {
        config.auth = Settings { token: Some(TokenHash::of("the token")), ..Settings::default() };
    });
    assert_eq!(send(&with_token, "GET", "/queue?token=the+token", &host).await.status, 200);
    let open = Server::with(|config| config.listen = vec!["0.0.0.0".parse().unwrap()]);
    assert_eq!(send(&open, "GET", "/queue", &host).await.status, 200);
}

#[tokio::test]
async fn cors_replaces_the_rules_by_headers() {
    let server = Server::with(|config| config.cors = Some("*".into()));
    let foreign = [("host", "127.0.0.1:8188"), ("origin", "https://other.example"), ("sec-fetch-site", "cross-site")];
    for (method, path, status) in [("GET", "/queue", 200), ("OPTIONS", "/prompt", 200), ("GET", "/none", 404)] {
        let answer = send(&server, method, path, &foreign).await;
        assert_eq!(answer.status, status, "{method} {path}");
        for (name, value) in [
            ("access-control-allow-origin", "*"),
            ("access-control-allow-methods", "POST, GET, DELETE, PUT, OPTIONS, PATCH"),
            ("access-control-allow-headers", "Content-Type, Authorization"),
            ("access-control-allow-credentials", "true"),
        ] {
            assert_eq!(answer.headers[name], value);
        }
    }
}

#[tokio::test]
async fn every_path_has_options() {
    let server = Server::new();
    for path in ["/", "/prompt", "/none", "/api/userdata/a%2Fb"] {
        let answer = send(&server, "OPTIONS", path, &[]).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0), "{path}");
    }
}

#[tokio::test]
async fn offline_pages_reach_this_server_only() {
    for (offline, expected) in [(true, true), (false, false)] {
        let server = Server::with(|config| config.offline = offline);
        let answer = server.get("/queue").await;
        let policy = answer.headers.get("content-security-policy").map(|policy| policy.to_str().unwrap());
        assert_eq!(policy.is_some_and(|policy| policy.contains("connect-src 'self'")), expected);
    }
}
