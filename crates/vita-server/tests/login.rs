//! Who may come in, with a token in force.

mod common;

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Request;
use common::{Answer, Server};
use serde_json::json;
use vita_server::auth::{Settings, TokenHash};

const TOKEN: &str = "$2b$12$a+token/with=signs";
const ENCODED: &str = "%242b%2412%24a%2Btoken%2Fwith%3Dsigns";

fn locked() -> Server {
    Server::with(|config| {
        let failure_delay = Duration::from_millis(20);
        config.auth = Settings { token: Some(TokenHash::of(TOKEN)), file: None, failure_delay };
    })
}

async fn send(server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    server.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

fn cookie_of(answer: &Answer) -> String {
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("; HttpOnly; SameSite=Lax") && cookie.contains("; Path=/"), "{cookie}");
    cookie.split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn every_route_asks_for_the_token() {
    let server = locked();
    for path in [
        "/",
        "/queue",
        "/api/queue",
        "/history",
        "/object_info",
        "/view?filename=a.png",
        "/ws",
        "/api/ws?clientId=a",
        "/internal/logs",
        "/internal/logs/raw",
        "/internal/folder_paths",
        "/userdata/a.js",
        "/api/userdata/user.css",
        "/userdata%2Fa.js",
        "/templates/x.js",
        "/models/vae",
        "/settings",
        "/none",
        "/vitascope",
        "/logout",
        "/guest_mode",
    ] {
        let answer = server.get(path).await;
        if path == "/userdata%2Fa.js" {
            // One part of a path of the page, where no such file is.
            assert_eq!(answer.status, 404, "{path}");
            continue;
        }
        assert_eq!(
            (answer.status.as_u16(), answer.json()),
            (401, json!({ "error": "Authentication required." })),
            "{path}"
        );
        let page = send(&server, "GET", path, &[("accept", "text/html,*/*;q=0.8")], "").await;
        assert_eq!((page.status.as_u16(), page.headers["location"].as_bytes()), (302, &b"/login"[..]), "{path}");
    }
    for (method, path) in [
        ("POST", "/prompt"),
        ("POST", "/upload/image"),
        ("POST", "/userdata/a.js"),
        ("DELETE", "/userdata/a.js"),
        ("POST", "/extensions/a.js"),
        ("PATCH", "/internal/logs/subscribe"),
    ] {
        assert_eq!(send(&server, method, path, &[], "{}").await.status, 401, "{method} {path}");
    }
    for path in ["/login", "/vitascope/page.js", "/vitascope/page.css"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
    assert_eq!(server.get("/assets/none.js").await.status, 404);
    assert_eq!(send(&server, "OPTIONS", "/prompt", &[], "").await.status, 200);
}

#[tokio::test]
async fn the_token_opens_in_three_ways() {
    let server = locked();
    let bearer = format!("Bearer {TOKEN}");
    for (header, path, status) in [
        (Some(bearer.as_str()), "/queue".to_owned(), 200),
        (Some("bearer $2b$12$a+token/with=signs"), "/queue".to_owned(), 200),
        (None, format!("/queue?token={ENCODED}"), 200),
        (None, format!("/view?filename=none&token={ENCODED}"), 404),
        (Some("Basic abc"), format!("/queue?token={ENCODED}"), 200),
        (Some("Bearer"), "/queue".to_owned(), 401),
        (Some("Bearer "), "/queue".to_owned(), 401),
        (Some("Bearer wrong"), format!("/queue?token={ENCODED}"), 401),
        (None, "/queue?token=".to_owned(), 401),
        (None, "/queue?token=wrong".to_owned(), 401),
        (None, "/queue?token".to_owned(), 401),
    ] {
        let headers: Vec<(&str, &str)> = header.map(|header| ("authorization", header)).into_iter().collect();
        assert_eq!(send(&server, "GET", &path, &headers, "").await.status, status, "{header:?} {path}");
    }
    // In a browser's address it becomes a cookie, and leaves the address.
    let answer = send(&server, "GET", &format!("/?token={ENCODED}"), &[("accept", "text/html")], "").await;
    assert_eq!((answer.status.as_u16(), answer.headers["location"].as_bytes()), (302, &b"/"[..]));
    let cookie = cookie_of(&answer);
    assert_eq!(send(&server, "GET", "/queue", &[("cookie", &cookie)], "").await.status, 200);
    let answer = send(&server, "GET", &format!("//evil.example?token={ENCODED}"), &[("accept", "text/html")], "").await;
    assert_eq!(answer.headers["location"], "/evil.example");
}

#[tokio::test]
async fn the_login_page_gives_a_session() {
    let server = locked();
    let page = server.get("/login").await;
    assert!(page.text().contains("name=\"password\"") && !page.text().contains("not the token"));
    assert!(page.headers["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
    assert!(server.get("/login?wrong_password=1").await.text().contains("This is not the token."));

    for body in ["", "password=", "password=wrong", "username=x", "token="] {
        let answer = send(&server, "POST", "/login", &[], body).await;
        assert_eq!(answer.headers["location"], "/login?wrong_password=1", "{body}");
        assert!(!answer.headers.contains_key("set-cookie"));
    }
    let answer = send(&server, "POST", "/login", &[], &format!("guest_mode=&username=me&password={ENCODED}")).await;
    assert_eq!((answer.status.as_u16(), answer.headers["location"].as_bytes()), (302, &b"/"[..]));
    let cookie = cookie_of(&answer);
    assert!(!cookie.contains("token"));
    for cookies in [cookie.clone(), format!("a=b; {cookie}; c=d")] {
        assert_eq!(send(&server, "GET", "/queue", &[("cookie", &cookies)], "").await.status, 200, "{cookies}");
    }
    let (name, id) = cookie.split_once('=').unwrap();
    for cookies in [
        format!("{name}="),
        format!("{name}={}", id.to_uppercase()),
        format!("x{name}={id}"),
        format!("{name}={TOKEN}"),
    ] {
        assert_eq!(send(&server, "GET", "/queue", &[("cookie", &cookies)], "").await.status, 401, "{cookies}");
    }
    assert_eq!(
        send(&server, "GET", "/guest_mode", &[("cookie", &cookie)], "").await.json(),
        json!({ "guestMode": false })
    );
    let out = send(&server, "GET", "/logout", &[("cookie", &cookie)], "").await;
    assert_eq!(out.headers["location"], "/login");
    assert!(out.headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    assert_eq!(send(&server, "GET", "/queue", &[("cookie", &cookie)], "").await.status, 401);
}

#[tokio::test]
async fn wrong_tokens_are_slowed_and_right_ones_are_not() {
    let server = locked();
    let start = Instant::now();
    for _ in 0..8 {
        assert_eq!(server.get("/queue?token=wrong").await.status, 401);
    }
    // Five at once, then 20, 40 and 80 ms.
    assert!(start.elapsed() >= Duration::from_millis(140), "{:?}", start.elapsed());
    let waiting = futures_util::future::join_all((0..24).map(|_| server.get("/queue?token=wrong"))).await;
    let too_many = waiting.iter().filter(|answer| answer.status == 429).count();
    assert_eq!((too_many, waiting.len() - too_many), (8, 16));
    let start = Instant::now();
    assert_eq!(server.get(&format!("/queue?token={ENCODED}")).await.status, 200);
    assert_eq!(server.get("/queue").await.status, 401);
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
}

#[tokio::test]
async fn without_a_token_nothing_is_asked() {
    let server = Server::new();
    assert_eq!(server.get("/queue").await.status, 200);
    for headers in [("authorization", "Bearer "), ("authorization", "Bearer any"), ("authorization", "nonsense")] {
        assert_eq!(send(&server, "GET", "/queue?token=", &[headers], "").await.status, 200);
    }
    for path in ["/login", "/logout"] {
        assert_eq!(server.get(path).await.headers["location"], "/", "{path}");
    }
}

#[tokio::test]
async fn pages_of_another_origin_cannot_use_the_token() {
    let server = Server::with(|config| {
        config.cors = Some("https://app.example".into());
        config.auth = Settings { token: Some(TokenHash::of(TOKEN)), ..Settings::default() };
    });
    let bearer = format!("Bearer {TOKEN}");
    for (origin, status) in [("https://app.example", 200), ("https://evil.example", 401)] {
        let answer = send(&server, "GET", "/queue", &[("origin", origin), ("authorization", &bearer)], "").await;
        assert_eq!(answer.status, status, "{origin}");
        assert_eq!(answer.headers["access-control-allow-origin"], "https://app.example");
    }
}
